"""FAISS in this process: flat while small, a graph (HNSW) past a measured size. No other file imports it.

Everything that blocks for longer than some milliseconds runs in a thread. A change of many vectors is cut
into slices, so that a search waits for one slice, never for the whole; a new graph is built beside the index
that goes on serving.
"""

from __future__ import annotations

import asyncio
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import faiss as library
import numpy as np

from index.base import Neighbour, SnapshotUnusable
from index.rows import checked, checked_query

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")

# FAISS's stubs describe the C++ classes, not what its Python wrappers take: arrays and keyword parameters.
faiss: Any = library

# Measured by tests/benchmarks/index_size.py: 384 dimensions, real questions, one thread. Recall is that of
# questions about other things than what is stored, which is the harder case.
GRAPH_FROM = 5_000  # flat 0.42 ms a search and exact, graph 0.27 ms; at 10,000 0.76 and 0.37, at 100,000 16 and 0.45
NEIGHBOURS = 32  # with these three recall@1 is 1.000 at 50,000, 0.997 at 100,000;
EF_CONSTRUCTION = 200  # with 80 0.997 at 50,000, for a third of the time to add: 0.12 against 0.34 ms
EF_SEARCH = 256  # with 128 0.997 at 50,000, with 64 0.990
DEAD_SHARE = 0.3  # recall@1 with so many dead rows is still 0.997, from 1,000 to 100,000
INLINE_ADD = 4  # 1.2 ms at 100,000
INLINE_SCAN = 10_000  # 0.8 ms
FLAT_SLICE = 1_024  # 2 ms, and up to 40 ms in its thread when FAISS moves its array to a larger place
GRAPH_SLICE = 16  # 5 ms at 100,000

GONE = -1


