"""Identical questions in flight share one upstream call.

A flight is a task that nobody owns: it goes on as long as someone waits for it, and is cancelled when the last one
has gone, unless it was started to outlive them.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator

    from cacheguard.providers.base import Chunk

Landing = TypeVar("Landing")


class Flight(Generic[Landing]):
    """One shared call. Chunks that it publishes reach everyone who listens, however late they came."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._news = asyncio.Event()
        self._waiting = 0
        self._outlives = False
        self.task: asyncio.Task[Landing]

    def publish(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def outlive(self) -> None:
        """Go on even when nobody waits."""
        self._outlives = True

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """While this is held, someone waits."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting and not self._outlives:
                self.task.cancel()

    async def landing(self) -> Landing:
        """What the call comes to; its exceptions reach everyone who waits."""
        with self.waited_for():
            return await asyncio.shield(self.task)

    async def begun(self) -> bool:
        """Wait until the first chunk or the landing; whether there are chunks to listen to."""
        with self.waited_for():
            while not self._chunks and not self.task.done():
                await self._news.wait()
        return bool(self._chunks)

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """All chunks from the first, as they come, until the landing. Does not raise what the landing raises."""
        with self.waited_for():
            at = 0
            while True:
                while at < len(self._chunks):
                    yield self._chunks[at]
                    at += 1
                if self.task.done():
                    return
                await self._news.wait()


class Flights(Generic[Landing]):
    """All flights under way, by what is asked."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Flight[Landing]] = {}
        self._all: set[asyncio.Task[Landing]] = set()

    def join(
        self, key: Hashable | None, call: Callable[[Flight[Landing]], Awaitable[Landing]]
    ) -> tuple[Flight[Landing], bool]:
        """The flight under this key, and whether it was under way already. key: None shares with nobody."""
        flight = self._by_key.get(key) if key is not None else None
        if flight is not None:
            return flight, True
        flight = Flight[Landing]()
        flight.task = asyncio.ensure_future(call(flight))
        self._all.add(flight.task)
        if key is not None:
            self._by_key[key] = flight

        def land(task: asyncio.Task[Landing]) -> None:
            self._all.discard(task)
            if key is not None and self._by_key.get(key) is flight:
                del self._by_key[key]
            if not task.cancelled():
                task.exception()  # retrieved here: a flight that nobody waits for fails in silence
            flight._announce()  # noqa: SLF001 - the two classes are one mechanism

        flight.task.add_done_callback(land)
        return flight, False

    async def settle(self) -> None:
        """Wait for everything under way: what was begun is finished before the service stops."""
        await asyncio.gather(*self._all, return_exceptions=True)
