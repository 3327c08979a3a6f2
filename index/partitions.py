"""One index per scope: loaded from the truth when first used, kept up with it, let go when room is short."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from index import snapshot
from index.base import SnapshotUnusable
from index.exact import ExactIndex
from index.faiss import GRAPH_FROM, FaissIndex
from index.history import History
from index.rows import WITNESSES, alike

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from index.base import Neighbour
    from index.history import News, VectorSource

log = logging.getLogger(__name__)

# Measured by tests/benchmarks/index_size.py: ten vectors take 8.1 kB in float16 arrays and 16.5 kB in FAISS, and a
# hundred thousand partitions of ten 0.82 GB in all. At 100 rows the conversion makes a search 0.06 ms slower.
TINY = 100
# Bytes of Python objects a partition, its name included: 0.87 GB counted for the 0.82 GB above.
OVERHEAD = 900


@dataclass(slots=True, eq=False)
class Loaded:
    """A partition in memory. seq: it holds all changes up to this one. saved: the seq of its snapshot."""

    index: ExactIndex | FaissIndex
    seq: int
    saved: int | None = None
    nbytes: int = 0


class Partitions:
    """The vectors of all partitions, walled off from each other.

    fingerprint: of the model that makes the vectors. folder: for snapshots of large partitions of this source;
    None for no snapshots. max_mb: what the vectors may take; past it the partition that was not searched for
    longest goes.
    Belongs to one event loop; any number of calls may run at once.
    """

    def __init__(
        self,
        source: VectorSource,
        *,
        dimension: int,
        fingerprint: str,
        folder: Path | None = None,
        max_mb: float = 1_024,
        graph_from: int = GRAPH_FROM,
    ) -> None:
        self._source = source
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._folder = folder
        self._max_bytes = max_mb * 2**20
        self._graph_from = graph_from
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._history: History[Loaded] = History(source, self._loaded, self._take, self._drop)
        self._nbytes = 0

    def __len__(self) -> int:
        """Partitions in memory."""
        return len(self._loaded)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    async def search(self, partition: str, vector: ArrayLike, k: int) -> list[Neighbour]:
        """The k nearest within the partition, nearest first; [] where it is unknown."""
        loaded = self._loaded.get(partition) or await self._load_once(partition)
        if partition in self._loaded:
            self._loaded.move_to_end(partition)
        return await loaded.index.search(vector, k)

    async def vectors(self, partition: str, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Those of a partition that is in memory, as one is that was searched a moment ago; {} elsewhere."""
        loaded = self._loaded.get(partition)
        return {} if loaded is None else await loaded.index.vectors(ids)

    async def add(self, partition: str, ids: ArrayLike, vectors: ArrayLike) -> None:
        """Add what the source holds by now. Does nothing for a partition that is not in memory."""
        loaded = await self._present(partition)
        if loaded is not None:
            await self._add(loaded, ids, vectors)
            self._weigh(partition, loaded)

    async def remove(self, partition: str, ids: ArrayLike) -> None:
        """Remove what the source no longer holds."""
        loaded = await self._present(partition)
        if loaded is not None:
            await loaded.index.remove(ids)
            self._weigh(partition, loaded)

    async def follow(self) -> None:
        """Catch up with what this and other processes wrote. Cheap when nothing changed."""
        await self._history.follow()

    async def save(self) -> None:
        """Save the graphs in memory that changed since. Raises IndexFailed; former snapshots stay."""
        if self._folder is None:
            return
        for partition in list(self._loaded):
            told = await self._history.told()
            loaded = self._loaded.get(partition)
            if loaded is not None:
                await self._save(self._folder, partition, loaded, max(loaded.seq, told))

    async def settled(self) -> None:
        """Wait for the graphs that are being built."""
        for loaded in list(self._loaded.values()):
            if isinstance(loaded.index, FaissIndex):
                await loaded.index.settled()

    async def aclose(self) -> None:
        """Give up what is being loaded or built."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        for partition in list(self._loaded):
            self._drop(partition)

    async def _save(self, folder: Path, partition: str, loaded: Loaded, seq: int) -> None:
        if isinstance(loaded.index, FaissIndex) and loaded.index.is_graph:
            if loaded.saved != seq:
                ids, rows = await loaded.index.dump()
                state = snapshot.Snapshot(partition, self._fingerprint, seq, ids, rows)
                await asyncio.to_thread(snapshot.save, folder, state)
                loaded.saved = seq
        elif loaded.saved is not None:
            await asyncio.to_thread(snapshot.discard, folder, partition)
            loaded.saved = None

    async def _load_once(self, partition: str) -> Loaded:
        task = self._loading.get(partition)
        if task is None:
            task = self._loading[partition] = asyncio.create_task(self._load(partition))
        # Shielded: one caller that gives up must not take the partition from the others.
        return await asyncio.shield(task)

    async def _present(self, partition: str) -> Loaded | None:
        """The partition if it is in memory, or will be in a moment."""
        if partition in self._loading:
            await asyncio.wait([self._loading[partition]])
        return self._loaded.get(partition)

    async def _load(self, partition: str) -> Loaded:
        try:
            loaded = await self._restore(partition)
            while loaded is None or (
                self._history.lacks(loaded) and not await self._history.catch_up(partition, loaded)
            ):
                loaded = await self._rebuild(partition)
            self._loaded[partition] = loaded
            self._weigh(partition, loaded)
            return loaded
        finally:
            del self._loading[partition]

    async def _restore(self, partition: str) -> Loaded | None:
        """From its snapshot and the changes since; None where that can't be done."""
        if self._folder is None or not snapshot.path_of(self._folder, partition).exists():
            return None
        try:
            saved = await asyncio.to_thread(snapshot.load, self._folder, partition, self._fingerprint)
            index = await FaissIndex.load(saved.ids, saved.rows, dimension=self._dimension, graph_from=self._graph_from)
        except SnapshotUnusable as exc:
            log.warning("an index is built again: %s", exc)
            return None
        loaded = Loaded(index, saved.seq, saved.seq)
        latest = await self._source.latest_change()
        if saved.seq > latest or not await self._history.catch_up(partition, loaded, latest):
            return None
        return loaded if await self._agrees(partition, index) else None

    async def _agrees(self, partition: str, index: FaissIndex) -> bool:
        """Whether the newest vectors are those of the source: a folder of snapshots may outlive its store."""
        ids, vectors = index.newest(WITNESSES)
        true_ids, true_vectors = await self._source.vectors(partition, ids.tolist())
        order = np.argsort(ids)
        return np.array_equal(ids[order], true_ids) and alike(vectors[order], true_vectors)

    async def _rebuild(self, partition: str) -> Loaded:
        seq = await self._history.beginning()
        ids, vectors = await self._source.vectors(partition)
        loaded = Loaded(ExactIndex(self._dimension, half=True), seq)
        await self._add(loaded, ids, vectors)
        return loaded

    async def _take(self, partition: str, loaded: Loaded, news: News) -> None:
        if news.removed:
            await loaded.index.remove(news.removed)
        added = [number for number in news.added if number not in loaded.index]
        if added:
            await self._add(loaded, *await self._source.vectors(partition, added))
        self._weigh(partition, loaded)

    async def _add(self, loaded: Loaded, ids: ArrayLike, vectors: ArrayLike) -> None:
        if not np.size(ids):
            return  # a source without vectors can't tell their dimension
        tiny = loaded.index
        if isinstance(tiny, ExactIndex) and await tiny.count() + np.size(ids) > TINY:
            loaded.index = FaissIndex.of(*tiny.rows(), dimension=self._dimension, graph_from=self._graph_from)
        await loaded.index.add(ids, vectors)

    def _weigh(self, partition: str, loaded: Loaded) -> None:
        """Note what the partition takes now, and make room."""
        if self._loaded.get(partition) is not loaded:
            return
        nbytes = loaded.index.nbytes + OVERHEAD
        self._nbytes += nbytes - loaded.nbytes
        loaded.nbytes = nbytes
        while self._nbytes > self._max_bytes and len(self._loaded) > 1:
            self._drop(next(iter(self._loaded)))

    def _drop(self, partition: str) -> None:
        loaded = self._loaded.pop(partition)
        self._nbytes -= loaded.nbytes
        if isinstance(loaded.index, FaissIndex):
            loaded.index.close()
