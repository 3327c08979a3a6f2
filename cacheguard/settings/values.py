"""Kinds of values that settings are made of, and how a value is refused.

No message repeats a value that may hold a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from cacheguard.language import CODES

if TYPE_CHECKING:
    from collections.abc import Iterable

Where = tuple[str | int, ...]


class Section(BaseModel):
    """A mapping in the file. The string below a setting is its description in the JSON Schema."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def refuse(where: Where, why: str) -> NoReturn:
    """Refuse the value at `where`, counted from what is being validated. why: a predicate, «is …»."""
    _raise([InitErrorDetails(type=PydanticCustomError("refused", "{why}", {"why": why}), loc=where, input=None)])


def refuse_unknown(places: Iterable[Where], known: Iterable[str]) -> None:
    """Refuse the names that stand at `places`, if any, because they are none of `known`."""
    error = PydanticCustomError("unknown_name", "is unknown", {"known": tuple(known)})
    if errors := [InitErrorDetails(type=error, loc=where, input=None) for where in places]:
        _raise(errors)


def _raise(errors: list[InitErrorDetails]) -> NoReturn:
    raise ValidationError.from_exception_data("settings", errors)


def _header_value(secret: SecretStr) -> SecretStr:
    # RFC 9110, 5.5. A key read from a file often brings its line's end along.
    if not re.fullmatch(r"([!-~]([\t -~]*[!-~])?)?", secret.get_secret_value()):
        raise ValueError("can't be sent in a header: visible ASCII only, without line ends or outer spaces")
    return secret


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("is empty: it would let in whoever sends an empty key")
    return secret


def base_url(url: str) -> str:
    """An address to which a path is appended."""
    parts = _http_parts(url)
    if parts.query or parts.fragment:
        raise ValueError("must end with its path: /chat/completions and the like are appended to it")
    return url.rstrip("/")


def whole_url(url: str) -> str:
    """An address that is asked as it stands."""
    parts = _http_parts(url)
    if parts.query or parts.fragment:
        raise ValueError("must end with its path: what follows a ? may be a key, which headers mask")
    return url


def _http_parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address like https://api.openai.com/v1")
    if "@" in parts.netloc:
        raise ValueError("holds a user or password: give them as api_key or headers, where they are masked")
    return parts


def _language(code: str) -> str:
    if code not in CODES:
        refuse((), f"is {code!r}; it must be the two letters of a language in ISO 639-1: en, de, zh, …")
    return code


def _decision(value: object) -> object:
    if value == "auto":
        return value
    try:
        threshold = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        threshold = 0
    if not 0 < threshold <= 1:
        raise ValueError("must be auto, or a cosine above 0 and at most 1")
    return threshold


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Names stand in headers, metrics and paths."""
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
"""RFC 9110, 5.6.2."""
Text = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, AfterValidator(_header_value)]
ClientKey = Annotated[Secret, AfterValidator(_not_empty)]
HttpUrl = Annotated[str, AfterValidator(base_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Cosine = Annotated[float, Field(gt=0, le=1)]
WrongShare = Annotated[float, Field(gt=0, lt=0.5)]
LanguageCode = Annotated[str, AfterValidator(_language)]
"""ISO 639-1."""
Decision = Annotated[Literal["auto"] | float, BeforeValidator(_decision)]
