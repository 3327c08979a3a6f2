"""One index per scope in vector sets that all processes share: made from the truth by one of them, kept up by all.

Whoever finds a partition without its mark builds, alone; until it is complete nothing is found, for neighbours that are
missing would make a question look surer than it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from index.base import IndexFailed
from index.marked import MarkedShards
from index.partitions import VectorSource
from index.redis import Kept, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from index.base import Neighbour
    from index.partitions import Change
    from index.servers import Servers, Standing

log = logging.getLogger(__name__)

# How long a search waits for its index to be opened: some ms, or a millisecond a vector where it must be built.
PATIENCE_S: Final = 1.0
# How soon whoever waits for another's building looks again.
AGAIN_S: Final = 0.1
# Vectors that are compared with the source's when an index is opened, and the cosine that a byte a number leaves.
WITNESSES: Final = 64
ALIKE: Final = 0.99
# Scopes whose state is remembered, some 500 bytes each.
MOST_OPEN: Final = 20_000


class NamedSource(VectorSource, Protocol):
    """identity: made at random with the source, so that what was derived from another one is never taken for its."""

    @property
    def identity(self) -> str: ...


@dataclass(slots=True, eq=False)
class Opened:
    """A partition whose sets are known to be complete. empty: those of them that have nothing to hold."""

    shards: MarkedShards
    standings: tuple[Standing, ...]
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
        self._seq = 0
        self._following = asyncio.Lock()

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
        async with self._following:
            latest = await self._source.latest_change()
            if not self._opened or latest < self._seq:
                self._start_over(latest)
            while self._seq < latest:
                changes = await self._source.changes(self._seq)
                if changes:
                    await self._apply(changes)
                else:
                    self._start_over(latest)

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
        while seq is None or (seq := await self._catch_up(partition, shards, seq)) is None:
            await shards.unmark()
            seq = await self._build_alone(partition, shards)
        # No await since the last look at self._seq: what comes later is applied to it as to the others.
        opened = self._opened[partition] = Opened(shards, standings)
        if len(self._opened) > MOST_OPEN:
            self._opened.popitem(last=False)
        return opened

    async def _agrees(self, partition: str, shards: MarkedShards) -> bool:
        """Whether some vectors, taken by chance, are those of the source, if it has them still."""
        ids = [id_ for each in shards.sets for id_ in await each.some(WITNESSES)]
        true_ids, true_vectors = await self._source.vectors(partition, ids)
        ours = await shards.vectors(true_ids.tolist())
        pairs = zip(true_ids.tolist(), true_vectors, strict=True)
        return all(ours[id_] @ true >= ALIKE for id_, true in pairs if id_ in ours)

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
        # The number first: changes that come between the two are in the vectors, and looked at once more.
        seq = await self._source.latest_change()
        if seq < self._seq:
            self._start_over(seq)  # the source was emptied
        await shards.replace(*await self._source.vectors(partition), seq, mine)
        return seq

    async def _catch_up(self, partition: str, shards: MarkedShards, seq: int) -> int | None:
        """Apply the changes up to now, or to where the others are; the newest's number, None: they are forgotten."""
        latest = await self._source.latest_change()
        while True:
            changes = await self._source.changes(seq)
            if changes is None:
                return None
            if changes:
                await self._change(partition, shards, [change for change in changes if change[1] == partition])
                seq = changes[-1][0]
            if not changes or seq >= max(latest, self._seq):
                return seq

    async def _apply(self, changes: Sequence[Change]) -> None:
        by_partition: defaultdict[str, list[Change]] = defaultdict(list)
        for change in changes:
            by_partition[change[1]].append(change)
        present = [(name, self._opened[name]) for name in by_partition if name in self._opened]
        # Told before it is done: a partition that is being opened takes these changes by itself.
        self._seq = max(self._seq, changes[-1][0])
        try:
            for partition, opened in present:
                opened.empty = frozenset()
                await self._change(partition, opened.shards, by_partition[partition])
        except BaseException:
            for partition, _ in present:
                self._opened.pop(partition, None)  # it may have missed a change, and goes through them again
            raise

    async def _change(self, partition: str, shards: MarkedShards, changes: Sequence[Change]) -> None:
        """Most additions are there by now, from whoever wrote them."""
        removed = sorted({number for _, _, number, is_removed in changes if is_removed})
        if removed:
            await shards.remove(removed)
        last = {number: is_removed for _, _, number, is_removed in changes}
        added = [number for number, is_removed in last.items() if not is_removed]
        missing = sorted(set(added) - await shards.present(added))
        if missing:
            ids, vectors = await self._source.vectors(partition, missing)
            if ids.size:
                await shards.add(ids, vectors)

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
        async with self._following:  # between two pieces of history, so that it holds all up to `seq`
            seq = self._seq
        if not await opened.shards.mark(seq):
            self._opened.pop(partition, None)  # it may have lost something

    def _shards_of(self, partition: str) -> MarkedShards:
        """Named by digests, which clusters go by: a partition's name may hold anything."""
        names = ["\0".join((*self._names, str(shard), partition)) for shard in range(self._shards)]
        digests = [hashlib.sha256(name.encode()).hexdigest()[:32] for name in names]
        return MarkedShards(self._servers, digests, self._dimension, self._kept)

    def _start_over(self, seq: int) -> None:
        self._opened.clear()
        self._seq = seq
