from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from index import snapshot
from index.base import IndexFailed, SnapshotUnusable
from index.faiss import FaissIndex
from index.snapshot import Snapshot

SIZE = 4


def unit(rows, dimension=SIZE):
    vectors = np.random.default_rng(rows).standard_normal((rows, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
async def saved(tmp_path):
    """The snapshot, on disk, of a graph of ten vectors of which one is removed."""
    index = FaissIndex(SIZE, graph_from=0)
    await index.add(np.arange(10), unit(10))
    await index.remove([3])
    state = Snapshot("scope", "model-a", 42, *await index.dump())
    snapshot.save(tmp_path, state)
    return state


async def test_what_was_saved_is_what_is_loaded(tmp_path, saved):
    loaded = snapshot.load(tmp_path, "scope", "model-a")
    assert loaded.seq == 42
    index = await FaissIndex.load(loaded.ids, loaded.rows, dimension=SIZE, graph_from=0)
    assert await index.count() == 9
    assert {n.id for n in await index.search(unit(10)[3], 10)} == set(range(10)) - {3}
    await index.add(np.array([3]), unit(10)[3:4])
    assert (await index.search(unit(10)[3], 1))[0].id == 3


def test_a_snapshot_cut_anywhere_is_refused(tmp_path, saved):
    path = snapshot.path_of(tmp_path, "scope")
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(SnapshotUnusable):
            snapshot.load(tmp_path, "scope", "model-a")


def test_a_snapshot_with_any_byte_changed_is_refused(tmp_path, saved):
    path = snapshot.path_of(tmp_path, "scope")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(SnapshotUnusable):
            snapshot.load(tmp_path, "scope", "model-a")


@pytest.mark.parametrize("grown", [b"\0", b"more of it" * 100])
def test_a_snapshot_with_something_behind_it_is_refused(tmp_path, saved, grown):
    with snapshot.path_of(tmp_path, "scope").open("ab") as file:
        file.write(grown)
    with pytest.raises(SnapshotUnusable, match="torn"):
        snapshot.load(tmp_path, "scope", "model-a")


def test_a_snapshot_of_another_model_is_refused(tmp_path, saved):
    with pytest.raises(SnapshotUnusable, match="fingerprint 'model-a', expected 'model-b'"):
        snapshot.load(tmp_path, "scope", "model-b")


def test_a_snapshot_of_another_version_is_refused(tmp_path, saved, monkeypatch):
    monkeypatch.setattr(snapshot, "FORMAT", snapshot.FORMAT + 1)
    with pytest.raises(SnapshotUnusable, match="format 1, expected 2"):
        snapshot.load(tmp_path, "scope", "model-a")


def test_a_file_under_another_partitions_name_is_refused(tmp_path, saved):
    snapshot.path_of(tmp_path, "scope").rename(snapshot.path_of(tmp_path, "another tenant"))
    with pytest.raises(SnapshotUnusable, match="partition"):
        snapshot.load(tmp_path, "another tenant", "model-a")


def test_a_missing_snapshot_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(SnapshotUnusable, match=str(tmp_path)):
        snapshot.load(tmp_path, "scope", "model-a")


async def test_rows_that_are_no_graph_or_of_another_dimension_are_refused(saved):
    with pytest.raises(SnapshotUnusable, match="in 5 dimensions"):
        await FaissIndex.load(saved.ids, saved.rows, dimension=5)
    with pytest.raises(SnapshotUnusable, match="9 rows"):
        await FaissIndex.load(saved.ids[1:], saved.rows, dimension=SIZE)
    with pytest.raises(SnapshotUnusable, match="can't read"):
        await FaissIndex.load(saved.ids, saved.rows[:50], dimension=SIZE)
    flat = FaissIndex(SIZE)
    await flat.add(np.arange(10), unit(10))
    with pytest.raises(SnapshotUnusable, match="no graph"):
        await FaissIndex.load(*await flat.dump(), dimension=SIZE)


@pytest.mark.parametrize("partition", ["", "../../etc", "a/b\0c", "é" * 500])
def test_a_partitions_name_may_hold_anything(tmp_path, saved, partition):
    snapshot.save(tmp_path, replace(saved, partition=partition))
    assert snapshot.load(tmp_path, partition, "model-a").partition == partition
    assert {path.parent for path in tmp_path.rglob("*.index")} == {tmp_path}


def test_a_full_disk_is_named_and_leaves_the_former_snapshot(tmp_path, saved):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(IndexFailed, match=str(tmp_path)):
            snapshot.save(tmp_path, replace(saved, seq=43))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert snapshot.load(tmp_path, "scope", "model-a").seq == 42
    assert [path.suffix for path in tmp_path.iterdir()] == [".index"]


def test_a_folder_that_cant_be_written_is_named(tmp_path, saved):
    (tmp_path / "file").touch()
    with pytest.raises(IndexFailed, match=str(tmp_path / "file")):
        snapshot.save(tmp_path / "file", saved)


def test_a_discarded_snapshot_is_gone(tmp_path, saved):
    for _ in range(2):
        snapshot.discard(tmp_path, "scope")
        with pytest.raises(SnapshotUnusable):
            snapshot.load(tmp_path, "scope", "model-a")


SAVING = """
import itertools, pathlib, sys
import numpy as np
from index import snapshot
for seq in itertools.count(1):
    rows = np.full(2_000_000, seq % 256, np.uint8)
    snapshot.save(pathlib.Path(sys.argv[1]), snapshot.Snapshot("scope", "model", seq, np.arange(3), rows))
    print(seq, flush=True)
"""


def test_a_process_killed_while_saving_leaves_the_former_snapshot_or_the_new_one(tmp_path):
    for saves in (1, 2, 3, 5, 8, 13, 21):
        with subprocess.Popen([sys.executable, "-c", SAVING, tmp_path], stdout=subprocess.PIPE) as process:
            told = [int(process.stdout.readline()) for _ in range(saves)][-1]
            process.kill()
        found = snapshot.load(tmp_path, "scope", "model")
        assert found.seq >= told
        assert (found.rows == found.seq % 256).all()
