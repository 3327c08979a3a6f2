"""A partition's vector sets with the mark that says what they hold, and the way to fill them beside what is there.

A set is complete while its mark stands beside it: the number of the source's newest change that it is sure to hold.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from index.base import IndexFailed
from index.redis import SLICE, Kept, Shards, VectorSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from index.servers import Command, Servers, Standing

# A set that nobody searched for so long goes by itself: those of former models, too. It is made again when asked for.
KEEP_S: Final = 7 * 86_400
# Whoever builds says so again with every slice; after so long without, another one builds.
LEASE_S: Final = 30


class MarkedShards(Shards):
    """digests: hexadecimal, what the sets are named by, and what a cluster places them by."""

    def __init__(self, servers: Servers, digests: Sequence[str], dimension: int, kept: Kept) -> None:
        self._servers = servers
        super().__init__(
            [VectorSet(servers, f"{{cacheguard:vectors:{digest}}}", dimension, kept) for digest in digests]
        )
        self._lock = f"{self.sets[0].key}:building"

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Who holds the sets: what is known of them holds while this stays the same."""
        return tuple(self._servers.standing(each.key) for each in self.sets)

    async def marked(self) -> int | None:
        """Up to which change all of the sets are complete; None: one of them is not."""
        marks = [(await self._servers.ask(each.key, ("GET", _mark_of(each))))[0] for each in self.sets]
        return min(map(int, marks)) if all(marks) else None

    async def mark(self, seq: int) -> bool:
        """Say that they hold all up to `seq`, and are in use. False, and not said, where a mark was lost."""
        are_marked = []
        for each in self.sets:
            is_marked, _ = await self._servers.ask(each.key, (*_marking(each, seq), "XX"), _keeping(each))
            are_marked.append(is_marked)
        return all(are_marked)

    async def unmark(self) -> None:
        for each in self.sets:
            await self._servers.ask(each.key, ("UNLINK", _mark_of(each)))

    async def lease(self, mine: str) -> bool:
        """Whether this process may build now. mine: a name that no other has."""
        [is_mine] = await self._servers.ask(self._lock, ("SET", self._lock, mine, "NX", "EX", LEASE_S))
        return bool(is_mine)

    async def release(self) -> None:
        with suppress(IndexFailed):  # it ends by itself
            await self._servers.ask(self._lock, ("UNLINK", self._lock))

    async def replace(self, ids: NDArray[np.int64], vectors: NDArray[np.float32], seq: int, mine: str) -> None:
        """Hold these and nothing else, as of `seq`, from one moment to the next."""
        fresh = [VectorSet(self._servers, f"{each.key}:{mine}", self.dimension, each.kept) for each in self.sets]
        filling, step = Shards(fresh), SLICE * len(fresh)
        for start in range(0, ids.size, step):
            await filling.add(ids[start : start + step], vectors[start : start + step])
            for each in fresh:
                await self._servers.ask(each.key, ("EXPIRE", each.key, LEASE_S))
            await self._servers.ask(self._lock, ("SET", self._lock, mine, "EX", LEASE_S))
        for new, each in zip(fresh, self.sets, strict=True):
            taking: list[Command] = [("RENAME", new.key, each.key)] if await new.count() else []
            await self._servers.ask(each.key, ("UNLINK", each.key), *taking, _keeping(each), _marking(each, seq))


def _mark_of(own: VectorSet) -> str:
    return f"{own.key}:seq"


def _marking(own: VectorSet, seq: int) -> Command:
    return ("SET", _mark_of(own), seq, "EX", KEEP_S)


def _keeping(own: VectorSet) -> Command:
    return ("EXPIRE", own.key, KEEP_S)
