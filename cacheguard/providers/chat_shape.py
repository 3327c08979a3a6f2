"""OpenAI's chat.completion and chat.completion.chunk bodies: read, written, and joined from chunks to a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from cacheguard.json_text import to_json
from cacheguard.providers.base import Body, Chunk, Completion, Finish, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

# A chunk's JSON behind its id: as those get it who asked for usage, and as all others do, b"" where that is nothing.
# A stream's chunks are kept for whoever joins it late. Bytes in a plain tuple are nothing that a collection of garbage
# looks at: with the dictionaries of a thousand streams, everything stood still for up to 0.4 s.
ChunkText: TypeAlias = tuple[bytes, bytes]

_SPEAKING_FIELDS = (
    "content",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "function_call",
    "audio",
)


def read_completion(body: Body) -> Completion:
    """The completion that a body holds. Raises KeyError, TypeError or IndexError when it has another shape."""
    choice = body["choices"][0]
    message = choice["message"]
    return Completion(
        body=body,
        text=_read_text(message, "content"),
        finish=read_finish(choice.get("finish_reason")),
        model=str(body.get("model") or ""),
        usage=read_usage(body.get("usage")),
        refusal=_read_text(message, "refusal"),
        has_tool_calls=bool(message.get("tool_calls") or message.get("function_call")),
    )


def write_completion(text: str, model: str, created: float) -> Completion:
    """A completion that cost no tokens: a cached answer or a template. created: Unix seconds."""
    message: Body = {"role": "assistant", "content": text, "refusal": None}
    body: Body = {
        "id": "",
        "object": "chat.completion",
        "created": int(created),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }
    return Completion(body, text, Finish.STOP, model)


def chunks_of(completion: Completion) -> list[Body]:
    """The chunks as which a whole completion is streamed; its usage comes last, in a chunk without choices."""
    head = {name: completion.body.get(name) for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    said: list[Body] = []
    done: list[Body] = []
    for choice in completion.body["choices"]:
        message = {name: value for name, value in choice["message"].items() if value is not None}
        if "tool_calls" in message:
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
        place = {"index": choice.get("index", 0), "logprobs": choice.get("logprobs")}
        said.append({**place, "delta": message, "finish_reason": None})
        done.append({**place, "delta": {}, "finish_reason": choice.get("finish_reason")})
    return [
        *({**head, "choices": [choice]} for choice in (*said, *done)),
        {**head, "choices": [], "usage": completion.body.get("usage")},
    ]


def read_finish(reason: object) -> Finish:
    """What a finish_reason means; `function_call` is the former name of `tool_calls`."""
    if reason == "function_call":
        return Finish.TOOL_CALLS
    try:
        return Finish(str(reason))
    except ValueError:
        return Finish.UNKNOWN


def read_usage(usage: Mapping[str, Any] | None) -> Usage:
    """Token counts; what a provider leaves out counts as 0."""
    if not usage:
        return Usage()
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        input=int(usage.get("prompt_tokens") or 0),
        output=int(usage.get("completion_tokens") or 0),
        cached_input=int(details.get("cached_tokens") or 0),
    )


def _read_text(said: Mapping[str, Any], field: str) -> str:
    """A field of a message or delta; "" where there is none."""
    text = said.get(field) or ""
    if not isinstance(text, str):
        raise TypeError(f"{field} is not a text")
    return text


def read_chunk(body: Body) -> Chunk:
    """Raises KeyError, TypeError or AttributeError when it has another shape. Opening deltas don't speak yet."""
    return Chunk(body, any(choice["delta"].get(field) for choice in body["choices"] for field in _SPEAKING_FIELDS))


def chunk_text(body: Body) -> ChunkText:
    rest = {name: value for name, value in body.items() if name not in {"id", "usage"}}
    text = to_json(rest)[1:]
    with_usage = to_json({**rest, "usage": body["usage"]})[1:] if "usage" in body else text
    return with_usage, text if rest["choices"] else b""


class Joining:
    """Joins the chunks of a stream to the completion that the same call without `stream` would have given."""

    def __init__(self) -> None:
        self._head: Body = {}
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._has_tool_calls = False
        self._finish: object = None
        self._usage: Mapping[str, Any] | None = None
        self._counted = Usage()

    def add(self, chunk: Chunk) -> None:
        """Raises TypeError, ValueError or AttributeError when it has another shape."""
        self._head = self._head or chunk.body
        self._usage = chunk.body.get("usage") or self._usage
        self._counted = read_usage(self._usage)
        for choice in chunk.body["choices"]:
            if choice.get("index", 0) != 0:
                continue
            delta = choice["delta"]
            self._text.append(_read_text(delta, "content"))
            self._refusal.append(_read_text(delta, "refusal"))
            self._has_tool_calls |= bool(delta.get("tool_calls") or delta.get("function_call"))
            self._finish = choice.get("finish_reason") or self._finish

    @property
    def finished(self) -> bool:
        """A finish_reason has come."""
        return self._finish is not None

    def completion(self) -> Completion:
        """What has come so far. A stream's tool calls are told of, not joined: such answers are never kept."""
        text, refusal = "".join(self._text), "".join(self._refusal)
        message: Body = {"role": "assistant", "content": text, "refusal": refusal or None}
        return Completion(
            body={
                "id": self._head.get("id", ""),
                "object": "chat.completion",
                "created": self._head.get("created", 0),
                "model": self._head.get("model", ""),
                "choices": [
                    {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish},
                ],
                "usage": self._usage,
            },
            text=text,
            finish=read_finish(self._finish),
            model=str(self._head.get("model") or ""),
            usage=self._counted,
            refusal=refusal,
            has_tool_calls=self._has_tool_calls,
        )
