"""The script of a simulated provider's misbehaviour: rules, of which the first that fits a call is played.

rules:
- when: {model: "gpt-*", calls: {to: 3}}
  then: {status: 429, retry_after_s: 2}
- when: {share: 0.05}
  then: {cut_after_tokens: 8}
- then: {latency_ms: {median: 400, p99: 2500}, between_tokens_ms: 15}
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cacheguard.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

Tokens = Annotated[int, Field(ge=0)]

# The 99 % quantile of the standard normal distribution.
Z99 = 2.3263478740408408


class Part(BaseModel):
    """A piece of a script: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Pause(Part):
    """A pause in milliseconds: a number, or {median, p99} of a log-normal distribution."""

    median: float = Field(ge=0)
    p99: float | None = Field(default=None, description="Omitted: always the median.")

    @model_validator(mode="before")
    @classmethod
    def _constant(cls, given: Any) -> Any:
        return given if isinstance(given, dict | cls) else {"median": given}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p99 is not None and not 0 < self.median <= self.p99:
            raise ValueError(f"p99 {self.p99:g} needs a median above 0 and no greater")
        return self

    def seconds(self, random: Random) -> float:
        """One draw."""
        if self.p99 is None:
            return self.median / 1000
        return random.lognormvariate(math.log(self.median), math.log(self.p99 / self.median) / Z99) / 1000


AT_ONCE = Pause(median=0)


class Calls(Part):
    """From which call to which, 1-based, inclusive.

    Those that fit the rule's model and prompt are counted, whether or not an earlier rule took them.
    """

    first: int = Field(default=1, ge=1, alias="from")
    last: int | None = Field(default=None, ge=1, alias="to", description="Omitted: for ever.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"to {self.last} is less than from {self.first}")
        return self


class When(Part):
    """Which calls a rule is for: all that it names must fit; `{}` fits every call."""

    model: str = Field(default="*", description="Shell pattern of the requested model, as in `gpt-4o*`.")
    prompt: str = Field(default="", description="Text within the last user message, in any case.")
    pattern: str = Field(default="", description="Regular expression found in the last user message.")
    calls: Calls | None = Field(default=None, description="Only the n-th to m-th such call.")
    share: float = Field(default=1, ge=0, le=1, description="Random share of such calls, drawn with the seed.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as exc:
            raise ValueError(f"not a regular expression: {exc}") from exc
        return pattern


class Then(Part):
    """What such a call gets; `{}` is a normal answer. A token is a word with the blanks behind it.

    A plain answer takes as long as its stream would.
    """

    latency_ms: Pause = Field(default=AT_ONCE, description="Before anything is sent.")
    first_token_ms: Pause = Field(default=AT_ONCE, description="Between the headers and the first token.")
    between_tokens_ms: Pause = Field(default=AT_ONCE, description="Between one token and the next.")

    status: int | None = Field(default=None, ge=400, le=599, description="An error with the wire format's body.")
    message: str = Field(default="The simulated provider was told to fail.", description="The error's message.")
    type: str | None = Field(default=None, description="The error's type. Omitted: the usual one of its status.")
    code: str | None = Field(default=None, description="The error's code, where the wire format has one.")
    retry_after_s: float | None = Field(default=None, ge=0, description="Header retry-after; Gemini's RetryInfo.")
    retry_after_ms: float | None = Field(default=None, ge=0, description="Header retry-after-ms; Gemini's RetryInfo.")

    connection: Literal["reset", "hang"] | None = Field(
        default=None, description="reset: closed without a response; hang: silence until the client leaves."
    )
    garbage: Literal["html", "broken_json", "other_json"] | None = Field(
        default=None,
        description="200 with an HTML page, half a JSON document, or JSON that is no completion.",
    )
    text: str | None = Field(default=None, description="This answer; '' for an empty one.")
    refusal: str | None = Field(default=None, description="A refusal in the field that the wire format has for it.")

    truncate_after_tokens: Tokens | None = Field(
        default=None, description="The answer stops there, its finish reason is `length`."
    )
    finish_reason: str | None = Field(
        default="stop", description="In OpenAI's words, as in `content_filter`, or any other; or null."
    )

    cut_after_tokens: Tokens | None = Field(
        default=None, description="The connection drops there; a plain answer's body ends half-way."
    )
    error_after_tokens: Tokens | None = Field(
        default=None, description="An error event ends the stream there; a plain answer is a 500."
    )
    no_end_marker: bool = Field(default=False, description="The stream ends without finish reason and end marker.")

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        instead = ("status", "connection", "garbage")
        for keys in (
            (*instead, "text", "refusal"),
            (*instead, "cut_after_tokens", "error_after_tokens", "no_end_marker"),
        ):
            values = ((key, getattr(self, key)) for key in keys)
            given = [key for key, value in values if value is not None and value is not False]
            if len(given) > 1:
                raise ValueError(f"{' and '.join(given)} exclude each other: keep one")
        return self


class Rule(Part):
    when: When = When()
    then: Then = Then()


class Script(Part):
    """Rules in order; a call that none of them fits gets a normal answer at once."""

    models: tuple[str, ...] = Field(default=("simulated",), description="What /v1/models lists. All are answered.")
    rules: tuple[Rule, ...] = ()


_PARTS: dict[str, type[Part]] = {"rules": Rule, "when": When, "then": Then, "calls": Calls}


def load_script(path: Path) -> Script:
    """The script in a YAML or JSON file. Raises ConfigError, naming the file and the key."""
    try:
        return parse_script(path.read_bytes(), source=str(path))
    except OSError as exc:
        raise ConfigError(f"can't read the script {path}: {exc.strerror or exc}") from exc


def parse_script(text: bytes, *, source: str) -> Script:
    """A script from YAML or JSON. Raises ConfigError, naming `source` and the key."""
    try:
        return Script.model_validate(yaml.safe_load(text) or {})
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(exc).split())}") from exc
    except ValidationError as exc:
        wrongs = "; ".join(_wrong(error["loc"], error["type"], error["msg"]) for error in exc.errors())
        raise ConfigError(f"{source}: {wrongs}") from exc


def _wrong(where: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, where)) or "the script"
    if kind != "extra_forbidden":
        return f"{key}: {message.removeprefix('Value error, ')}"
    part: type[Part] = next((_PARTS[step] for step in reversed(where[:-1]) if step in _PARTS), Script)
    known = ", ".join(field.alias or name for name, field in part.model_fields.items())
    return f"{key}: no such key; known: {known}"
