"""How long a model's answers took lately, and how much it wrote: what strategies go by. Time is an argument."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# What is older tells of another hour's load.
MEMORY_S = 600.0
CALLS = 200
# A 95th percentile of fewer is the luck of one call.
ENOUGH_FOR_TAIL = 20
# Where nothing is known yet: a short paragraph.
TYPICAL_OUTPUT = 300


class _Seen(NamedTuple):
    at: float
    value: float


class Newest:
    """The newest values, as far as they are still worth something."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=CALLS)

    def saw(self, value: float, now: float) -> None:
        self._seen.append(_Seen(now, value))

    def saw_at_least(self, value: float, now: float) -> None:
        """It was cut off here. Above the median that tells where the tail is; below, nothing.

        Where nothing else is known it counts: a model that has only met its time-out is not the fastest.
        """
        if value > (self.quantile(0.5, now) or 0.0):
            self.saw(value, now)

    def quantile(self, share: float, now: float, *, at_least: int = 1) -> float | None:
        """The value that `share` of them don't pass; None where fewer than `at_least` are known."""
        while self._seen and self._seen[0].at < now - MEMORY_S:
            self._seen.popleft()
        if len(self._seen) < at_least:
            return None
        values = sorted(seen.value for seen in self._seen)
        return values[min(int(share * len(values)), len(values) - 1)]


class Pace:
    """Of one model. Only calls to it count: what the cache gave says nothing of how fast a model is.

    whole: seconds to a whole answer. first_words: seconds to a stream's first word.
    """

    def __init__(self) -> None:
        self.whole = Newest()
        self.first_words = Newest()
        self._output = Newest()

    def wrote(self, tokens: int, now: float) -> None:
        if tokens:
            self._output.saw(tokens, now)

    def output_tokens(self, now: float) -> int:
        """What an answer takes, as a rule."""
        return int(self._output.quantile(0.5, now) or TYPICAL_OUTPUT)

    def of(self, *, stream: bool) -> Newest:
        return self.first_words if stream else self.whole
