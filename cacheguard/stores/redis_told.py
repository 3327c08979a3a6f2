"""An entry of a feed: what one write did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from cacheguard.stores.base import Touched

if TYPE_CHECKING:
    from collections.abc import Iterator


class Told(NamedTuple):
    """What an entry tells."""

    touched: list[Touched]
    vectors: list[tuple[str, int, bool]]  # scope, phrasing id, whether it is gone
    barred: list[tuple[str, str, str, bool]]  # scope, key, answer id, whether it is
    turns: list[tuple[str, str]]  # that are over: scope, digest of the key


def moment(entry: bytes) -> tuple[int, int]:
    """A stream entry's id as numbers: Unix milliseconds, and which in that one."""
    ms, _, nth = entry.partition(b"-")
    return int(ms), int(nth)


def read_told(events: bytes) -> Told:
    """Of what rows.lua publishes: kinds and values by turns."""
    told = Told([], [], [], [])
    scope, key, phrasing_id = "", "", 0
    each: Iterator[str] = iter(json.loads(events))
    for kind, value in zip(each, each, strict=True):
        match kind:
            case "s":
                scope = value
            case "a":
                told.touched.append(Touched(value))
            case "p":
                phrasing_id = int(value)
            case "k":
                key = value
                told.touched.append(Touched("", scope, key, phrasing_id))
                phrasing_id = 0
            case "+" | "-":
                told.vectors.append((scope, int(value), kind == "-"))
            case "t":
                told.turns.append((scope, value))
            case _:  # x or y
                told.barred.append((scope, key, value, kind == "x"))
    return told
