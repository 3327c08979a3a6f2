"""FAISS in this process: flat while small, a graph (HNSW) past a measured size, a compact one past another.

Everything that blocks for longer than some milliseconds runs in a thread. A change of many vectors is cut
into slices, so that a search waits for one slice, never for the whole; a new graph is built beside the index
that goes on serving.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from index.rows import checked, checked_query
from index.table import Form, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from numpy.typing import ArrayLike, NDArray

    from index.base import Neighbour

T = TypeVar("T")

# Measured by tests/benchmarks/index_size.py: 384 dimensions, real questions, one thread.
# Flat and exact, a search among 8,000 takes 0.23 ms, and in a graph 0.14; where 24 MB of other things were read before
# each, as a model does for a question that comes alone, 0.41 and 0.49. They are even at 5,000 in the one case, in the
# other at 10,000. A vector is added in some 7 µs, to a graph in 160.
GRAPH_FROM = 8_000
COMPACT_FROM = 200_000  # below, 500 bytes a vector less are not worth a similarity that is off by 4e-4
DEAD_SHARE = 0.3  # recall@1 with so many dead rows is still 0.997, from 1,000 to 100,000
INLINE_ADD = 2  # 1.3 ms at 1,000,000
INLINE_SCAN = 10_000  # 0.3 ms
FLAT_SLICE = 1_024  # 2 ms
GRAPH_SLICE = 1  # 0.7 to 0.9 ms at 1,000,000; 8 take 5.4, and a search that waits for them as long


class FaissIndex:
    """The vectors of one partition. graph_from, compact_from: from which sizes they form a graph, and a compact one.

    It rebuilds itself, beside what it serves from, when it outgrows its form and when `DEAD_SHARE` of
    its rows are dead. Belongs to one event loop; any number of calls may run at once.
    """

    def __init__(self, dimension: int, *, graph_from: int = GRAPH_FROM, compact_from: int = COMPACT_FROM) -> None:
        self._dimension = dimension
        self._graph_from = graph_from
        self._compact_from = compact_from
        self._table = Table(dimension, self._form(0))
        # A change holds both, a dump only the first, a search only the second: searches go on while a
        # dump reads, and nobody reads what a thread is changing.
        self._changing = asyncio.Lock()
        self._searching = asyncio.Lock()
        self._rebuild: asyncio.Task[None] | None = None
        self._gone: set[int] = set()  # what was removed since a rebuild began

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def is_graph(self) -> bool:
        return self._table.form is not Form.FLAT

    @property
    def nbytes(self) -> int:
        return self._table.nbytes

    def __contains__(self, number: int) -> bool:
        return number in self._table

    def newest(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What is left of the n rows that were added last."""
        return self._table.living(max(0, self._table.height - n), self._table.height)

    async def count(self) -> int:
        return len(self._table)

    @classmethod
    def of(cls, ids: ArrayLike, vectors: ArrayLike, *, dimension: int, graph_from: int = GRAPH_FROM) -> Self:
        """With these vectors, at once: for some hundred."""
        index = cls(dimension, graph_from=graph_from)
        index._table.put(*checked(ids, vectors, dimension))
        return index

    async def add(self, ids: ArrayLike, vectors: ArrayLike) -> None:
        """Add or replace; more than a few in a thread, slice by slice, with searches in between."""
        inline = np.size(ids) <= INLINE_ADD
        if inline:
            numbers, rows = checked(ids, vectors, self._dimension)
        else:
            numbers, rows = await asyncio.to_thread(checked, ids, vectors, self._dimension)
        start = 0
        while start < numbers.size:
            stop = start + (GRAPH_SLICE if self.is_graph else FLAT_SLICE)
            piece = partial(Table.put, ids=numbers[start:stop], vectors=rows[start:stop])
            if self._table.is_full(stop - start):
                await _to_its_end(self._make_room())
            await self._change(piece, inline=inline)
            start = stop
        self._tend()

    async def remove(self, ids: ArrayLike) -> int:
        numbers = np.asarray(ids, dtype=np.int64)
        if self._is_renewing:
            self._gone.update(numbers.tolist())
        removed = await self._change(partial(Table.remove, ids=numbers), inline=numbers.size <= FLAT_SLICE)
        self._tend()
        return removed

    async def search(self, vector: ArrayLike, k: int) -> list[Neighbour]:
        query = checked_query(vector, k, self._dimension)
        if self.is_graph or self._table.height <= INLINE_SCAN:
            async with self._searching:
                return self._table.search(query, k)

        async def in_thread() -> list[Neighbour]:
            async with self._searching:
                return await asyncio.to_thread(self._table.search, query, k)

        return await _to_its_end(in_thread())

    async def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        async with self._searching:
            return self._table.vectors(ids)

    async def dump(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """What `load` makes an index of."""

        async def unchanged() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
            async with self._changing:
                return await asyncio.to_thread(self._table.dump)

        return await _to_its_end(unchanged())

    @classmethod
    async def load(
        cls, ids: NDArray[np.int64], blob: NDArray[np.uint8], *, dimension: int, graph_from: int = GRAPH_FROM
    ) -> Self:
        """Raises SnapshotUnusable unless ids and blob are a dumped graph of this dimension."""
        index = cls(dimension, graph_from=graph_from)
        index._table = await asyncio.to_thread(Table.load, ids, blob, dimension)
        return index

    async def settled(self) -> None:
        """Wait for a rebuild that is under way."""
        if self._rebuild is not None:
            await asyncio.wait([self._rebuild])

    def close(self) -> None:
        """Give up a rebuild that is under way."""
        if self._rebuild is not None:
            self._rebuild.cancel()

    async def _change(self, change: Callable[[Table], T], *, inline: bool) -> T:
        async def alone() -> T:
            async with self._changing, self._searching:
                return change(self._table) if inline else await asyncio.to_thread(change, self._table)

        return await (alone() if inline else _to_its_end(alone()))

    async def _make_room(self) -> None:
        async with self._changing:
            await asyncio.to_thread(self._table.make_room)

    def _tend(self) -> None:
        if self._is_worn() and not self._is_renewing:
            self._rebuild = asyncio.create_task(self._renew())

    @property
    def _is_renewing(self) -> bool:
        return self._rebuild is not None and not self._rebuild.done()

    def _is_worn(self) -> bool:
        table = self._table
        outgrown = self._form(len(table)) > table.form
        return outgrown or table.dead > DEAD_SHARE * table.height

    def _form(self, size: int) -> Form:
        if size < self._graph_from:
            return Form.FLAT
        return Form.GRAPH if size < self._compact_from else Form.COMPACT

    async def _renew(self) -> None:
        """Copy the living rows, slice by slice, to a fresh table until it has caught up; then serve that."""
        while self._is_worn():
            fresh = Table(self._dimension, form=self._form(len(self._table)))
            done = 0
            async with self._changing:
                self._gone.clear()
                await asyncio.to_thread(fresh.learn, self._table)
            while True:
                async with self._changing:
                    if done >= self._table.height:
                        fresh.remove(np.array([n for n in self._gone if n not in self._table], dtype=np.int64))
                        former, self._table = [self._table], fresh
                        await asyncio.to_thread(former.clear)  # giving back 500 MB takes 27 ms
                        break
                    stop = min(self._table.height, done + FLAT_SLICE)
                    piece = self._table.living(done, stop)
                    done = stop
                await asyncio.to_thread(fresh.put, *piece)


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Its result; a cancelled caller leaves it to finish: a thread can't be stopped, and needs its locks."""
    return await asyncio.shield(asyncio.create_task(work))
