"""What is asked: the last turn, the turns before it, and the folded text under which an exact match is found."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Message: TypeAlias = Mapping[str, Any]

Context: TypeAlias = Literal["none", "exact", "chain"]

# Roles of messages that say how to answer, not what.
INSTRUCTIONS = frozenset({"system", "developer"})
# Read backwards from the end, so that a long run of marks inside a text costs nothing. A full stop more or less asks
# the same, but dots that stand alone are an argument (`git add .`), and `!` and `!!` behind a number, a bracket or a
# single letter are factorials.
_MARKS_FROM_THE_END = re.compile(r"(?:\s|[?。]|\.++(?!\s|\Z)|!(?!!?(?:[\d)]|\w(?!\w))))*")
_MARKS = frozenset("?。.!")
# Compatibility forms that carry meaning: 10² is not 102, 1½ not 11⁄2, and ℝ not R.
_MEANT = ("<super>", "<sub>", "<fraction>", "<font>")


@dataclass(frozen=True, slots=True)
class Question:
    """text: the last user turn as written. key: the text folded. earlier: the turns before it, role and text."""

    text: str
    key: str
    earlier: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NoQuestion:
    """The conversation does not end in words of a user that an earlier answer could answer."""

    reason: str


def read_question(messages: Sequence[Message]) -> Question | NoQuestion:
    """The question of an OpenAI-style conversation; system and developer messages belong to the scope."""
    turns: list[tuple[str, str]] = []
    for message in messages:
        role = message["role"]
        if role in INSTRUCTIONS:
            continue
        if role in {"tool", "function"} or message.get("tool_calls") or message.get("function_call"):
            return NoQuestion("tools")
        text = text_of(message.get("content"))
        if text is None:
            return NoQuestion("media")
        turns.append((role, text))
    if not turns or turns[-1][0] != "user":
        return NoQuestion("last-turn")
    *earlier, (_, text) = turns
    if not text.strip():
        return NoQuestion("blank")
    return Question(text, fold(text), tuple(earlier))


def text_of(content: object) -> str | None:
    """A message's words: a string as it is, text parts joined by line breaks; None where parts hold anything else."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part["text"] for part in content if part.get("type") == "text" and "text" in part]
    return "\n".join(texts) if len(texts) == len(content) else None


def fold(text: str) -> str:
    """The text without differences that never change a question: case, white space, Unicode forms, trailing marks.

    A text of nothing but marks keeps them. Idempotent. Lower case, not str.casefold: in German, Maße are not Masse.
    """
    if not text.isascii():
        text = _compatible(_compatible(text).lower())  # lower case may leave forms that NFKC joins
    folded = " ".join(text.lower().split())
    if folded[-1:] not in _MARKS:
        return folded
    marks = _MARKS_FROM_THE_END.match(folded[::-1])
    return folded[: len(folded) - (marks.end() if marks else 0)] or folded


def _compatible(text: str) -> str:
    """NFKC for everything but characters whose form is their meaning."""
    kept = [unicodedata.decomposition(character).startswith(_MEANT) for character in text]
    pieces: list[str] = []
    start = 0
    for at, is_meant in enumerate(kept):
        if is_meant:
            pieces += (unicodedata.normalize("NFKC", text[start:at]), text[at])
            start = at + 1
    pieces.append(unicodedata.normalize("NFKC", text[start:]))
    return "".join(pieces)


def last_turn(messages: Sequence[Message]) -> int:
    """Where the question stands; instructions may follow it."""
    return max(at for at, message in enumerate(messages) if message["role"] not in INSTRUCTIONS)


def without_earlier(messages: Sequence[Message]) -> list[Message]:
    """The same question as the first of a conversation under the same instructions."""
    asked = last_turn(messages)
    return [message for at, message in enumerate(messages) if at == asked or message["role"] in INSTRUCTIONS]


def ask_instead(messages: Sequence[Message], text: str) -> list[Message]:
    """The same conversation, its last turn in other words."""
    at = last_turn(messages)
    return [*messages[:at], {**messages[at], "content": text}, *messages[at + 1 :]]
