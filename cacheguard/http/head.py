"""A chat request's header fields, those that matter, read in one go; heads that come again are known by their bytes."""

from __future__ import annotations

import re
from random import getrandbits
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    Fields = Iterable[tuple[bytes, bytes]]

_READ: Final = frozenset({b"authorization", b"cache-control", b"x-cacheguard-route", b"x-request-id"})
_SOUND_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
# Fields that change how a body comes, or that differ from request to request.
_NOT_PLAIN: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"x-request-id"})
# A client's heads differ in their Content-Length alone; past so many, they are learnt anew.
_KEPT: Final = 4096
# Longer ones carry what is seldom twice the same, such as cookies. In bytes.
_LONGEST: Final = 2048


class Head(NamedTuple):
    """authorization, route: None where the request has no such field. cache_control: of several fields all."""

    request_id: str
    authorization: str | None = None
    route: str | None = None
    cache_control: str = ""


class Plain(NamedTuple):
    """A head with nothing unusual, whose request's id is up to us. length: of the body, in bytes."""

    head: Head
    length: int


class Heads:
    """Plain heads of HTTP/1.1 requests to one endpoint, by their bytes, as a parser understood them."""

    def __init__(self) -> None:
        self._known: dict[bytes, Plain] = {}

    def find(self, raw: bytes) -> Plain | None:
        return self._known.get(raw)

    def learn(self, raw: bytes, fields: Fields) -> None:
        """raw: all up to the body. fields: that the parser found there."""
        by_name = dict(fields)
        length = by_name.get(b"content-length", b"")
        if len(raw) > _LONGEST or not length.isdigit() or not _NOT_PLAIN.isdisjoint(by_name):
            return
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[raw] = Plain(read_head(fields), int(length))


def read_head(fields: Fields) -> Head:
    """What a request's fields say; its id is the client's own, where it sends a sound one, else a new one.

    fields: their names in lower case.
    """
    said: dict[bytes, str] = {}
    for name, value in fields:
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
    return said if said and _SOUND_ID.fullmatch(said) else new_id()


def new_id() -> str:
    return f"req_{getrandbits(96):024x}"
