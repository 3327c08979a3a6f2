from __future__ import annotations

import asyncio

import pytest
from vector_log import SIZE, Log, unit

from index import snapshot
from index.base import IndexFailed
from index.exact import ExactIndex
from index.faiss import FaissIndex
from index.partitions import TINY, Partitions


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def partitions(log, tmp_path):
    """With graphs from 150 vectors on."""
    opened = Partitions(log, dimension=SIZE, fingerprint="model", folder=tmp_path, graph_from=150)
    yield opened
    await opened.aclose()


def again(log, tmp_path, **changed):
    """The same source after a restart."""
    return Partitions(
        log, **{"dimension": SIZE, "fingerprint": "model", "folder": tmp_path, "graph_from": 150, **changed}
    )


async def found(partitions, scope, vector=None, k=1_000):
    return {n.id for n in await partitions.search(scope, unit(1)[0] if vector is None else vector, k)}


async def test_an_unknown_partition_holds_nothing(partitions):
    assert await partitions.search("nobody", unit(1)[0], 5) == []


@pytest.mark.parametrize("size", [10, TINY + 10, 200])
async def test_a_vector_of_one_partition_is_never_found_in_another(partitions, log, size):
    vectors = unit(size)
    ids = {scope: set(log.add(scope, vectors).tolist()) for scope in ("a", "b", "ab", "")}
    for scope, own in ids.items():
        assert await found(partitions, scope) <= own
        for vector in vectors[:20]:
            assert (await partitions.search(scope, vector, 1))[0].id in own
    await partitions.remove("a", list(ids["b"]))
    assert len(await found(partitions, "b")) == size


async def test_a_cold_partition_is_loaded_once_however_many_ask(partitions, log):
    log.add("a", unit(10))
    log.open.clear()
    asking = [asyncio.create_task(found(partitions, "a")) for _ in range(50)]
    await asyncio.sleep(0)
    asking.pop().cancel()
    log.open.set()
    assert all(len(one) == 10 for one in await asyncio.gather(*asking))
    assert log.readings == 1


async def test_a_load_that_fails_is_tried_again(partitions, log, monkeypatch):
    log.add("a", unit(3))
    with monkeypatch.context() as broken:
        broken.setattr(log, "rows", None)
        with pytest.raises(AttributeError):
            await partitions.search("a", unit(1)[0], 1)
    assert len(await found(partitions, "a")) == 3


async def test_what_is_added_while_the_partition_loads_is_there_at_once(partitions, log):
    log.add("a", unit(5))
    log.open.clear()
    asking = asyncio.create_task(found(partitions, "a"))
    await log.asked.wait()
    new = unit(1, seed=9)
    ids = log.add("a", new)
    adding = asyncio.create_task(partitions.add("a", ids, new))
    log.open.set()
    await asyncio.gather(asking, adding)
    assert set(ids.tolist()) <= await found(partitions, "a")


async def test_what_is_removed_while_the_partition_loads_is_gone_at_once(partitions, log):
    log.add("a", unit(5))
    log.open.clear()
    asking = asyncio.create_task(found(partitions, "a"))
    await log.asked.wait()
    log.remove("a", 2)
    removing = asyncio.create_task(partitions.remove("a", [2]))
    log.open.set()
    await asyncio.gather(asking, removing)
    assert await found(partitions, "a") == {1, 3, 4, 5}


async def test_history_that_is_followed_while_a_partition_loads_reaches_it(partitions, log):
    log.add("other", unit(1))
    log.add("a", unit(5))
    await found(partitions, "other")
    log.open.clear()
    log.asked.clear()
    asking = asyncio.create_task(found(partitions, "a"))
    await log.asked.wait()
    late = set(log.add("a", unit(2, seed=5)).tolist())
    await partitions.follow()
    log.open.set()
    await asking
    assert late <= await found(partitions, "a")


async def test_an_addition_to_a_partition_that_is_not_in_memory_costs_nothing(partitions, log):
    ids = log.add("a", unit(1))
    await partitions.add("a", ids, unit(1))
    assert (len(partitions), log.readings) == (0, 0)
    assert await found(partitions, "a") == {1}


async def test_what_others_write_is_followed(partitions, log):
    log.add("a", unit(300))
    log.add("b", unit(3))
    await found(partitions, "a")
    await found(partitions, "b")
    await partitions.follow()
    log.add("a", unit(5, seed=1))
    log.remove("b", 302)
    added = log.add("b", unit(2, seed=2)).tolist()
    log.remove("b", added[0])
    await partitions.follow()
    assert await found(partitions, "b") == {301, 303, added[1]}
    assert (await partitions.search("a", unit(5, seed=1)[4], 1))[0].id == 308


async def test_following_twice_and_following_what_was_added_here_changes_nothing(partitions, log):
    log.add("a", unit(3))
    await found(partitions, "a")
    ids = log.add("a", unit(2, seed=1))
    await partitions.add("a", ids, unit(2, seed=1))
    readings = log.readings
    await partitions.follow()
    await partitions.follow()
    assert log.readings == readings
    assert len(await found(partitions, "a")) == 5


