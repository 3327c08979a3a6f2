"""What another format answered, said in OpenAI's shape."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cacheguard.providers.chat_shape import Joining, read_chunk, read_completion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheguard.providers.base import Body, Chunk, Completion, Finish, Usage


@dataclass(slots=True)
class Said:
    """One choice of a whole answer, as its parts are gathered."""

    finish: Finish
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[Body] = field(default_factory=list)

    def choice(self, index: int) -> Body:
        message: Body = {"role": "assistant", "content": self.text or None, "refusal": self.refusal or None}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return {"index": index, "message": message, "logprobs": None, "finish_reason": self.finish.value}


class ChatReply:
    """Writes one answer's bodies. completion_id, model: as the host names them."""

    def __init__(self, completion_id: str, model: str) -> None:
        self._head: Body = {"id": completion_id, "created": int(time.time()), "model": model}
        # Chunks are read here as they will be later: what can't be read fails while it is still the host's fault.
        self._joining = Joining()

    def whole(self, choices: Iterable[Said], usage: Usage) -> Completion:
        written = [said.choice(index) for index, said in enumerate(choices)]
        head = {**self._head, "object": "chat.completion"}
        return read_completion({**head, "choices": written, "usage": _written(usage)})

    def chunk(self, delta: Body, *, index: int = 0, finish: Finish | None = None) -> Chunk:
        return self._chunk({"index": index, "delta": delta, "logprobs": None, "finish_reason": finish and finish.value})

    def opening(self, *, index: int = 0) -> Chunk:
        return self.chunk({"role": "assistant", "content": ""}, index=index)

    def refusal(self, words: str) -> Chunk:
        """A refusal that came at the end. It doesn't speak: all is known, so that another tier can still take over."""
        return replace(self.chunk({"refusal": words}), speaks=False)

    def usage(self, usage: Usage) -> Chunk:
        return self._chunk(usage=_written(usage))

    def _chunk(self, *choices: Body, **rest: Body) -> Chunk:
        chunk = read_chunk({**self._head, "object": "chat.completion.chunk", "choices": list(choices), **rest})
        self._joining.add(chunk)
        return chunk


def tool_call(call_id: str, name: str, arguments: Body) -> Body:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": call_id, "type": "function", "function": function}


def _written(usage: Usage) -> Body:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input},
    }
