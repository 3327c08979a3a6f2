"""Whether a tier can do what a request needs: a fallback that can't is not a fallback."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cacheguard.cascade.tokens import input_tokens, wanted_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do. context_window: in tokens, None where nobody said. languages: ISO 639-1, empty for any."""

    json_schema: bool = True
    tools: bool = True
    vision: bool = True
    context_window: int | None = None
    languages: frozenset[str] = frozenset()


def unsure(text: str) -> str | None:  # noqa: ARG001 (those who are sure read it)
    """The language of no text."""
    return None


class Needs:
    """What a request needs, each read when it is first asked for: most tiers can do everything, and nobody asks."""

    def __init__(self, body: Mapping[str, Any], language_of: Callable[[str], str | None]) -> None:
        self._body = body
        self._language_of = language_of

    @cached_property
    def json_schema(self) -> bool:
        wanted = self._body.get("response_format")
        return isinstance(wanted, dict) and wanted.get("type") == "json_schema"

    @cached_property
    def tools(self) -> bool:
        """It offers some, or tells of earlier calls."""
        offers = self._body.get("tools") or self._body.get("functions")
        return bool(offers) or any(
            message["role"] in {"tool", "function"} or message.get("tool_calls") or message.get("function_call")
            for message in self._body["messages"]
        )

    @cached_property
    def vision(self) -> bool:
        contents = (message.get("content") for message in self._body["messages"])
        parts = (part for content in contents if isinstance(content, list) for part in content)
        return any(part.get("type") == "image_url" for part in parts)

    @cached_property
    def tokens(self) -> int:
        """Room for what is sent, as estimated, and for the answer as far as the request says how long it may be."""
        return input_tokens(self._body) + (wanted_tokens(self._body) or 0)

    @cached_property
    def language(self) -> str | None:
        """Of the last user turn, as ISO 639-1; None where that is unsure."""
        contents = [message.get("content") for message in self._body["messages"] if message["role"] == "user"]
        text = _words(contents[-1]) if contents else ""
        return self._language_of(text) if text else None


def needs_of(body: Mapping[str, Any], language_of: Callable[[str], str | None] = unsure) -> Needs:
    """body: as the tier would get it, adapted: what is left out there is not needed, what is added takes room."""
    return Needs(body, language_of)


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
    if abilities.languages and needs.language is not None and needs.language not in abilities.languages:
        return f"does not speak {needs.language!r}"
    return ""


def _words(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""