async def test_forgotten_history_makes_partitions_load_again(partitions, log):
    log.add("a", unit(3))
    await found(partitions, "a")
    await partitions.follow()
    log.remove("a", 1)
    log.add("a", unit(1, seed=1))
    log.forgotten = len(log.history)
    await partitions.follow()
    assert await found(partitions, "a") == {2, 3, 5}


async def test_a_source_that_was_emptied_empties_the_partitions(partitions, log):
    log.add("a", unit(3))
    await found(partitions, "a")
    await partitions.follow()
    log.rows.clear()
    log.history.clear()
    await partitions.follow()
    assert await found(partitions, "a") == set()


async def test_a_partition_that_missed_a_change_loads_again(partitions, log, monkeypatch):
    log.add("a", unit(3))
    await found(partitions, "a")
    log.add("a", unit(1, seed=1))
    with monkeypatch.context() as broken:
        broken.setattr(log, "rows", None)
        with pytest.raises(AttributeError):
            await partitions.follow()
    await partitions.follow()
    assert len(await found(partitions, "a")) == 4


async def test_memory_stays_in_its_bounds_and_the_longest_unused_goes_first(log):
    partitions = Partitions(log, dimension=SIZE, fingerprint="model", max_mb=0.01)
    for number in range(100):
        log.add(str(number), unit(4))
    await found(partitions, "0")
    for number in range(1, 100):
        await found(partitions, str(number))
        await found(partitions, "0")
        assert partitions.nbytes <= 0.01 * 2**20
    readings = log.readings
    await found(partitions, "0")
    assert log.readings == readings
    await found(partitions, "1")
    assert log.readings == readings + 1


async def test_a_partition_larger_than_the_bounds_is_served_nonetheless(log):
    partitions = Partitions(log, dimension=SIZE, fingerprint="model", max_mb=0.001)
    log.add("a", unit(500))
    assert len(await found(partitions, "a")) == 500
    assert len(partitions) == 1


async def test_a_partition_grows_from_arrays_to_a_graph_and_loses_nothing(partitions, log):
    await found(partitions, "a")
    kinds = []
    for seed in range(20):
        vectors = unit(10, seed=seed)
        await partitions.add("a", log.add("a", vectors), vectors)
        await partitions.settled()
        kinds.append(type(partitions._loaded["a"].index))
    assert (kinds[0], kinds[-1]) == (ExactIndex, FaissIndex)
    assert partitions._loaded["a"].index.is_graph
    assert await found(partitions, "a") == set(range(1, 201))


async def filled(partitions, log):
    """A partition large enough to be saved."""
    log.add("a", unit(300))
    await found(partitions, "a")
    await partitions.settled()
    await partitions.follow()
    await partitions.save()


async def test_a_saved_partition_catches_up_without_reading_all_again(partitions, log, tmp_path):
    await filled(partitions, log)
    log.remove("a", 7)
    new = set(log.add("a", unit(3, seed=1)).tolist())
    read = []

    async def vectors(scope, ids=None, vectors=log.vectors):
        read.append(ids)
        return await vectors(scope, ids)

    log.vectors = vectors
    assert await found(again(log, tmp_path), "a") == set(range(1, 301)) - {7} | new
    assert None not in read


async def test_nothing_is_written_when_nothing_changed(partitions, log, tmp_path):
    await filled(partitions, log)
    path = snapshot.path_of(tmp_path, "a")
    before = path.stat()
    await partitions.save()
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    log.add("a", unit(1, seed=1))
    await partitions.follow()
    await partitions.save()
    assert path.stat().st_ino != before.st_ino


@pytest.mark.parametrize("harm", ["torn", "another model", "forgotten history", "another store", "newer"])
async def test_a_snapshot_that_cant_be_trusted_is_built_again(partitions, log, tmp_path, harm):
    await filled(partitions, log)
    changed = {}
    match harm:
        case "torn":
            path = snapshot.path_of(tmp_path, "a")
            path.write_bytes(path.read_bytes()[:-1])
        case "another model":
            changed["fingerprint"] = "another model"
        case "forgotten history":
            log.remove("a", 300)
            log.forgotten = len(log.history)
        case "another store":
            log = Log()
            log.add("a", unit(301, seed=5))
        case "newer":
            log = Log()
            log.add("a", unit(20, seed=5))
    restarted = again(log, tmp_path, **changed)
    number, vector = next(iter(log.rows["a"].items()))
    assert await found(restarted, "a") == set(log.rows["a"])
    assert (await restarted.search("a", vector, 1))[0].id == number
    await restarted.aclose()


async def test_the_snapshot_of_a_partition_that_shrank_is_discarded(partitions, log, tmp_path):
    await filled(partitions, log)
    for number in range(1, 295):
        log.remove("a", number)
    await partitions.follow()
    await partitions.settled()
    await partitions.save()
    assert not snapshot.path_of(tmp_path, "a").exists()
    assert await found(again(log, tmp_path), "a") == set(range(295, 301))


async def test_a_folder_that_cant_be_written_is_named_and_harms_no_search(log, tmp_path):
    (tmp_path / "file").touch()
    partitions = again(log, tmp_path / "file")
    with pytest.raises(IndexFailed, match="file"):
        await filled(partitions, log)
    assert len(await found(partitions, "a")) == 300
