"""Settings of what may be spent."""

from __future__ import annotations

from typing import Literal

from cacheguard.settings.values import NotNegative, Section


class Spending(Section):
    limit_usd: NotNegative | None = None
    """US dollars that calls to models may cost in one window; without it, there is no limit. 0 leaves the cache and
    tiers without a price."""
    per: Literal["hour", "day", "month"] = "month"
    """The window: an hour, a day or a month of the calendar, in UTC."""
