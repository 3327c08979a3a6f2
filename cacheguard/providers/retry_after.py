"""When a provider says that asking again makes sense."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from `retry-after-ms`, else `retry-after` as seconds or HTTP date (RFC 9110, 10.2.3).

    headers: names in lower case. now: Unix seconds. None: no hint, or one that can't be read.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    if said is None:
        return None
    seconds = _number(said)
    if seconds is not None:
        return seconds
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:  # asctime's form, which is in UTC too (RFC 9110, 5.6.7)
        at = at.replace(tzinfo=UTC)
    return max(0.0, at.timestamp() - now)


def _number(said: str | None) -> float | None:
    try:
        number = float(said) if said is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
