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
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?(\d{1,9})\r\n", re.IGNORECASE)
# A client's heads are the same but for their Content-Length; past so many, they are learnt anew.
_KEPT: Final = 1024
# Longer ones carry what is seldom twice the same, such as cookies. In bytes.
_LONGEST: Final = 2048


class Head(NamedTuple):
    """authorization, route: None where the request has no such field. cache_control: of several fields all."""

    request_id: str
    authorization: str | None = None
    route: str | None = None
    cache_control: str = ""


class Heads:
    """Plain heads of HTTP/1.1 requests to one endpoint, by their bytes, as a parser understood them.

    They announce their body's length, and leave their request's id to us.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, raw: bytes, length: int) -> Head | None:
        """What the head says, if it is known but for its length. length: of the body that came, in bytes."""
        said = _LENGTH.search(raw)
        return self._known.get(_without(raw, said)) if said and int(said[1]) == length else None

    def learn(self, raw: bytes, length: int, fields: Fields) -> None:
        """raw: all up to the body. length: as in find. fields: that the parser found there."""
        said = _LENGTH.search(raw)
        if not said or int(said[1]) != length or len(raw) > _LONGEST or not _NOT_PLAIN.isdisjoint(dict(fields)):
            return
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[_without(raw, said)] = read_head(fields)


def _without(raw: bytes, length: re.Match[bytes]) -> bytes:
    return raw[: length.start(1)] + raw[length.end(1) :]


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
