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
        waits = asyncio.current_task()
        assert waits is not None  # noqa: S101 - a coroutine runs in a task
        has_left = is_over = False

        def leave(_: asyncio.Task[None]) -> None:
            nonlocal has_left
            if not is_over:
                has_left = True
                waits.cancel()

        gone = asyncio.create_task(self._gone())
        gone.add_done_callback(leave)
        try:
            return await waiting
        except asyncio.CancelledError:
            if not has_left:
                raise
            waits.uncancel()
            raise ClientGone("the client left before its answer came") from None
        finally:
            is_over = True
            gone.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
