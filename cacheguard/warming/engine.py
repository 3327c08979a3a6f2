"""Where the heavy work of a warming is done: in this process, or on Ray (ray_engine.py), with the same results."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from cacheguard.warming.neighbours import nearest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from cacheguard.warming.neighbours import Near, Rows
    from embeddings.base import Embedded, Embedder

Block = tuple[tuple[int, int], tuple[int, int]]
# Batches of questions under way at once, so that no worker of the model waits for the next.
_AHEAD: Final = 2


class Engine(Protocol):
    def embed(self, batches: Iterable[Sequence[str]]) -> AsyncIterator[Embedded]:
        """The vectors of each batch, in their order. Raises EmbeddingError."""
        ...

    def neighbours(self, rows: Rows, blocks: Iterable[Block]) -> AsyncIterator[Near]:
        """Of blocks of places, and their scopes up to their ends, in their order. rows: gives vectors by places."""
        ...


class Local:
    """In this process."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def embed(self, batches: Iterable[Sequence[str]]) -> AsyncIterator[Embedded]:
        under_way: list[asyncio.Task[Embedded]] = []
        try:
            for batch in batches:
                under_way.append(asyncio.create_task(self._embedded(batch)))
                if len(under_way) > _AHEAD:
                    yield await under_way.pop(0)
            while under_way:
                yield await under_way.pop(0)
        finally:
            for task in under_way:
                task.cancel()

    async def neighbours(self, rows: Rows, blocks: Iterable[Block]) -> AsyncIterator[Near]:
        for mine, scope in blocks:
            yield await asyncio.to_thread(nearest, rows, mine, scope)

    async def _embedded(self, batch: Sequence[str]) -> Embedded:
        return await self._embedder.embed(batch)
