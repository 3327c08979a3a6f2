"""Where the truth lies in tests of indexes: vectors by partition, and the history of what was added and removed."""

from __future__ import annotations

import asyncio

import numpy as np

SIZE = 16


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((rows, SIZE), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Log:
    """A source in memory that counts its readings, and holds them back while `open` is not set."""

    def __init__(self, identity="log"):
        self.identity = identity
        self.rows, self.history, self.forgotten, self.readings = {}, [], 0, 0
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()

    def add(self, scope, vectors):
        start = len(self.history) + 1
        ids = np.arange(start, start + len(vectors))
        for number, vector in zip(ids.tolist(), vectors, strict=True):
            self.rows.setdefault(scope, {})[number] = vector
            self.history.append((number, scope, number, False))
        return ids

    def remove(self, scope, number):
        del self.rows[scope][number]
        self.history.append((len(self.history) + 1, scope, number, True))

    async def vectors(self, scope, ids=None):
        self.readings += 1
        self.asked.set()
        rows = dict(self.rows.get(scope, {}))
        await self.open.wait()
        kept = [number for number in rows if ids is None or number in ids]
        return np.array(kept, np.int64), np.array([rows[n] for n in kept], np.float32).reshape(-1, SIZE)

    async def changes(self, after, limit=10_000):
        return None if after < self.forgotten else self.history[after : after + limit]

    async def latest_change(self):
        return len(self.history)
