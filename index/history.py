"""What changed in the source, and which of it the partitions that are held have taken in."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

Change = tuple[int, str, int, bool]


class VectorSource(Protocol):
    """Where the truth lies: vectors by partition, and the history of what was added and removed."""

    async def vectors(
        self, scope: str, ids: Sequence[int] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All of a partition, or those of `ids` that it has, ascending by id."""
        ...

    async def changes(self, after: int, limit: int = 10_000) -> Sequence[Change] | None:
        """(sequence number, partition, id, removed) after `after`, oldest first; None: that is forgotten."""
        ...

    async def latest_change(self) -> int: ...


@dataclass(frozen=True, slots=True)
class News:
    """What a piece of history comes to. removed: all that ever were, for an id may be another vector's by now."""

    removed: list[int]
    added: list[int]

    @classmethod
    def of(cls, changes: Sequence[Change]) -> News:
        last = {number: is_removed for _, _, number, is_removed in changes}
        return cls(
            sorted({number for _, _, number, is_removed in changes if is_removed}),
            [number for number, is_removed in last.items() if not is_removed],
        )


class Held(Protocol):
    """A partition that is kept up. seq: it holds all changes up to this one, and what came since it is listed."""

    seq: int


H = TypeVar("H", bound=Held)


class History(Generic[H]):
    """The source's changes, read once for all partitions that are held.

    held: those that take part, by name. take: brings one of them news. drop: one that may have missed some, after which
    it is not held.
    """

    def __init__(
        self,
        source: VectorSource,
        held: Mapping[str, H],
        take: Callable[[str, H, News], Awaitable[None]],
        drop: Callable[[str], None],
    ) -> None:
        self._source = source
        self._held = held
        self._take = take
        self._drop = drop
        self._seq = 0
        self._reading = asyncio.Lock()

    async def follow(self) -> None:
        """Bring the partitions what this and other processes wrote. Cheap when nothing changed."""
        async with self._reading:
            latest = await self._source.latest_change()
            if not self._held or latest < self._seq:
                self.start_over(latest)
            while self._seq < latest:
                changes = await self._source.changes(self._seq)
                if changes:
                    await self._spread(changes)
                else:
                    self.start_over(latest)

    async def told(self) -> int:
        """Up to which change all have taken in: between two pieces, and until the caller's next await."""
        async with self._reading:
            return self._seq

    async def beginning(self) -> int:
        """The number of what is read now and held next: what comes while it is read is taken in once more."""
        latest = await self._source.latest_change()
        if latest < self._seq:
            self.start_over(latest)  # the source was emptied: nothing that is held is of it
        return latest

    def lacks(self, held: Held) -> bool:
        """Whether the others are further."""
        return held.seq < self._seq

    async def catch_up(self, partition: str, held: H, up_to: int = 0) -> bool:
        """Bring one that is not listed yet to `up_to`, and to where the others are; False: that is forgotten.

        The caller lists it before its next await, and what comes later reaches it as it does the others.
        """
        while True:
            goal = max(up_to, self._seq)
            changes = await self._source.changes(held.seq)
            if changes is None:
                return False
            own = [change for change in changes if change[1] == partition]
            if own:
                await self._take(partition, held, News.of(own))
            held.seq = changes[-1][0] if changes else max(held.seq, goal)
            if held.seq >= max(up_to, self._seq):
                return True

    def start_over(self, seq: int) -> None:
        for partition in list(self._held):
            self._drop(partition)
        self._seq = seq

    async def _spread(self, changes: Sequence[Change]) -> None:
        by_partition: defaultdict[str, list[Change]] = defaultdict(list)
        for change in changes:
            by_partition[change[1]].append(change)
        present = [(name, self._held[name]) for name in by_partition if name in self._held]
        # Told before it is done: a partition that is being loaded takes these changes by itself.
        self._seq = max(self._seq, changes[-1][0])
        try:
            for partition, held in present:
                await self._take(partition, held, News.of(by_partition[partition]))
        except BaseException:
            for partition, held in present:
                if self._held.get(partition) is held:
                    self._drop(partition)  # it may have missed a change, and loads again
            raise
