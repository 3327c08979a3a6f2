"""An event loop whose clock jumps: whenever nothing can go on, the next timer's time has come.

A day of waiting passes in the seconds that the work between the waits takes. The work itself takes no time on this
clock, and neither do threads: the clock stands still until they are done. Whoever is talked to must live in the same
loop, on Unix sockets: what one end has written, the other can read at once, so that no message is ever on its way
when the clock jumps.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0. The threads that it knows of are those of `run_in_executor` and `asyncio.to_thread`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._in_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._leave_thread)
        return future

    def jump(self, seconds: float | None) -> bool:
        """Nothing can go on for so long; None: no timer runs. False: a thread must be waited for."""
        if seconds is None or self._in_threads:
            return False
        self._now += seconds
        return True

    def _leave_thread(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1


class _Selector(selectors.DefaultSelector):
    """Never waits, but for threads."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0 or self._loop.jump(timeout):
            return ready
        return super().select(None)


def run(main: Coroutine[None, None, Any]) -> Any:
    """What `main` comes to, on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
