"""Requests at once: past the limit, clients are told to come back instead of waiting in line for ever."""

from __future__ import annotations

from cacheguard.errors import Overloaded

RETRY_AFTER_S = 1.0


class InFlightLimit:
    """A context that requests are in until their last byte is sent."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = 0

    def __enter__(self) -> None:
        """Raises Overloaded."""
        if self._in_flight >= self._limit:
            raise Overloaded(f"{self._limit} requests are being answered already; try again soon", RETRY_AFTER_S)
        self._in_flight += 1

    def __exit__(self, *_: object) -> None:
        self._in_flight -= 1
