"""Ids of completions, which feedback refers to.

Where a completion gives a phrasing its own answer, the id carries that phrasing, so that nothing need be written down
on an exact hit. Otherwise the store remembers what was served under the id.
"""

from __future__ import annotations

import re
import secrets
from random import getrandbits

_OF_PHRASING = re.compile(r"chatcmpl-p([0-9a-f]+)-[0-9a-f]{12}")


def new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


def id_of_phrasing(phrasing_id: int) -> str:
    """Another for every call, but nobody's secret: whoever has the answer may speak of it."""
    return f"chatcmpl-p{phrasing_id:x}-{getrandbits(48):012x}"


def phrasing_of(completion_id: str) -> int | None:
    """The phrasing that an id carries, or None."""
    match = _OF_PHRASING.fullmatch(completion_id)
    return int(match[1], 16) if match else None
