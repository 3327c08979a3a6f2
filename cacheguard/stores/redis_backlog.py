"""Writes that nobody waits for: they go out when they can, and are dropped when too many wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from cacheguard.errors import StoreError, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Awaitable

# So many go out together.
_TOGETHER = 64

log = structlog.get_logger()


class Write(Protocol):
    """How a script is run on a shard."""

    def __call__(self, shard: int, script: str, *arguments: Any) -> Awaitable[Any]: ...


class _Waiting(NamedTuple):
    shard: int
    script: str
    arguments: tuple[Any, ...]


class Backlog:
    """Holds at most so many. dropped: how many found no room, or were refused."""

    def __init__(self, write: Write, most: int) -> None:
        self._write = write
        self._waiting: deque[_Waiting] = deque()
        self._most = most
        self._may_go = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.create_task(self._work())
        self._under_way = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    def put(self, shard: int, script: str, *arguments: Any) -> None:
        """Run it some time soon."""
        if len(self) >= self._most:
            self.dropped += 1
            return
        self._waiting.append(_Waiting(shard, script, arguments))
        self._idle.clear()
        self._may_go.set()

    def go_on(self) -> None:
        """What could not be written may go now."""
        self._may_go.set()

    async def flushed(self) -> None:
        """Until nothing waits, or what waits can't go."""
        await self._idle.wait()

    async def aclose(self) -> None:
        await self.flushed()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _work(self) -> None:
        while True:
            await self._may_go.wait()
            self._may_go.clear()
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
                self._under_way = len(some)
                written = await asyncio.gather(*map(self._run, some))
                self._under_way = 0
                if again := [each for each, is_done in zip(some, written, strict=True) if not is_done]:
                    self._waiting.extendleft(reversed(again))
                    break
            self._idle.set()

    async def _run(self, each: _Waiting) -> bool:
        """False: to be tried again when somebody is there."""
        try:
            await self._write(each.shard, each.script, *each.arguments)
        except StoreUnusable:
            return False
        except StoreError as exc:
            self.dropped += 1
            log.warning("write_dropped", error=str(exc))
        return True
