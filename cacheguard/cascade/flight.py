"""Identical questions in flight share one upstream call.

A flight is a task that nobody owns: it goes on as long as someone waits for it, and is cancelled when the last one has
gone, unless it was started to outlive them.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Iterator

    from cacheguard.cascade.outcome import Streaming
    from cacheguard.providers.chat_shape import ChunkText

Landing = TypeVar("Landing")


class Flight(Generic[Landing]):
    """One shared call. The chunks that it publishes reach everyone who listens, however late they came.

    streaming: whose chunks they are; set by the call before the first of them.
    """

    def __init__(self, call: Callable[[Flight[Landing]], Coroutine[None, None, Landing]], *, outlives: bool) -> None:
        self._chunks: list[ChunkText] = []
        self._listening: list[asyncio.Future[None]] = []
        self._waiting = 0
        self.outlives = outlives
        self.abandoned = False
        self.streaming: Streaming | None = None
        self.task = asyncio.create_task(call(self))
        self.task.add_done_callback(self._land)

    def publish(self, chunk: ChunkText) -> None:
        self._chunks.append(chunk)
        self._announce()

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """While this is held, someone waits: for those who have joined and come to wait a turn of the loop later."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting and not self.outlives and not self.task.done():
                self.abandoned = True
                self.task.cancel()

    async def landing(self) -> Landing:
        """What the call comes to; what it raises reaches everyone who waits."""
        with self.waited_for():
            return await asyncio.shield(self.task)

    async def listen(self) -> AsyncGenerator[ChunkText, None] | None:
        """All chunks from the first on, as they come; None: the call landed without any.

        The chunks end where the landing is; what that raises is for `landing` to say.
        """
        chunks = self._as_they_come()
        first = await anext(chunks, None)
        return None if first is None else _chain(first, chunks)

    async def _as_they_come(self) -> AsyncGenerator[ChunkText, None]:
        with self.waited_for():
            at = 0
            while True:
                while at < len(self._chunks):
                    yield self._chunks[at]
                    at += 1
                if self.task.done():
                    return
                news = asyncio.get_running_loop().create_future()
                self._listening.append(news)
                await news

    def _announce(self) -> None:
        for news in self._listening:
            if not news.done():  # who has left has cancelled it
                news.set_result(None)
        self._listening.clear()

    def _land(self, task: asyncio.Task[Landing]) -> None:
        if not task.cancelled():
            task.exception()  # retrieved here: a flight that nobody waits for fails in silence
        self._announce()


class Flights(Generic[Landing]):
    """All flights under way, by what is asked."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Flight[Landing]] = {}
        self._tasks: set[asyncio.Task[Landing]] = set()

    def join(
        self,
        key: Hashable | None,
        call: Callable[[Flight[Landing]], Coroutine[None, None, Landing]],
        *,
        outlives: bool = False,
    ) -> tuple[Flight[Landing], bool]:
        """The flight under this key, and whether it was under way already. key: None shares with nobody.

        outlives: it goes on when nobody waits, even if it was begun by one who would have let it go.
        """
        under_way = self._by_key.get(key) if key is not None else None
        if under_way is not None and not under_way.abandoned:
            under_way.outlives |= outlives
            return under_way, True
        flight = Flight(call, outlives=outlives)
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._tasks.discard)
        if key is not None:
            self._by_key[key] = flight
            flight.task.add_done_callback(lambda _: self._forget(key, flight))
        return flight, False

    async def over(self, key: Hashable | None) -> None:
        """Wait until nothing is under way under this key."""
        if (flight := self._by_key.get(key)) is not None:
            await asyncio.wait([flight.task])

    async def settle(self) -> None:
        """Wait for all that is under way: what was begun is finished before the service stops."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, key: Hashable, flight: Flight[Landing]) -> None:
        if self._by_key.get(key) is flight:
            del self._by_key[key]


async def _chain(first: ChunkText, rest: AsyncGenerator[ChunkText, None]) -> AsyncGenerator[ChunkText, None]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()
