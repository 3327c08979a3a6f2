"""The decision: of the earlier answers near a question, is one right for it, and may it be served now?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from cacheguard.matching.freshness import Freshness, Use, freshness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.matching.freshness import Directives, Terms
    from cacheguard.question import Question
    from cacheguard.types import Answer, Phrasing


class MissReason(StrEnum):
    """Why nothing in the cache fits."""

    NOTHING_NEAR = "nothing-near"  # the scope holds no phrasing
    NOT_SURE = "not-sure"  # the nearest answer may be another question's
    GUARDED = "guarded"  # a guard objects to it
    EXPIRED = "expired"  # it fits, but is too old for anything
    CUT = "cut"  # the model read only the beginning of the prompt
    CACHE_BROKEN = "cache-broken"
    READ_OFF = "read-off"  # the route does not read


class Match(NamedTuple):
    """A phrasing of an answer near the question. similarity: cosine. exact: the folded texts are equal.

    vector: the phrasing's, float32 (dimension,), unit length; None where none is at hand.
    """

    phrasing: Phrasing
    answer: Answer
    similarity: float
    exact: bool = False
    vector: NDArray[np.float32] | None = None


class Judged(NamedTuple):
    """What a rule makes of one answer, through the phrasing that speaks for it.

    confidence: calibrated probability that it fits. veto: the guard that objects, or "".
    because: what spoke for (+) and against (-) it, in logits.
    """

    match: Match
    confidence: float
    accepted: bool
    veto: str = ""
    because: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Hit:
    """Serve it."""

    judged: Judged
    fresh: Freshness

    @property
    def match(self) -> Match:
        return self.judged.match


@dataclass(frozen=True, slots=True)
class Stale:
    """It fits, but a new answer is due. servable: serve it while one is asked for; else only if none can be had."""

    judged: Judged
    fresh: Freshness
    servable: bool

    @property
    def match(self) -> Match:
        return self.judged.match


@dataclass(frozen=True, slots=True)
class Miss:
    """Ask the tiers. judged: what came closest, for the trace."""

    reason: MissReason
    judged: Judged | None = None


Decision: TypeAlias = Hit | Stale | Miss


class Rule(Protocol):
    """Tells how sure it is of each answer near a question. trusts_exact: an equal text is enough, unasked.

    threshold: the least confidence that it accepts.
    """

    @property
    def trusts_exact(self) -> bool: ...

    @property
    def threshold(self) -> float: ...

    def judge(
        self, question: Question, matches: Sequence[Match], now: float, vector: NDArray[np.float32] | None = None
    ) -> list[Judged]:
        """One for each answer, the surest first.

        matches: phrasings of one scope, in any order. now: Unix seconds. vector: the question's, as in a match.
        """
        ...

    def reconsider(self, question: Question, judged: Judged, matches: Sequence[Match], now: float) -> Judged:
        """The same of an answer whose confidence further evidence has changed."""
        ...


@dataclass(frozen=True, slots=True)
class CosineThreshold:
    """Accepts what is at least this similar; its confidence is the cosine. cosine: in (0, 1], higher serves less."""

    cosine: float
    trusts_exact: bool = True

    @property
    def threshold(self) -> float:
        return self.cosine

    def judge(
        self,
        question: Question,  # noqa: ARG002 - here and below: the protocol's
        matches: Sequence[Match],
        now: float,  # noqa: ARG002
        vector: NDArray[np.float32] | None = None,  # noqa: ARG002
    ) -> list[Judged]:
        return [
            Judged(match, min(1.0, max(0.0, match.similarity)), match.exact or match.similarity >= self.cosine)
            for match, *_ in by_answer(nearest_first(matches)).values()
        ]

    def reconsider(
        self,
        question: Question,  # noqa: ARG002
        judged: Judged,
        matches: Sequence[Match],  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> Judged:
        """A cosine is no confidence that evidence could change."""
        return judged


def decide(judged: Sequence[Judged], *, terms: Terms, directives: Directives, now: float) -> Decision:
    """Decide over what a rule made of a question's answers, the surest first. now: Unix seconds.

    Among those that the rule accepts, the freshest use wins, then the surest.
    """
    if not judged:
        return Miss(MissReason.NOTHING_NEAR)
    accepted = [one for one in judged if one.accepted]
    if not accepted:
        return Miss(MissReason.GUARDED if judged[0].veto else MissReason.NOT_SURE, judged[0])
    stale = []
    for one in accepted:
        fresh = freshness(one.match.answer, terms, directives, now)
        if fresh.use is Use.FRESH:
            return Hit(one, fresh)
        stale.append((one, fresh))
    for use in (Use.WHILE_REVALIDATE, Use.ON_ERROR):
        for one, fresh in stale:
            if fresh.use is use:
                return Stale(one, fresh, use is Use.WHILE_REVALIDATE)
    return Miss(MissReason.EXPIRED, accepted[0])


def nearest_first(matches: Iterable[Match]) -> list[Match]:
    """Of equally near ones the exact, then the oldest."""
    return sorted(matches, key=lambda match: (-match.similarity, not match.exact, match.phrasing.id))


def by_answer(matches: Iterable[Match]) -> dict[str, list[Match]]:
    """The phrasings of each answer near the question, by its id, in the order in which they come."""
    found: dict[str, list[Match]] = {}
    for match in matches:
        found.setdefault(match.answer.id, []).append(match)
    return found


def explain(decision: Decision) -> dict[str, object]:
    """The decision in words and figures, without any prompt's text."""
    facts: dict[str, object] = {"decision": type(decision).__name__.lower()}
    match decision:
        case Miss(reason):
            facts["reason"] = reason.value
        case Hit(fresh=fresh) | Stale(fresh=fresh):
            facts |= {"age_s": round(fresh.age_s), "ttl_s": round(fresh.ttl_s)}
    if (judged := decision.judged) is not None:
        found = judged.match
        facts |= {"entry": found.answer.id, "similarity": round(found.similarity, 4), "exact": found.exact}
        facts |= {"confidence": round(judged.confidence, 4)}
        if judged.veto:
            facts["veto"] = judged.veto
        if judged.because:
            facts["because"] = {name: round(logits, 2) for name, logits in judged.because.items()}
    return facts
