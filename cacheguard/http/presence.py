"""Whether a client is still there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from cacheguard.errors import ClientGone

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

T = TypeVar("T")


class Connected:
    """The client at the other end of a request whose body has been read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def wait_for(self, waiting: Coroutine[None, None, T]) -> T:
        """What is waited for. Raises ClientGone, having cancelled it, when the client leaves first."""
        task = asyncio.create_task(waiting)
        gone = asyncio.create_task(self._gone())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientGone("the client left before its answer came")
            return task.result()
        finally:
            for pending in (task, gone):
                pending.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
