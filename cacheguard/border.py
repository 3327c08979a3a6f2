"""The border between the corridor and the cache: what breaks behind it is counted, and the request goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


class Counter(Protocol):
    """Where broken steps are reported."""

    def cache_broke(self, step: str, error: Exception) -> None: ...


class Border:
    """Crosses into the cache and always comes back. patience_s: a step that takes longer counts as broken."""

    def __init__(self, counter: Counter, patience_s: float | None = None) -> None:
        self._counter = counter
        self._patience_s = patience_s

    async def cross(self, step: str, crossing: Awaitable[T], otherwise: T) -> T:
        """What the step gives, or `otherwise` when it breaks: a cache is no reason to fail a request."""
        try:
            async with asyncio.timeout(self._patience_s):
                return await crossing
        except Exception as error:  # noqa: BLE001 - whatever a store, an index or a model raises
            self._counter.cache_broke(step, error)
            return otherwise
