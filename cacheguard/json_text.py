"""JSON as bytes, in the microsecond that orjson takes, whatever the value holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable


def to_json(value: object, default: Callable[[object], object] | None = None) -> bytes:
    """UTF-8, without white space; moments as RFC 3339 writes them.

    default: makes what JSON can't hold into what it can. Raises TypeError for the rest.
    """
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_UTC_Z)
    except TypeError:
        # What orjson alone refuses: lone surrogates, and integers of over 64 bits.
        return json.dumps(value, default=default).encode()
