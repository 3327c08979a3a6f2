"""Which answers are hit so often that they are worth fetching anew before they are stale."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheguard.matching.decide import Hit

# Of its time to live: long enough for a refresh, short enough to be worth little.
LAST_PART = 0.1


class Popularity:
    """Hits of each answer since it was written, of those that were hit lately. kept: how many are remembered."""

    def __init__(self, kept: int = 10_000) -> None:
        self._kept = kept
        self._hits: OrderedDict[tuple[str, float], float] = OrderedDict()

    def is_due(self, hit: Hit, after_hits: int | None) -> bool:
        """Count a hit: whether it is the one that shall fetch the answer anew. after_hits: None where none shall.

        That is said once of what was written once: where the refresh fails, the answer goes stale in its time.
        """
        if after_hits is None:
            return False
        answer, fresh = hit.match.answer, hit.fresh
        written = (answer.id, answer.refreshed_at)
        hits = self._hits.pop(written, 0) + 1
        is_due = hits >= after_hits and fresh.ttl_s <= LAST_PART * (fresh.age_s + fresh.ttl_s)
        self._hits[written] = -inf if is_due else hits
        if len(self._hits) > self._kept:
            self._hits.popitem(last=False)
        return is_due
