"""Whether a tier can do what a request needs: a fallback that can't is not a fallback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cacheguard.cascade.tokens import input_tokens, wanted_tokens
from cacheguard.language import are_alike, language_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.question import Message


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do. context_window: in tokens, None where nobody said. languages: ISO 639-1, empty for any."""

    json_schema: bool = True
    tools: bool = True
    vision: bool = True
    context_window: int | None = None
    languages: frozenset[str] = frozenset()


# Of a tier whose settings say nothing: it can do whatever a request needs.
ANY = Abilities()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs. tokens: as estimated, of what is sent and of the answer, where the request limits that.

    text: the last user turn, whose language is told only where a tier asks.
    """

    json_schema: bool
    tools: bool
    vision: bool
    tokens: int
    text: str


def needs_of(body: Mapping[str, Any]) -> Needs:
    """body: as the tier would get it, adapted: what is left out there is not needed, what is added takes room."""
    messages = body["messages"]
    wanted = body.get("response_format")
    contents = [message.get("content") for message in messages]
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return Needs(
        json_schema=isinstance(wanted, dict) and wanted.get("type") == "json_schema",
        tools=bool(body.get("tools") or body.get("functions")) or any(map(_uses_tools, messages)),
        vision=any(part.get("type") == "image_url" for part in parts),
        tokens=input_tokens(body) + (wanted_tokens(body) or 0),
        text=next((_words(message) for message in reversed(messages) if message["role"] == "user"), ""),
    )


def unfit(abilities: Abilities, needs: Needs) -> str:
    """Why the tier can't do it, in a few words, or "". In a language that is unsure, it can."""
    if not abilities.json_schema and needs.json_schema:
        return "keeps to no JSON Schema"
    if not abilities.tools and needs.tools:
        return "calls no tools"
    if not abilities.vision and needs.vision:
        return "reads no images"
    if abilities.context_window is not None and needs.tokens > abilities.context_window:
        return f"context window of {abilities.context_window} tokens"
    if abilities.languages and (spoken := language_of(needs.text)) is not None:
        is_known = any(are_alike(spoken, language) for language in abilities.languages)
        return "" if is_known else f"does not speak {spoken!r}"
    return ""


def _uses_tools(message: Message) -> bool:
    speaks_of_them = message.get("tool_calls") or message.get("function_call")
    return bool(speaks_of_them) or message["role"] in {"tool", "function"}


def _words(message: Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
