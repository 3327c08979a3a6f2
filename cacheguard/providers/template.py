"""A last resort that can't fail: a fixed text in the place of an answer. It is marked as such and never kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cacheguard.providers.base import Body, Call, Chunk, Completion, Finish

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class TemplateProvider:
    """Answers every call with the same text."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, call: Call) -> Completion:
        message = {"role": "assistant", "content": self._text}
        body: Body = {
            "id": "",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": call.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
        return Completion(body, self._text, Finish.STOP, call.model)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        head: Body = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": call.model,
        }
        said = {"index": 0, "delta": {"role": "assistant", "content": self._text}, "finish_reason": None}
        yield Chunk({**head, "choices": [said]}, speaks=True)
        yield Chunk({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})

    async def aclose(self) -> None:
        """Nothing is held."""
