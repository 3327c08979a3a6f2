"""The border between the corridor and the cache: what breaks behind it is counted, and the request goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


class Counter(Protocol):
    """Where broken steps are reported."""

    def cache_broke(self, step: str, error: Exception) -> None: ...


class Border:
    """Crosses into the cache and always comes back."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def cross(self, step: str, crossing: Awaitable[T], otherwise: T) -> T:
        """What the step gives, or `otherwise` when it breaks: a cache is no reason to fail a request."""
        try:
            return await crossing
        except Exception as error:  # noqa: BLE001 - whatever a store, an index or a model raises
            self._counter.cache_broke(step, error)
            return otherwise
