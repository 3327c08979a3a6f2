"""Settings of tiers: models that may be asked, and texts that stand in for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias, get_args

from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from cacheguard.settings.adaptation import Adaptation
from cacheguard.settings.values import Count, LanguageCode, Name, NotNegative, Positive, Section, Text, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

Ability: TypeAlias = Literal["json_schema", "tools", "vision"]


class Price(Section):
    input_usd_per_mtok: NotNegative = 0
    """US dollars for a million tokens read."""
    output_usd_per_mtok: NotNegative = 0
    """US dollars for a million tokens written."""
    cached_input_usd_per_mtok: NotNegative | None = None
    """US dollars for a million tokens read that the provider had in its own cache; without it, as all input."""


class ModelTier(Section):
    """A model that may be asked."""

    provider: Name
    """Name of one of `providers`."""
    model: str = ""
    """The model's name at its provider. A provider of kind http has none, unless it asks for one."""
    timeout_s: Positive = 30
    """Longest wait for the whole answer, in seconds."""
    first_token_timeout_s: Positive | None = None
    """Longest wait for the first token, in seconds; without it, only timeout_s counts."""
    between_tokens_timeout_s: Positive | None = None
    """Longest silence within a stream, in seconds; without it, only timeout_s counts."""
    price: Price = Price()
    """What the model costs; without it, its calls count as free."""
    can: tuple[Ability, ...] = get_args(Ability)
    """What the model can do: json_schema (answers in the form that a request asks for), tools (call them), vision (read
    images). A request that needs more is not sent to it."""
    context_window: Count | None = None
    """Tokens that a prompt and its answer may have together; a request that needs more, as estimated, is not sent."""
    languages: tuple[LanguageCode, ...] = ()
    """Languages that the model speaks, as their two letters in ISO 639-1; a question that is surely in another is not
    sent. Without it, all."""
    adapt: Adaptation = Adaptation()
    """What is made of a request for this tier."""

    @model_validator(mode="after")
    def _answers_fit_its_window(self) -> Self:
        if self.context_window is not None and (self.adapt.max_tokens or 0) >= self.context_window:
            refuse(("adapt", "max_tokens"), f"leaves no room for a prompt in context_window, {self.context_window}")
        return self

    @model_validator(mode="after")
    def _first_token_comes_first(self) -> Self:
        if (self.first_token_timeout_s or 0) > self.timeout_s:
            refuse(("first_token_timeout_s",), f"is longer than timeout_s, {self.timeout_s:g}")
        return self


class TemplateTier(Section):
    """A fixed text, for when no model answers. It is never stored."""

    template: Text
    """The text that is given; {NAME} stands for what the route's variables say."""


_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def variables_in(template: str) -> list[str]:
    """The names that a template leaves to its route; other braces, as of JSON, are text."""
    return _VARIABLE.findall(template)


def filled_in(template: str, variables: Mapping[str, str]) -> str:
    """The text with what the variables say. Raises KeyError for a name that is none of them."""
    return _VARIABLE.sub(lambda found: variables[found[1]], template)


def _one_kind(value: object) -> object:
    if isinstance(value, dict):
        asks, says = value.keys() & {"provider", "model"}, "template" in value
        if asks and says:
            raise ValueError("is a model and a template at once: keep provider and model, or template")
        if not asks and not says:
            raise ValueError("needs provider and model, or template")
    return value


def _tier_kind(value: object) -> str:
    template = isinstance(value, TemplateTier) or (isinstance(value, dict) and "template" in value)
    return "tier:template" if template else "tier:model"


TIER_KINDS: dict[str | int, type[Section]] = {"tier:model": ModelTier, "tier:template": TemplateTier}
Tier = Annotated[
    Annotated[ModelTier, Tag("tier:model")] | Annotated[TemplateTier, Tag("tier:template")],
    Discriminator(_tier_kind),
    BeforeValidator(_one_kind),
]
