"""Decisions that are worth a second opinion: semantic hits, and near-misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cacheguard.matching.decide import Hit, Judged, Miss, MissReason, Stale

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cacheguard.matching.decide import Match
    from cacheguard.question import Question
    from cacheguard.request import Asked, Recalled

# How far below the rule's threshold the confidence of a near-miss lies at most: of what is less sure, few fit.
BAND: Final = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """A question and the answer that it got, or nearly got. sharing_key: of the call that answers a near-miss."""

    route: str
    question: Question
    match: Match
    confidence: float
    is_near_miss: bool
    sharing_key: Hashable | None


def case_of(asked: Asked, recalled: Recalled) -> Case | None:
    """None: there is nothing to be said of the decision, or nothing of the request may be stored.

    What a guard objects to is no near-miss: a judge does not know whose order is meant, nor what day it is.
    """
    if asked.request.directives.no_store:
        return None
    match recalled.decision:
        case Hit(judged) | Stale(judged, servable=True) if not judged.match.exact:
            return _case(asked, judged, is_near_miss=False)
        case Miss(MissReason.NOT_SURE, Judged() as judged) if asked.may_be_kept and _is_near(asked, judged):
            return _case(asked, judged, is_near_miss=True)
        case _:
            return None


def _is_near(asked: Asked, judged: Judged) -> bool:
    return not judged.match.exact and judged.confidence >= asked.route.rule.threshold - BAND


def _case(asked: Asked, judged: Judged, *, is_near_miss: bool) -> Case:
    return Case(asked.route.name, asked.question, judged.match, judged.confidence, is_near_miss, asked.sharing_key)