class Table:
    """Rows that are only ever appended; one that is removed or replaced stays, and is never found again.

    HNSW can't remove a node, and through dead nodes a search still finds its way; FAISS's selector keeps them
    out of the results. Not safe against concurrent use.
    """

    def __init__(self, dimension: int, *, graph: bool) -> None:
        self.graph = graph
        self._ids = array("q")
        self._row_of: dict[int, int] = {}
        self._living: faiss.SearchParameters | None = None
        if graph:
            self._rows = faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            self._rows.hnsw.efConstruction = EF_CONSTRUCTION
        else:
            self._rows = faiss.IndexFlatIP(dimension)

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, number: int) -> bool:
        return number in self._row_of

    @property
    def height(self) -> int:
        """Rows, dead ones too."""
        return len(self._ids)

    @property
    def dead(self) -> int:
        return self.height - len(self)

    @property
    def nbytes(self) -> int:
        """Vectors, links (2 × NEIGHBOURS of 4 bytes, and upper levels), ids, and the dictionary of ids."""
        links = 8 * NEIGHBOURS + 32 if self.graph else 0
        per_row: int = 4 * self._rows.d + links + 8
        return self.height * per_row + 100 * len(self)

    def put(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        faiss.omp_set_num_threads(1)
        self._rows.add(vectors)
        for number in ids.tolist():
            self._bury(number)
            self._row_of[number] = len(self._ids)
            self._ids.append(number)
        self._living = None

    def remove(self, ids: NDArray[np.int64]) -> int:
        removed = sum(self._bury(number) for number in ids.tolist())
        if removed:
            self._living = None
        return removed

    def _bury(self, number: int) -> bool:
        row = self._row_of.pop(number, None)
        if row is None:
            return False
        self._ids[row] = GONE
        return True

    def search(self, query: NDArray[np.float32], k: int) -> list[Neighbour]:
        if not self._row_of:
            return []
        # Two threads take 1 ms for what one does in 0.7, and 16 ms beside other work, for OpenMP's threads
        # wait for each other. The setting belongs to the calling thread.
        faiss.omp_set_num_threads(1)
        similarities, rows = self._rows.search(query[None], min(k, len(self)), params=self._parameters())
        return [
            Neighbour(self._ids[row], similarity)
            for row, similarity in zip(rows[0].tolist(), similarities[0].clip(-1, 1).tolist(), strict=True)
            if row != GONE
        ]

    def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        rows = {number: self._row_of[number] for number in ids if number in self._row_of}
        if not rows:
            return {}
        return dict(zip(rows, self._rows.reconstruct_batch(np.fromiter(rows.values(), np.int64)), strict=True))

    def _parameters(self) -> faiss.SearchParameters:
        if self._living is None:
            ids = np.frombuffer(self._ids, np.int64)
            among = faiss.IDSelectorBitmap(np.packbits(ids != GONE, bitorder="little")) if self.dead else None
            self._living = (
                faiss.SearchParametersHNSW(sel=among, efSearch=EF_SEARCH)
                if self.graph
                else faiss.SearchParameters(sel=among)
            )
        return self._living

    def living(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and vectors of those rows from `start` to before `stop` that are not dead."""
        ids = np.array(self._ids[start:stop], dtype=np.int64)
        vectors = self._rows.reconstruct_n(start, ids.size)
        return ids[ids != GONE], vectors[ids != GONE]

    def keep_only(self, other: Table) -> None:
        """Remove what `other` does not hold."""
        if len(self) > len(other):
            self.remove(np.array(list(self._row_of.keys() - other._row_of.keys()), dtype=np.int64))

    def dump(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Each row's id, and the rows in FAISS's own format."""
        return np.array(self._ids, dtype=np.int64), faiss.serialize_index(self._rows)

    @classmethod
    def load(cls, ids: NDArray[np.int64], blob: NDArray[np.uint8], dimension: int) -> Self:
        """The graph that `dump` gave. Raises SnapshotUnusable if it is none, or of another dimension."""
        try:
            rows = faiss.deserialize_index(blob)
        except RuntimeError as exc:
            raise SnapshotUnusable(f"FAISS can't read the graph: {exc}; build it again") from exc
        if not isinstance(rows, faiss.IndexHNSWFlat) or (rows.ntotal, rows.d) != (ids.size, dimension):
            raise SnapshotUnusable(f"no graph of {ids.size} rows in {dimension} dimensions; build it again")
        table = cls(dimension, graph=True)
        table._rows = rows
        table._ids = array("q", ids.tolist())
        table._row_of = {number: row for row, number in enumerate(table._ids) if number != GONE}
        return table


class FaissIndex:
    """The vectors of one partition. graph_from: the size from which they form a graph.

    It rebuilds itself, beside what it serves from, when it outgrows the flat form and when `DEAD_SHARE` of
    its rows are dead. Belongs to one event loop; any number of calls may run at once.
    """

    def __init__(self, dimension: int, *, graph_from: int = GRAPH_FROM) -> None:
        self._dimension = dimension
        self._graph_from = graph_from
        self._table = Table(dimension, graph=graph_from <= 0)
        # A change holds both, a dump only the first, a search only the second: searches go on while a
        # dump reads, and nobody reads what a thread is changing.
        self._changing = asyncio.Lock()
        self._searching = asyncio.Lock()
        self._rebuild: asyncio.Task[None] | None = None

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def is_graph(self) -> bool:
        return self._table.graph

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
            stop = start + (GRAPH_SLICE if self._table.graph else FLAT_SLICE)
            piece = partial(Table.put, ids=numbers[start:stop], vectors=rows[start:stop])
            await self._change(piece, inline=inline)
            start = stop
        self._tend()

    async def remove(self, ids: ArrayLike) -> int:
        numbers = np.asarray(ids, dtype=np.int64)
        removed = await self._change(partial(Table.remove, ids=numbers), inline=numbers.size <= FLAT_SLICE)
        self._tend()
        return removed

    async def search(self, vector: ArrayLike, k: int) -> list[Neighbour]:
        query = checked_query(vector, k, self._dimension)

        async def alone(*, inline: bool) -> list[Neighbour]:
            async with self._searching:
                search = self._table.search
                return search(query, k) if inline else await asyncio.to_thread(search, query, k)

        if self._table.graph or self._table.height <= INLINE_SCAN:
            return await alone(inline=True)
        return await _to_its_end(alone(inline=False))

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

    def _tend(self) -> None:
        if self._is_worn() and (self._rebuild is None or self._rebuild.done()):
            self._rebuild = asyncio.create_task(self._renew())

    def _is_worn(self) -> bool:
        table = self._table
        outgrown = not table.graph and len(table) >= self._graph_from
        return outgrown or table.dead > DEAD_SHARE * table.height

    async def _renew(self) -> None:
        """Copy the living rows, slice by slice, to a fresh table until it has caught up; then serve that."""
        while self._is_worn():
            fresh = Table(self._dimension, graph=len(self._table) >= self._graph_from)
            done = 0
            while True:
                async with self._changing:
                    if done >= self._table.height:
                        fresh.keep_only(self._table)
                        self._table = fresh
                        break
                    stop = min(self._table.height, done + (GRAPH_SLICE if fresh.graph else FLAT_SLICE))
                    piece = self._table.living(done, stop)
                    done = stop
                await asyncio.to_thread(fresh.put, *piece)


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Its result; a cancelled caller leaves it to finish: a thread can't be stopped, and needs its locks."""
    return await asyncio.shield(asyncio.create_task(work))
