"""The border between the corridor and the cache: what breaks behind it is counted, and the request goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

T = TypeVar("T")


class Counter(Protocol):
    """Where broken steps are reported."""

    def cache_broke(self, step: str, error: Exception) -> None: ...


class Border:
    """Crosses into the cache and always comes back. patience_s: a step that takes longer counts as broken."""

    def __init__(self, counter: Counter, patience_s: float | None = None) -> None:
        self._counter = counter
        self._patience_s = patience_s
        self._later: set[asyncio.Task[None]] = set()

    async def cross(self, step: str, crossing: Awaitable[T], otherwise: T) -> T:
        """What the step gives, or `otherwise` when it breaks: a cache is no reason to fail a request."""
        try:
            async with asyncio.timeout(self._patience_s):
                return await crossing
        except Exception as error:  # noqa: BLE001 - whatever a store, an index or a model raises
            self._counter.cache_broke(step, error)
            return otherwise

    def cross_later(self, step: str, crossing: Coroutine[None, None, None]) -> None:
        """The same, once those have gone on who wait for what is under way now."""
        task = asyncio.create_task(self.cross(step, _in_a_moment(crossing), None))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def settle(self) -> None:
        """Wait for all that was to be done later."""
        await asyncio.gather(*self._later)


async def _in_a_moment(crossing: Coroutine[None, None, None]) -> None:
    """That a task has ended, its waiters hear in the second turn of the loop after; new requests come in the third."""
    for _ in range(2):
        await asyncio.sleep(0)
    await crossing
