"""Reading a request's body: bounded in size, and of a shape that the corridor can rely on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypeVar

from annotated_types import MinLen
from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from cacheguard.errors import BodyTooLarge, ClientGone, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

T = TypeVar("T")

# A body that is too large is read to its end, within reason, since most clients listen only when they have sent all.
_DRAINED = 32

_OPEN = with_config(ConfigDict(extra="allow", strict=True))

# How pydantic names the two kinds of `Message.content` in the place of an error.
_KINDS_OF_CONTENT = frozenset({"str", "list[Part]"})


@_OPEN
class Part(TypedDict):
    type: str
    text: NotRequired[str]


@_OPEN
class Message(TypedDict):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: NotRequired[str | list[Part] | None]


@_OPEN
class StreamOptions(TypedDict):
    include_usage: NotRequired[bool | None]


@_OPEN
class ChatCompletion(TypedDict):
    """What the corridor relies on; every other field is passed on as it came."""

    model: Annotated[str, MinLen(1)]
    messages: Annotated[list[Message], MinLen(1)]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[StreamOptions | None]


def _finite(body: ChatCompletion) -> ChatCompletion:
    """JSON knows no infinity, so no tier could be told. Raises RequestError."""
    for field, value in body.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RequestError(f"{field}: Input should be a finite number", param=field)
    return body


CHAT_COMPLETION: TypeAdapter[Mapping[str, Any]] = TypeAdapter(Annotated[ChatCompletion, AfterValidator(_finite)])


@with_config(ConfigDict(extra="forbid", strict=True))
class Verdict(TypedDict):
    id: Annotated[str, MinLen(1)]
    verdict: Literal["right", "wrong"]
    note: NotRequired[str]


VERDICT = TypeAdapter(Verdict)


async def read_body(receive: Receive, limit: int) -> bytes:
    """At most `limit` bytes. Raises BodyTooLarge, or ClientGone."""
    pieces: list[bytes] = []
    size, more = 0, True
    while more and size <= limit * _DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before its request had come")
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
    if size > limit:
        raise BodyTooLarge(f"the body is larger than {limit} bytes; server.max_body_mb sets the limit")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def parse(adapter: TypeAdapter[T], body: bytes) -> T:
    """The body as the adapter's type. Raises RequestError that names the field, and never quotes what was sent."""
    try:
        return adapter.validate_json(body)
    except ValidationError as exc:
        errors: list[Any] = exc.errors(include_url=False, include_input=False, include_context=False)
        error = max(errors, key=lambda error: len(error["loc"]))  # of two kinds of content, the one that was meant
        at = ".".join(str(step) for step in error["loc"] if step not in _KINDS_OF_CONTENT)
        if error["type"] == "json_invalid":
            raise RequestError("the body is not valid JSON in UTF-8: " + _without_quote(error["msg"])) from None
        raise RequestError(f"{at or 'the body'}: {error['msg']}", param=at or None) from None


def _without_quote(message: str) -> str:
    return message.removeprefix("Invalid JSON: ")
