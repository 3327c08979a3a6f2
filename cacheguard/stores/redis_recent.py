"""This process's last writes, to be made again where a Redis came back without them.

With `appendfsync everysec` a power cut takes the last second; so does kill -9, where an fsync was under way and the
write behind it waited, which Redis lets it for two; and a master that fails takes what its replica had not yet.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_KEPT_S: Final = 5.0
_MOST: Final = 10_000
# Where the answer's id stands among the arguments.
_ANSWER_AT: Final = {"keep": 1, "add_phrasings": 0}


class Write(NamedTuple):
    """A script that has run, made so that it may run again."""

    shard: int
    script: str
    arguments: tuple[Any, ...]
    at: float

    @property
    def answer_id(self) -> str | None:
        place = _ANSWER_AT.get(self.script)
        return None if place is None else self.arguments[place]


class Recent:
    """The writes of the last seconds, in their order. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._writes: deque[Write] = deque(maxlen=_MOST)

    def add(self, shard: int, script: str, arguments: tuple[Any, ...]) -> None:
        """One that was acknowledged. An answer that is kept again is kept late: what others wrote meanwhile stays."""
        if script == "keep":
            arguments = (1, *arguments[1:])
        now = self._clock()
        while self._writes and self._writes[0].at < now - _KEPT_S:
            self._writes.popleft()
        self._writes.append(Write(shard, script, arguments, now))

    def forget(self, answer_ids: Collection[str]) -> None:
        """Another process replaced or removed these."""
        if answer_ids and any(write.answer_id in answer_ids for write in self._writes):
            kept = [write for write in self._writes if write.answer_id not in answer_ids]
            self._writes = deque(kept, maxlen=_MOST)

    def of(self, shard: int) -> list[Write]:
        """Those to be made again."""
        since = self._clock() - _KEPT_S
        return [write for write in self._writes if write.shard == shard and write.at >= since]
