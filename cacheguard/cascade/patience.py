"""Waiting for one thing after another, each until a time of its own, with one timer for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


class Patience:
    """One task's at a time. A timer for each word of a stream took a quarter of what a word costs; this one is set anew
    only when it rings, which it seldom does.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._until = 0.0
        self._is_over = False

    async def wait(self, coming: Awaitable[T], until: float) -> T:
        """What comes. Raises TimeoutError, having cancelled it, where nothing came until then, by the loop's clock."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        cancelling = task.cancelling()
        self._waiting, self._until = task, until
        if self._timer is None or until < self._timer.when():
            self._set()
        try:
            return await coming
        except asyncio.CancelledError as exc:
            if self._is_over and task.uncancel() <= cancelling:
                raise TimeoutError from exc
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # whoever waits next sets it
        if self._loop.time() < self._until:
            self._set()
        else:
            self._is_over = True
            self._waiting.cancel()
