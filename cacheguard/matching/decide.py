"""The decision: of the earlier answers near a question, is one right for it, and may it be served now?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from cacheguard.matching.freshness import Freshness, Use, freshness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheguard.matching.freshness import Directives, Terms
    from cacheguard.types import Answer, Phrasing


class MissReason(StrEnum):
    """Why nothing in the cache fits."""

    NOTHING_NEAR = "nothing-near"  # the scope holds no phrasing
    NOT_SURE = "not-sure"  # the nearest answer may be another question's
    EXPIRED = "expired"  # it fits, but is too old for anything
    CUT = "cut"  # the model read only the beginning of the prompt
    CACHE_BROKEN = "cache-broken"
    READ_OFF = "read-off"  # the route does not read


@dataclass(frozen=True, slots=True)
class Match:
    """A phrasing of an answer near the question. similarity: cosine. exact: the folded texts are equal."""

    phrasing: Phrasing
    answer: Answer
    similarity: float
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """Serve it."""

    match: Match
    fresh: Freshness


@dataclass(frozen=True, slots=True)
class Stale:
    """It fits, but a new answer is due. servable: serve it while one is asked for; else only if none can be had."""

    match: Match
    fresh: Freshness
    servable: bool


@dataclass(frozen=True, slots=True)
class Miss:
    """Ask the tiers. nearest: what came closest, for the trace."""

    reason: MissReason
    nearest: Match | None = None


Decision: TypeAlias = Hit | Stale | Miss


class Rule(Protocol):
    """Tells whether a match is sure enough."""

    def accepts(self, match: Match) -> bool: ...


@dataclass(frozen=True, slots=True)
class CosineThreshold:
    """Accepts what is at least this similar. cosine: in (0, 1], higher serves less."""

    cosine: float

    def accepts(self, match: Match) -> bool:
        return match.exact or match.similarity >= self.cosine


# MiniLM-L6 int8, other people's questions against the warm part of the public sets, exact matches apart, measured by
# tests/benchmarks/threshold.py: at 0.97, 1 of 117 hits is wrong on banking77 and 14 of 181 on vira, whose labels differ
# on 13 of 54 identical texts; at 0.95, 9 of 260 and 29 of 344; at 0.90, 32 of 681 and 99 of 827.
CAUTIOUS = CosineThreshold(0.97)


def decide(
    matches: Iterable[Match],
    *,
    rule: Rule,
    terms: Terms,
    directives: Directives,
    now: float,
) -> Decision:
    """Decide over the matches of one question in one scope. now: Unix seconds.

    Each answer speaks through its nearest phrasing. Among those that the rule accepts, the freshest use wins, then the
    nearest.
    """
    by_answer = nearest_of_each_answer(matches)
    if not by_answer:
        return Miss(MissReason.NOTHING_NEAR)
    accepted = [match for match in by_answer if rule.accepts(match)]
    if not accepted:
        return Miss(MissReason.NOT_SURE, by_answer[0])
    ages = [(match, freshness(match.answer, terms, directives, now)) for match in accepted]
    for use in (Use.FRESH, Use.WHILE_REVALIDATE, Use.ON_ERROR):
        for match, fresh in ages:
            if fresh.use is use:
                return Hit(match, fresh) if use is Use.FRESH else Stale(match, fresh, use is Use.WHILE_REVALIDATE)
    return Miss(MissReason.EXPIRED, accepted[0])


def nearest_of_each_answer(matches: Iterable[Match]) -> list[Match]:
    """For each answer its nearest phrasing, nearest answer first; of equally near ones the exact, then the oldest."""
    nearest: dict[str, Match] = {}
    for match in sorted(matches, key=lambda match: (-match.similarity, not match.exact, match.phrasing.id)):
        nearest.setdefault(match.answer.id, match)
    return list(nearest.values())


def explain(decision: Decision) -> dict[str, object]:
    """The decision in words and figures, without any prompt's text."""
    match = decision.nearest if isinstance(decision, Miss) else decision.match
    facts: dict[str, object] = {"decision": type(decision).__name__.lower()}
    match decision:
        case Miss(reason):
            facts["reason"] = reason.value
        case Hit(fresh=fresh) | Stale(fresh=fresh):
            facts |= {"age_s": round(fresh.age_s), "ttl_s": round(fresh.ttl_s)}
    if match is not None:
        facts |= {"entry": match.answer.id, "similarity": round(match.similarity, 4), "exact": match.exact}
    return facts
