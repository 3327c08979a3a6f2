"""What came in: counts, and the last bodies, for tests and the curious."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cacheguard.simulate.connection import ClientGone

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_BODIES = 100


class Record:
    """Calls since the start or the last reset. A client's leaving is noticed in the pauses of its answer."""

    def __init__(self) -> None:
        self.total = 0
        self._by_model: Counter[str] = Counter()
        self._in_flight = 0
        self._peak = 0
        self._cancelled = 0
        self._bodies: deque[Any] = deque(maxlen=KEPT_BODIES)

    @contextmanager
    def call(self, model: str, body: Any) -> Iterator[int]:
        """The time of one call; its number, from 1. A client that leaves meanwhile is counted, not raised."""
        self.total += 1
        self._by_model[model] += 1
        self._bodies.append(body)
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        try:
            yield self.total
        except ClientGone:
            self._cancelled += 1
        finally:
            self._in_flight -= 1

    def summary(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "by_model": dict(self._by_model),
            "in_flight": self._in_flight,
            "peak": self._peak,
            "cancelled": self._cancelled,
            "bodies": list(self._bodies),
        }
