"""Settings of what answers: providers, the tiers that ask them, and the routes that try tiers in turn."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from cacheguard.settings.checks import PLAIN, Check
from cacheguard.settings.values import (
    Count,
    Decision,
    HeaderName,
    HttpUrl,
    Name,
    NotNegative,
    Positive,
    Secret,
    Section,
    Text,
    refuse,
)

# Kinds that stand for one company's own service. OpenAI's is spoken by many hosts: none is meant by default.
BASE_URLS = {"anthropic": "https://api.anthropic.com", "gemini": "https://generativelanguage.googleapis.com"}


class Breaker(Section):
    minimum_calls: Count = 5
    """Calls within a minute before their failures can tell that a model is down; it is then left alone to recover."""


class Provider(Section):
    kind: Literal["openai", "anthropic", "gemini"]
    """Wire format that it speaks: openai (chat completions), anthropic (messages), gemini (generateContent)."""
    base_url: Annotated[HttpUrl, Field(validate_default=True)] = ""
    """Its address. For openai up to and with the version, such as https://api.openai.com/v1; for the others without
    one, and only where it is not the company's own."""
    api_key: Secret = SecretStr("")
    """Its key; empty where none is asked for."""
    headers: dict[HeaderName, Secret] = Field(default_factory=dict)
    """Further header fields sent with every call."""
    missing_finish_reason_is_stop: bool = False
    """For openai servers that never send a finish_reason: take its absence for a complete answer."""
    connect_timeout_s: Positive = 5
    """Longest wait for a connection, in seconds."""
    breaker: Breaker = Breaker()
    """When its models are left alone, each by its own calls."""
    probe_every_s: Positive | None = None
    """Seconds between looks at a host that was left alone and may be back: it is asked for its list of models, which
    costs nothing. Without it, a client's request is what tries it again."""

    @field_validator("base_url", mode="before")
    @classmethod
    def _own_address(cls, url: object, info: ValidationInfo) -> object:
        if url != "":
            return url
        if info.data.get("kind") not in BASE_URLS:
            raise PydanticKnownError("missing")
        return BASE_URLS[info.data["kind"]]

    @model_validator(mode="after")
    def _only_openai_may_be_silent(self) -> Self:
        if self.missing_finish_reason_is_stop and self.kind != "openai":
            refuse(("missing_finish_reason_is_stop",), f"is for kind openai: {self.kind} always says why it stops")
        return self


class Price(Section):
    input_usd_per_mtok: NotNegative = 0
    """US dollars for a million tokens read."""
    output_usd_per_mtok: NotNegative = 0
    """US dollars for a million tokens written."""


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


class Cache(Section):
    mode: Literal["read-write", "read-only", "write-only", "off"] = "read-write"
    """Whether the route reads answers from the cache, adds answers to it, both, or neither."""
    ttl_s: NotNegative = 86400
    """Seconds that an answer stays fresh, counted from when it was written."""
    stale_while_revalidate_s: NotNegative = 3600
    """Seconds past ttl_s in which an answer is given at once while a new one is fetched (RFC 5861)."""
    stale_if_error_s: NotNegative = 604800
    """Seconds past ttl_s in which an answer is given when every tier fails (RFC 5861)."""
    decision: Decision = "auto"
    """When a similar question counts as the same: auto, or a cosine above 0 and at most 1."""
    context: Literal["none", "exact"] = "exact"
    """How earlier turns count. none: not at all. exact: they must be the same."""


class Route(Section):
    models: tuple[Text, ...] = ()
    """Request `model` names that take this route; * stands for any text. The first fit is taken."""
    tiers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of `tiers`, in the order in which they are asked."""
    deadline_s: Positive = 60
    """Longest time for an answer over all tiers, in seconds."""
    cache: Cache = Cache()
    """What the route keeps and gives again."""
    # `validate` is a method of pydantic's models.
    validators: Annotated[tuple[Check, ...], Field(alias="validate")] = PLAIN
    """Checks that an answer must pass before it is given or kept: names, or mappings of a name to its options. The form
    that a request asks for (response_format) is checked always."""
