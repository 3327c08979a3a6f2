"""Killing a writing process loses nothing that was acknowledged.

Run as a program, this file is the process that gets killed: it keeps answers and, after each keep() has
returned, prints the question's key.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np

from cacheguard.stores.base import Filter, NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance, new_answer_id

WRITERS = 8
PHRASINGS = 3


def vector(key):
    return np.frombuffer(key.encode().ljust(32, b"\1")[:32], np.uint8).astype(np.float32)


async def keep_on(store, name):
    """Keep one answer after the other, each under three phrasings, and say so after each."""
    n = 0
    while True:
        n += 1
        key = f"{name}-{n}"
        answer = Answer(new_answer_id(), "scope", "tenant", "faq", key * 20, Provenance("strong"), 1.0, 1.0)
        await store.keep(
            answer,
            [NewPhrasing(f"{key}/{i}", key, Origin.MISS, 1.0, vector(f"{key}/{i}")) for i in range(PHRASINGS)],
        )
        os.write(1, f"{key}\n".encode())  # unbuffered, and whole: it is shorter than PIPE_BUF


async def write(path, name):
    store = SqliteStore(path)
    os.write(1, b"opening\n")
    await store.open("model")
    await asyncio.gather(*(keep_on(store, f"{name}.{writer}") for writer in range(WRITERS)))


def kill_while_writing(path, name, after):
    """The keys that were acknowledged before the process was killed, soon after its `after`-th."""
    with subprocess.Popen([sys.executable, __file__, path, name], stdout=subprocess.PIPE, text=True) as child:
        acknowledged = [child.stdout.readline().strip() for _ in range(after + 1)]
        child.kill()
        acknowledged += child.stdout.read().split()  # written before the kill, not read yet
    return acknowledged[1:]  # without "opening"


async def check(path, acknowledged):
    store = SqliteStore(path)
    await store.open("model")
    try:
        for key in acknowledged:
            known = await store.exact("scope", f"{key}/0")
            assert known is not None, f"{key} was acknowledged and is gone"
            assert known.answer.text == key * 20
        followed = await store.vectors("scope")
        async for answer, phrasings in store.answers(Filter()):
            assert len(phrasings) == PHRASINGS, f"{answer.id} was kept in part"
        rows = dict(zip(followed.ids.tolist(), followed.vectors, strict=True))
        assert len(rows) == (await store.counts()).phrasings
        for known in await store.known(list(rows)[-200:]):
            np.testing.assert_array_equal(rows[known.phrasing.id], vector(known.phrasing.key))
    finally:
        await store.aclose()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_no_acknowledged_answer_is_lost_when_the_process_is_killed_under_writes(tmp_path):
    moments = random.Random(7)
    acknowledged = []
    for round_ in range(20):
        acknowledged += kill_while_writing(tmp_path / "cache.db", str(round_), moments.randrange(1, 300))
        await check(tmp_path / "cache.db", acknowledged)
    assert len(acknowledged) > 20


async def test_a_process_killed_while_it_makes_the_file_leaves_a_good_start(tmp_path):
    for round_ in range(5):
        path = tmp_path / f"{round_}.db"
        await check(path, kill_while_writing(path, "first", after=0))


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
