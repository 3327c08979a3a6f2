"""How old an answer may be: the route's terms (RFC 5861), tightened by the request's directives (RFC 9111, 5.2.1).

An answer ages from its last refresh. Being served does not make it younger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheguard.types import Answer


class Use(Enum):
    """What an answer of some age is good for."""

    FRESH = "fresh"
    WHILE_REVALIDATE = "while-revalidate"
    ON_ERROR = "on-error"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a route allows, in seconds; the two stale spans start when the ttl ends."""

    ttl_s: float
    stale_while_revalidate_s: float
    stale_if_error_s: float


@dataclass(frozen=True, slots=True)
class Directives:
    """The request's Cache-Control. None: not said. max_stale_s: inf when said without a number."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age_s: float | None = None
    max_stale_s: float | None = None
    min_fresh_s: float | None = None


NO_DIRECTIVES = Directives()


@dataclass(frozen=True, slots=True)
class Freshness:
    """use: what for. age_s: since the last refresh. ttl_s: what is left of the time to live, negative past it."""

    use: Use
    age_s: float
    ttl_s: float


def freshness(answer: Answer, terms: Terms, directives: Directives, now: float) -> Freshness:
    """What this answer is good for. now: Unix seconds; a clock that went back makes an answer new, not negative."""
    age_s = max(0.0, now - answer.refreshed_at)
    ttl_s = (terms.ttl_s if answer.ttl_s is None else answer.ttl_s) - age_s
    return Freshness(_use(age_s, ttl_s, terms, directives), age_s, ttl_s)


def _use(age_s: float, ttl_s: float, terms: Terms, directives: Directives) -> Use:
    staleness_s = max(0.0, -ttl_s)
    wanted = not directives.no_cache
    if directives.max_age_s is not None:
        wanted = wanted and age_s <= directives.max_age_s
    if directives.min_fresh_s is not None:
        wanted = wanted and ttl_s >= directives.min_fresh_s
    if wanted and ttl_s > 0:
        return Use.FRESH
    may_be_stale_s = terms.stale_while_revalidate_s
    if directives.max_stale_s is not None:
        may_be_stale_s = min(may_be_stale_s, directives.max_stale_s)
    elif directives.max_age_s is not None:
        may_be_stale_s = 0.0  # who says max-age alone wants nothing stale (5.2.1.1)
    if wanted and staleness_s < may_be_stale_s:
        return Use.WHILE_REVALIDATE
    # The directives are preferences for an answer from upstream; with no upstream left, an old answer beats none.
    if ttl_s > 0 or staleness_s < max(terms.stale_if_error_s, terms.stale_while_revalidate_s):
        return Use.ON_ERROR
    return Use.NONE
