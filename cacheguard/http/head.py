"""A chat request's header fields, those that matter, read in one go."""

from __future__ import annotations

import re
from random import getrandbits
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.types import Scope

_READ = frozenset({b"authorization", b"cache-control", b"x-cacheguard-route", b"x-request-id"})
_SOUND_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Head(NamedTuple):
    """authorization, route: None where the request has no such field. cache_control: of several fields all."""

    request_id: str
    authorization: str | None = None
    route: str | None = None
    cache_control: str = ""


def read_head(scope: Scope) -> Head:
    """The fields of an ASGI request; its id is the client's own, where it sends a sound one, else a new one."""
    said: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            text = value.decode("latin-1")
            said[name] = f"{said[name]},{text}" if name in said else text
    return Head(
        sound_id(said.get(b"x-request-id", "")),
        said.get(b"authorization"),
        said.get(b"x-cacheguard-route"),
        said.get(b"cache-control", ""),
    )


def sound_id(said: str) -> str:
    return said if said and _SOUND_ID.fullmatch(said) else f"req_{getrandbits(96):024x}"
