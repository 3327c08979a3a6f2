"""Settings of tiers: models that may be asked, and texts that stand in for them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from cacheguard.settings.values import Name, NotNegative, Positive, Section, Text, refuse


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
    model: Text
    """The model's name at its provider."""
    timeout_s: Positive = 30
    """Longest wait for the whole answer, in seconds."""
    first_token_timeout_s: Positive | None = None
    """Longest wait for the first token, in seconds; without it, only timeout_s counts."""
    between_tokens_timeout_s: Positive | None = None
    """Longest silence within a stream, in seconds; without it, only timeout_s counts."""
    price: Price = Price()
    """What the model costs; without it, its calls count as free."""

    @model_validator(mode="after")
    def _first_token_comes_first(self) -> Self:
        if (self.first_token_timeout_s or 0) > self.timeout_s:
            refuse(("first_token_timeout_s",), f"is longer than timeout_s, {self.timeout_s:g}")
        return self


class TemplateTier(Section):
    """A fixed text, for when no model answers. It is never stored."""

    template: Text
    """The text that is given."""


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
