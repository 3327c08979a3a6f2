"""One index per scope in vector sets that all processes share: made from the truth by one of them, kept up by all.

Whoever finds a partition without its mark builds, alone; until it is complete nothing is found, for neighbours that are
missing would make a question look surer than it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from index.base import IndexFailed
from index.history import History, VectorSource
from index.marked import MarkedShards
from index.redis import Kept, nearest
from index.rows import WITNESSES, alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from index.base import Neighbour
    from index.history import News
    from index.servers import Servers, Standing

log = logging.getLogger(__name__)

# How long a search waits for its index to be opened: some ms, or a millisecond a vector where it must be built.
PATIENCE_S: Final = 1.0
# How soon whoever waits for another's building looks again.
AGAIN_S: Final = 0.1
# Scopes whose state is remembered, some 500 bytes each.
MOST_OPEN: Final = 20_000


class NamedSource(VectorSource, Protocol):
    """identity: made at random with the source, so that what was derived from another one is never taken for its."""

    @property
    def identity(self) -> str: ...


@dataclass(slots=True, eq=False)
class Opened:
    """A partition whose sets are known to be complete. seq: they hold all changes up to this one.

    empty: those of the sets that have nothing to hold.
    """

    shards: MarkedShards
    standings: tuple[Standing, ...]
    seq: int
    empty: frozenset[int] = frozenset()
    is_used: bool = True


class SharedPartitions:
    """The vectors of all partitions, walled off from each other, in Redis.

    fingerprint: of the model that makes the vectors. kept: how sets keep their numbers. shards: sets of one partition.
    Belongs to one event loop; any number of calls may run at once, in any number of processes.
    """

    def __init__(
        self,
        source: NamedSource,
        servers: Servers,
        *,
        dimension: int,
        fingerprint: str,
        kept: Kept = Kept.INT8,
        shards: int = 1,
    ) -> None:
        self._source = source
        self._servers = servers
        self._dimension = dimension
        self._kept = kept
        self._shards = shards
        self._names = (source.identity, fingerprint, kept.value, str(shards))
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Opened]] = {}
        self._history: History[Opened] = History(source, self._opened, self._take, self._drop)

    async def search(self, partition: str, vector: ArrayLike, k: int) -> list[Neighbour]:
        """The k nearest within the partition, nearest first; [] where it is unknown, or still being built.

        Raises IndexFailed.
        """
        opened = await self._in_use(partition)
        if opened is None:
            return []
        found = await opened.shards.search_each(vector, k)
        bare = frozenset(number for number, each in enumerate(found) if not each)
        if not bare <= opened.empty and await self._has_lost(partition, opened, bare):
            await self._forget(partition, opened)
            return []
        return nearest(found, k)

    async def vectors(self, partition: str, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Those of a partition that was searched a moment ago; {} of another. Raises IndexFailed."""
        opened = self._opened.get(partition)
        return {} if opened is None else await opened.shards.vectors(ids)

    async def add(self, partition: str, ids: ArrayLike, vectors: ArrayLike) -> None:
        """Add what the source holds by now; where that can't be done, its history brings it later."""
        opened = self._opened.get(partition)
        if opened is not None:
            opened.empty = frozenset()
            try:
                await opened.shards.add(ids, vectors)
            except IndexFailed as error:
                log.warning("what is kept is indexed later: %s", error)
                self._opened.pop(partition, None)

    async def follow(self) -> None:
        """Catch up with what this and other processes wrote. Cheap when nothing changed. Raises IndexFailed."""
        await self._history.follow()

    async def save(self) -> None:
        """Mark the sets in use with what they hold, so that others need not go through it. Raises IndexFailed."""
        for partition, opened in list(self._opened.items()):
            if opened.is_used:
                opened.is_used = False
                await self._mark(partition, opened)

    async def aclose(self) -> None:
        """Give up what is being opened or built, and the connections."""
        opening = list(self._opening.values())
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        await self._servers.aclose()

    async def _in_use(self, partition: str) -> Opened | None:
        """The partition, opened; None while it is being built."""
        opened = self._opened.get(partition)
        if opened is not None:
            if opened.standings == opened.shards.standings:
                opened.is_used = True
                self._opened.move_to_end(partition)
                return opened
            del self._opened[partition]  # a server that was away may have come back with less
        task = self._opening.get(partition)
        if task is None:
            task = self._opening[partition] = asyncio.create_task(self._open(partition))
            task.add_done_callback(lambda done: self._close_opening(partition, done))
        done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
        return task.result() if done else None

    def _close_opening(self, partition: str, task: asyncio.Task[Opened]) -> None:
        del self._opening[partition]
        if not task.cancelled() and (error := task.exception()):  # perhaps nobody waits for it any more
            log.warning("an index can't be opened: %s", error)

    async def _open(self, partition: str) -> Opened:
        shards = self._shards_of(partition)
        seq = await shards.marked()
        standings = shards.standings
        if seq is not None and not await self._agrees(partition, shards):
            await shards.unmark()
            seq = None
        opened = None if seq is None else Opened(shards, standings, seq)
        while opened is None or not await self._history.catch_up(partition, opened, await self._source.latest_change()):
            await shards.unmark()
            opened = Opened(shards, standings, await self._build_alone(partition, shards))
        self._opened[partition] = opened
        if len(self._opened) > MOST_OPEN:
            self._opened.popitem(last=False)
        return opened

    async def _agrees(self, partition: str, shards: MarkedShards) -> bool:
        """Whether some vectors, taken by chance, are those of the source, if it has them still."""
        ids = [id_ for each in shards.sets for id_ in await each.some(WITNESSES)]
        true_ids, true_vectors = await self._source.vectors(partition, ids)
        ours = await shards.vectors(true_ids.tolist())
        there = [id_ in ours for id_ in true_ids.tolist()]
        return not ours or alike(np.array([ours[id_] for id_ in true_ids[there].tolist()]), true_vectors[there])

    async def _build_alone(self, partition: str, shards: MarkedShards) -> int:
        """Its mark once it is built, by this process or another."""
        mine = secrets.token_hex(8)
        while True:
            is_mine = await shards.lease(mine)
            try:
                if (seq := await shards.marked()) is not None:
                    return seq
                if is_mine:
                    return await self._build(partition, shards, mine)
            finally:
                if is_mine:
                    await shards.release()
            await asyncio.sleep(AGAIN_S)

    async def _build(self, partition: str, shards: MarkedShards, mine: str) -> int:
        seq = await self._history.beginning()
        await shards.replace(*await self._source.vectors(partition), seq, mine)
        return seq

    async def _take(self, partition: str, opened: Opened, news: News) -> None:
        """Most additions are there by now, from whoever wrote them."""
        opened.empty = frozenset()
        if news.removed:
            await opened.shards.remove(news.removed)
        missing = sorted(set(news.added) - await opened.shards.present(news.added))
        if missing:
            ids, vectors = await self._source.vectors(partition, missing)
            if ids.size:
                await opened.shards.add(ids, vectors)

    async def _has_lost(self, partition: str, opened: Opened, bare: frozenset[int]) -> bool:
        """Whether one of the sets that gave nothing should have: a server may have been emptied, or made room."""
        ids, _ = await self._source.vectors(partition)
        filled = set(np.unique(ids % self._shards).tolist())
        opened.empty = frozenset(range(self._shards)) - filled
        return not bare <= opened.empty

    async def _forget(self, partition: str, opened: Opened) -> None:
        """What the index holds of it; the next search builds it again."""
        log.warning("an index lost its vectors, and is built again")
        self._opened.pop(partition, None)
        await opened.shards.unmark()

    async def _mark(self, partition: str, opened: Opened) -> None:
        if not await opened.shards.mark(await self._history.told()):
            self._opened.pop(partition, None)  # it may have lost something

    def _shards_of(self, partition: str) -> MarkedShards:
        """Named by digests, which clusters go by: a partition's name may hold anything."""
        names = ["\0".join((*self._names, str(shard), partition)) for shard in range(self._shards)]
        digests = [hashlib.sha256(name.encode()).hexdigest()[:32] for name in names]
        return MarkedShards(self._servers, digests, self._dimension, self._kept)

    def _drop(self, partition: str) -> None:
        del self._opened[partition]
