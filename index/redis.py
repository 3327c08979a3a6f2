"""Vectors in Redis 8 vector sets: shared by all processes, and spread over the nodes of a cluster."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from enum import Enum
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from index.base import Neighbour
from index.rows import checked, checked_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from index.servers import Servers

# Vectors that one round trip adds: a millisecond each, in which Redis does nothing else. (With CAS it would find their
# neighbours in a thread, but 8.0.2 then writes a log of commands that it can't read when it starts again.)
SLICE: Final = 8
# Measured by tests/benchmarks/vector_sets.py at 100,000: recall@1 of new questions is 0.998 in float32 and 0.991 in
# int8; with 100 0.994 and 0.986 for 0.4 ms less, with 400 the same as with 200.
EF_SEARCH: Final = 200


class Kept(Enum):
    """How a vector set keeps its numbers: as they are, or in a byte each."""

    FLOAT32 = "NOQUANT"
    INT8 = "Q8"


class VectorSet:
    """One vector set. It is there from its first vector to its last."""

    def __init__(self, servers: Servers, key: str, dimension: int, kept: Kept = Kept.INT8) -> None:
        self._servers = servers
        self._dimension = dimension
        self.key = key
        self.kept = kept

    @property
    def dimension(self) -> int:
        return self._dimension

    async def add(self, ids: ArrayLike, vectors: ArrayLike) -> None:
        numbers, rows = checked(ids, vectors, self._dimension)
        adding = [
            ("VADD", self.key, "FP32", row.tobytes(), str(number), self.kept.value)
            for number, row in zip(numbers.tolist(), rows.astype("<f4", copy=False), strict=True)
        ]
        for start in range(0, len(adding), SLICE):
            await self._servers.ask(self.key, *adding[start : start + SLICE])

    async def remove(self, ids: ArrayLike) -> int:
        numbers = np.asarray(ids, dtype=np.int64).tolist()
        return sum(await self._ask_each("VREM", numbers))

    async def search(self, vector: ArrayLike, k: int) -> list[Neighbour]:
        query = checked_query(vector, k, self._dimension).astype("<f4", copy=False).tobytes()
        how = ("WITHSCORES", "COUNT", k, "EF", max(k, EF_SEARCH))
        [found] = await self._servers.ask(self.key, ("VSIM", self.key, "FP32", query, *how))
        # A score is (1 + cosine) / 2.
        return [Neighbour(int(number), min(1.0, max(-1.0, 2 * score - 1))) for number, score in dict(found).items()]

    async def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        found = await self._ask_each("VEMB", ids, "RAW")
        return {number: _vector(raw) for number, raw in zip(ids, found, strict=True) if raw is not None}

    async def present(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids that are there."""
        found = await self._ask_each("VISMEMBER", ids)
        return {number for number, is_there in zip(ids, found, strict=True) if is_there}

    async def some(self, n: int) -> list[int]:
        """So many ids by chance, or all there are."""
        [found] = await self._servers.ask(self.key, ("VRANDMEMBER", self.key, n))
        return [int(number) for number in found]

    async def count(self) -> int:
        [number] = await self._servers.ask(self.key, ("VCARD", self.key))
        return int(number)

    async def _ask_each(self, command: str, ids: Sequence[int], *more: str) -> list[Any]:
        return await self._servers.ask(self.key, *((command, self.key, str(id_), *more) for id_ in ids)) if ids else []


class Shards:
    """The vectors of one index in several vector sets, told apart by their ids, so that many nodes hold them."""

    def __init__(self, sets: Sequence[VectorSet]) -> None:
        self.sets = sets

    @property
    def dimension(self) -> int:
        return self.sets[0].dimension

    async def add(self, ids: ArrayLike, vectors: ArrayLike) -> None:
        numbers, rows = checked(ids, vectors, self.dimension)
        shards = numbers % len(self.sets)
        await asyncio.gather(*(self.sets[n].add(numbers[shards == n], rows[shards == n]) for n in np.unique(shards)))

    async def remove(self, ids: ArrayLike) -> int:
        return sum(await asyncio.gather(*(self.sets[n].remove(own) for n, own in self._of(ids).items())))

    async def search(self, vector: ArrayLike, k: int) -> list[Neighbour]:
        return nearest(await self.search_each(vector, k), k)

    async def search_each(self, vector: ArrayLike, k: int) -> list[list[Neighbour]]:
        """The k nearest of every set, set by set."""
        return await asyncio.gather(*(each.search(vector, k) for each in self.sets))

    async def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        found = await asyncio.gather(*(self.sets[n].vectors(own) for n, own in self._of(ids).items()))
        return {number: vector for each in found for number, vector in each.items()}

    async def present(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids that are there."""
        return set().union(*await asyncio.gather(*(self.sets[n].present(own) for n, own in self._of(ids).items())))

    async def count(self) -> int:
        return sum(await asyncio.gather(*(each.count() for each in self.sets)))

    def _of(self, ids: ArrayLike) -> dict[int, list[int]]:
        """The ids by their set."""
        by_set: defaultdict[int, list[int]] = defaultdict(list)
        for number in np.asarray(ids, dtype=np.int64).tolist():
            by_set[number % len(self.sets)].append(number)
        return by_set


def nearest(found: Sequence[Sequence[Neighbour]], k: int) -> list[Neighbour]:
    """The k nearest of several lists that come nearest first."""
    return list(islice(merge(*found, key=lambda neighbour: -neighbour.similarity), k))


def _vector(raw: Sequence[Any]) -> NDArray[np.float32]:
    """float32 (dimension,), unit length, of VEMB's raw form: type, bytes, length before, and for int8 the largest."""
    vector = np.frombuffer(raw[1], np.int8 if raw[0] == b"int8" else np.dtype("<f4")).astype(np.float32)
    return vector / np.linalg.norm(vector)
