"""What a wire format of the simulated provider does: read a question, write answers and errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks. prompt: the last user message. prompt_tokens: of all messages."""

    model: str
    prompt: str
    prompt_tokens: int
    streamed: bool
    usage_in_stream: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back. number: the call's, for ids. finish_reason: in OpenAI's words, None for none at all.

    ended: a stream has its end marker.
    """

    number: int
    tokens: list[str]
    finish_reason: str | None
    refused: bool = False
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """An error. type: None for the usual one of its status. param: the field at fault. retry_after_s: the hint."""

    status: int
    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None


class Stream(NamedTuple):
    """Server-sent events: before the first token, one per token, and after the last."""

    opening: bytes
    tokens: Iterable[bytes]
    ending: bytes


class BadRequest(Exception):
    """The body is no question in this wire format."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.failure = Failure(400, message, param=param)


class WireFormat(Protocol):
    """One provider's HTTP. path: of its endpoint, as a Starlette route.

    hints_in_headers: the headers of an error say when to ask again; else its body does.
    """

    path: str
    hints_in_headers: bool

    def question(self, path: Mapping[str, str], body: Mapping[str, Any]) -> Question:
        """path: the parameters in the URL. Raises BadRequest."""
        ...

    def plain(self, question: Question, reply: Reply) -> bytes: ...

    def stream(self, question: Question, reply: Reply) -> Stream: ...

    def error(self, failure: Failure) -> bytes: ...

    def error_event(self, failure: Failure) -> bytes:
        """The error inside a stream."""
        ...


def tokens(text: str) -> list[str]:
    """A token here is a word with the blanks behind it: their concatenation is the text."""
    return re.findall(r"\S+\s*|\s+", text)


def text_of(content: Any) -> str:
    """A message's text: its content, or the text parts of it."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""


def to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def last_prompt(said: Iterable[tuple[Any, str]]) -> str:
    """What the user said last. said: pairs of a role and a text."""
    return next((text for role, text in reversed(list(said)) if role == "user"), "")
