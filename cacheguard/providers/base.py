"""What a provider is: a call in, a completion or its chunks out, in the shape of OpenAI's chat completions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

Body: TypeAlias = dict[str, Any]


class Finish(StrEnum):
    """Why a model stopped. Whatever a provider says that is none of these is UNKNOWN, never STOP."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; cached_input is part of input."""

    input: int = 0
    output: int = 0
    cached_input: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one model. body: as the client sent it. key: which of the provider's keys to use, from 0.

    Whoever calls holds the clocks.
    """

    model: str
    body: Mapping[str, Any]
    key: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. body: OpenAI's chat.completion. text: of its first choice. refusal: the model's own, or ""."""

    body: Body
    text: str
    finish: Finish
    model: str
    usage: Usage = Usage()
    refusal: str = ""
    has_tool_calls: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a stream. body: OpenAI's chat.completion.chunk.

    speaks: it holds text, reasoning, a refusal or a tool call, so that after it no other tier can take over.
    """

    body: Body
    speaks: bool = False


class Provider(Protocol):
    """Asks models of one host. All ways raise AttemptFailed, and nothing else, when no answer can be had."""

    async def complete(self, call: Call) -> Completion: ...

    def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks. Ends normally only after the wire format's own end marker."""
        ...

    async def probe(self, key: int = 0) -> None:
        """Ask the host for something that costs nothing: whether it answers, and takes the key, by its number."""

    async def aclose(self) -> None: ...
