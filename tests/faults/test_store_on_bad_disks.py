"""A full disk and a read-only folder: said in words, nothing lost, and all is well once they are mended.

Run as a program, this file is the process on the bad disk; what it finds is told by its exit status.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cacheguard.errors import StoreUnusable
from cacheguard.stores.base import NewPhrasing, Served
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance, new_answer_id

NOBODY = 65534
UNIT = np.eye(1, 384, dtype=np.float32)[0]


async def keep(store, key):
    answer = Answer(new_answer_id(), "scope", "tenant", "faq", key * 2000, Provenance("strong"), 1.0, 1.0)
    await store.keep(answer, [NewPhrasing(key, key, Origin.MISS, 1.0, UNIT)])


def run(scenario, *paths, before=()):
    command = [*before, sys.executable, __file__, scenario, *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_full_disk_is_reported_loses_nothing_and_is_forgotten_when_there_is_room(tmp_path):
    # A mount of its own, gone with the process: 2 MB of memory as a disk.
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    apart += ["sh", "-c", mount, str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk: neither root nor user namespaces")
    done = run("full", tmp_path / "cache.db", before=apart)
    assert done.returncode == 0, done.stderr


async def full(path):
    path = Path(path)
    store = SqliteStore(path)
    await store.open("model")
    ballast = path.with_name("ballast")
    ballast.write_bytes(bytes(1_000_000))
    kept = []
    with pytest.raises(StoreUnusable, match=r"cache\.db.*the disk is full: make room"):
        await keep_on(store, kept)
    outcomes = await asyncio.gather(*(keep(store, f"more {n}") for n in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {StoreUnusable, type(None)}
    await store.add_served(Served("cmpl", "scope", "k", "k" * 20_000, "a", 1, 0.9, 1.0))
    with pytest.raises(OSError, match="No space left"), path.with_name("rest").open("wb", buffering=0) as rest:
        fill(rest)
    with pytest.raises(StoreUnusable, match=r"new\.db.*the disk is full: make room"):
        await SqliteStore(path.with_name("new.db")).open("model")

    ballast.unlink()
    await keep(store, "after")
    await store.aclose()
    await store.open("model")
    for key in [*kept, "after"]:
        assert (await store.exact("scope", key)).answer.text == key * 2000
    await store.aclose()


async def keep_on(store, kept):
    while True:
        key = f"{len(kept)} "
        await keep(store, key)
        kept.append(key)


def fill(file):
    while True:
        file.write(bytes(512))


@pytest.fixture
def folder():
    """A store's folder that others may enter, which pytest's own temporary folders don't allow."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        asyncio.run(make(folder / "cache.db"))
        yield folder
        folder.chmod(0o700)


async def make(path):
    store = SqliteStore(path)
    await store.open("model")
    await keep(store, "a")
    await store.aclose()


def test_a_read_only_folder_is_reported(folder):
    (folder / "cache.db").chmod(0o666)
    folder.chmod(0o555)
    done = run("read_only", folder / "cache.db", folder / "new.db", folder / "new" / "new.db")
    assert done.returncode == 0, done.stderr


def test_a_read_only_file_is_reported_and_left_as_it_is(folder):
    path = folder / "cache.db"
    path.chmod(0o444)
    before = path.read_bytes()
    done = run("read_only", path)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before


async def read_only(*paths):
    if os.geteuid() == 0:  # to whom modes mean nothing
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    for path in paths:
        with pytest.raises(StoreUnusable, match=rf"{path}.*let this user write the file and its folder"):
            await SqliteStore(path).open("model")


if __name__ == "__main__":
    asyncio.run({"full": full, "read_only": read_only}[sys.argv[1]](*sys.argv[2:]))
