"""Settings of what is made of a request before a tier gets it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_core import from_json

from cacheguard.cascade.tokens import LIMITS
from cacheguard.settings.values import Count, Section, Text, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.settings.values import Where

# What the service itself reads and writes in every request.
OWN = frozenset({"messages", "model", "stream", "stream_options"})


def _typed(value: Any) -> Any:
    """What a file, in which all is text, means by it: numbers, true, false, null and "text" are read as JSON."""
    match value:
        case dict():
            return {name: _typed(one) for name, one in value.items()}
        case list():
            return [_typed(one) for one in value]
        case str():
            return _scalar(value)
        case _:
            return value


def _scalar(text: str) -> Any:
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
    is_endless = isinstance(value, float) and not math.isfinite(value)
    return text if is_endless or isinstance(value, (dict, list)) else value


def _shown(value: Any) -> Any:
    """As a file would have it: text that would be read as something else stands in quotes."""
    match value:
        case dict():
            return {name: _shown(one) for name, one in value.items()}
        case list():
            return [_shown(one) for one in value]
        case str():
            return value if _scalar(value) == value else json.dumps(value)
        case _:
            return value


AnyValue: TypeAlias = Annotated[Any, BeforeValidator(_typed), PlainSerializer(_shown)]


class Adaptation(Section):
    """What is made of a request before the tier gets it, in this order."""

    history_turns: Count | None = None
    """Send only so many of the newest user turns, with what was said since, and all instructions. An answer for which
    history was left out is given, but never kept. Without it, everything is sent."""
    system_prefix: str = ""
    """Text before the system prompt, which it founds where there is none."""
    system_suffix: str = ""
    """Text behind the system prompt, which it founds where there is none."""
    drop: tuple[Text, ...] = ()
    """Fields of the request that are left out."""
    max_tokens: Count | None = None
    """The most tokens that an answer may have: a client's larger max_completion_tokens or max_tokens is lowered to it,
    and where a client set neither, it is asked for as max_completion_tokens."""
    rename: dict[Text, Text] = Field(default_factory=dict)
    """Fields of the request and the names that they get, such as max_completion_tokens: max_tokens for servers that
    know only the former name."""
    # `set` is a type.
    fixed: dict[Text, AnyValue] = Field(default_factory=dict, alias="set")
    """Fields that are sent with these values, whatever the client said. Numbers, true, false and null mean themselves;
    a text that looks like one stands in double quotes within single ones: '"1"'."""

    @model_validator(mode="after")
    def _one_word_on_each_field(self) -> Self:
        said: dict[str, str] = {}
        for where, name in self._named():
            step = str(where[0])
            if name in OWN:
                refuse(where, f"is about {name!r}, which every request gets from the service")
            if self.max_tokens is not None and name in LIMITS and step != "rename":
                refuse(where, f"is about {name!r}, which adapt.max_tokens limits: keep one of both")
            if name in said:
                refuse(where, f"is about {name!r}, as {said[name]} is already: a field takes one of drop, rename, set")
            said[name] = step
        return self

    def _named(self) -> Iterator[tuple[Where, str]]:
        """Every name of a field, and where it stands."""
        for place, name in enumerate(self.drop):
            yield ("drop", place), name
        for name, new in self.rename.items():
            yield ("rename", name), name
            yield ("rename", name), new
        for name in self.fixed:
            yield ("set", name), name
