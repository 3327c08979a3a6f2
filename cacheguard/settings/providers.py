"""Settings of providers: the hosts that tiers ask."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from cacheguard.settings.values import Count, HeaderName, Positive, Secret, Section, Text, base_url, refuse, whole_url

# Kinds that stand for one company's own service. OpenAI's is spoken by many hosts: none is meant by default.
BASE_URLS = {"anthropic": "https://api.anthropic.com", "gemini": "https://generativelanguage.googleapis.com"}


class Breaker(Section):
    minimum_calls: Count = 5
    """Calls within a minute before their failures can tell that a model is down, or as many failures in a row, where a
    minute sees fewer; it is then left alone to recover."""


class Provider(Section):
    kind: Literal["openai", "anthropic", "gemini", "http"]
    """Wire format that it speaks: openai (chat completions), anthropic (messages), gemini (generateContent); or http,
    an endpoint of your own that takes a question and gives a text."""
    base_url: Annotated[str, Field(validate_default=True)] = ""
    """Its address. For openai up to and with the version, such as https://api.openai.com/v1; for anthropic and gemini
    without one, and only where it is not the company's own; for http the whole of it."""
    api_key: Secret = SecretStr("")
    """Its key; empty where none is asked for."""
    api_keys: tuple[Secret, ...] = ()
    """Several keys, in the place of api_key. They are used in turn, without those that are dead or at their limit."""
    answer_field: Text = "answer"
    """For http: the field of the JSON object in its reply that holds the answer."""
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

    @field_validator("base_url")
    @classmethod
    def _can_be_asked(cls, url: str, info: ValidationInfo) -> str:
        return whole_url(url) if info.data.get("kind") == "http" else base_url(url)

    @field_validator("api_keys")
    @classmethod
    def _keys_are_several(cls, keys: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        if keys and info.data.get("api_key"):
            raise ValueError("stands beside api_key: keep one of them")
        if not all(keys):
            refuse((keys.index(SecretStr("")),), "is empty: take it out")
        if len(set(keys)) < len(keys):
            raise ValueError("holds one key twice")
        return keys

    @property
    def keys(self) -> tuple[str, ...]:
        """In the order of their numbers; an empty one where none is asked for."""
        return tuple(key.get_secret_value() for key in self.api_keys or (self.api_key,))

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.missing_finish_reason_is_stop and self.kind != "openai":
            refuse(("missing_finish_reason_is_stop",), f"is for kind openai: {self.kind} always says why it stops")
        if self.answer_field != "answer" and self.kind != "http":
            refuse(("answer_field",), f"is for kind http: {self.kind} says where its answers stand")
        return self
