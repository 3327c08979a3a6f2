"""The keys that a provider is asked with: which may be used, and whose turn it is.

A key is its number here, from 0: what it says is known to the provider alone. Time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A bill or a key mends itself no sooner; it is tried at this pace in case somebody has seen to it.
DEAD_S = 300.0
# A key at a limit of unknown length is passed by for this long while there are others; alone, it is only waited for.
PASSED_BY_S = 1.0


class Block:
    """Ask nothing before a time, whatever other calls say."""

    def __init__(self) -> None:
        self.until = 0.0
        self.reason = ""

    def extend(self, until: float, reason: str) -> None:
        """A later block never shortens an earlier one."""
        if until > self.until:
            self.until, self.reason = until, reason


@dataclass(frozen=True, slots=True)
class Blocked:
    """A key that is left alone."""

    key: int
    reason: str
    until: float


class KeyRing:
    """A provider's keys, shared by all of its models: a dead key is dead for each of them.

    alert: told provider, key and reason when a key dies, and again each time that it is tried and still dead.
    """

    def __init__(self, provider: str = "", keys: int = 1) -> None:
        self.provider = provider
        self.blocks = tuple(Block() for _ in range(keys))
        self.alert: Callable[[str, int, str], None] = _tell_nobody

    def die(self, key: int, reason: str, now: float) -> None:
        block = self.blocks[key]
        is_news = block.until <= now  # calls that were under way say it too
        block.extend(now + DEAD_S, reason)
        if is_news:
            self.alert(self.provider, key, reason)


class Keys:
    """One model's: its rate limits are its own, the ring is every model's."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._limits = tuple(Block() for _ in ring.blocks)
        self._heard = tuple(Block() for _ in ring.blocks)  # of other processes
        self._turn = 0

    def __len__(self) -> int:
        return len(self._limits)

    def take(self, now: float) -> int | None:
        """The next key in turn that may be used; None: none may."""
        for step in range(len(self)):
            key = (self._turn + step) % len(self)
            if self.until(key) <= now:
                self._turn = key + 1
                return key
        return None

    def limit(self, key: int, reason: str, wait_s: float, now: float) -> None:
        """This model is not to be asked with this key for a while. wait_s: the provider's hint, 0 for none."""
        least_s = PASSED_BY_S if len(self) > 1 else 0.0
        self._limits[key].extend(now + max(wait_s, least_s), reason)

    def until(self, key: int) -> float:
        """When it may be used; in the past where it may be now."""
        return max(self.ring.blocks[key].until, self._limits[key].until, self._heard[key].until)

    def retry_at(self) -> float:
        """When the first of them may be used."""
        return min(self.until(key) for key in range(len(self)))

    def blocked(self, now: float) -> Iterator[Blocked]:
        """By key; that it is dead stands before that it is at its limit, and both before what others say of it."""
        yield from _blocked(now, self.ring.blocks, self._limits, self._heard)

    def found(self, now: float) -> Iterator[Blocked]:
        """The same without what others say."""
        yield from _blocked(now, self.ring.blocks, self._limits)

    def hear(self, key: int, reason: str, until: float) -> None:
        """Another process may not use it."""
        self._heard[key].extend(until, reason)

    def forget(self) -> None:
        """Use them all again: somebody has seen to it."""
        for block in (*self.ring.blocks, *self._limits, *self._heard):
            block.until = 0.0


def _tell_nobody(provider: str, key: int, reason: str) -> None:
    pass


def _blocked(now: float, *kinds: tuple[Block, ...]) -> Iterator[Blocked]:
    for key, blocks in enumerate(zip(*kinds, strict=True)):
        yield from (Blocked(key, block.reason, block.until) for block in blocks if now < block.until)
