"""Settings of what a judge looks at in service, off the requests' way."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cacheguard.settings.spending import Spending
from cacheguard.settings.values import Name, Section

Share = Annotated[float, Field(ge=0, le=1)]


class Judging(Section):
    tier: Name
    """Name of the tier, no template, that tells whether an answer fits a question."""
    hits: Share = 0.05
    """Share of the similar questions' hits that it looks at; once it finds one wrong, it looks at all of them for a
    while."""
    near_misses: Share = 0.05
    """Share of the near-misses that it looks at; one that it approves is answered from the cache from then on."""
    spending: Spending = Spending()
    """What its calls may cost, apart from the route's own limit."""
