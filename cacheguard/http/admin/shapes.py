"""What several parts of the administration read and show."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, NotRequired

from annotated_types import MinLen
from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from cacheguard.errors import RequestError

if TYPE_CHECKING:
    from fastapi import Request

_A_NUMBER: Final = re.compile("[0-9]{1,9}")
_CLOSED: Final = with_config(ConfigDict(extra="forbid", strict=True))


@_CLOSED
class _Text(TypedDict):
    text: Annotated[str, MinLen(1)]


@_CLOSED
class _Into(TypedDict):
    into: str


@_CLOSED
class _Split(TypedDict):
    phrasings: Annotated[list[int], MinLen(1)]
    text: NotRequired[Annotated[str, MinLen(1)] | None]


TEXT: Final = TypeAdapter(_Text)
INTO: Final = TypeAdapter(_Into)
SPLIT: Final = TypeAdapter(_Split)


def limit_of(request: Request) -> int:
    """How much the request wants to see at most. Raises RequestError."""
    limit = request.query_params.get("limit", "100")
    if not _A_NUMBER.fullmatch(limit):
        raise RequestError("limit takes a whole number, such as 100", param="limit")
    return int(limit)


def utc(at: float) -> str:
    """at: Unix seconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
