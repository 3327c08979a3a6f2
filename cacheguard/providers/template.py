"""A last resort that can't fail: a fixed text in the place of an answer. It is marked as such and never kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cacheguard.providers.chat_shape import chunks_of, read_chunk, write_completion

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cacheguard.providers.base import Call, Chunk, Completion


class TemplateProvider:
    """Answers every call with the same text."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, call: Call) -> Completion:
        return write_completion(self._text, call.model, time.time())

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        for body in chunks_of(await self.complete(call)):
            yield read_chunk(body)

    async def probe(self, key: int = 0) -> None:
        """It always answers."""

    async def aclose(self) -> None:
        """Nothing is held."""
