"""From labelled questions to a rule: fit the confidence, choose what it must reach, and keep what that rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from cacheguard.matching.confidence import NOTHING_SIMILAR, Calibrated, default_model, is_near_exact
from cacheguard.tuning.fitting import fit_model, lessons_alone, lessons_among
from cacheguard.tuning.guarantee import Choice, choose
from cacheguard.tuning.heads import RouteFit, may_have_head
from cacheguard.tuning.labels import Labelled
from cacheguard.tuning.likenesses import with_likeness
from cacheguard.tuning.rehearsal import Cached

if TYPE_CHECKING:
    from cacheguard.matching.confidence import ConfidenceModel
    from cacheguard.matching.decide import Match
    from cacheguard.matching.guards.base import Guard

Fit: TypeAlias = Callable[[Sequence[Labelled]], "ConfidenceModel"]

# Every question is judged by a model that the other four fifths taught. On splits of banking77, choosing on such
# judgements served 46 to 47 % at most 5 % wrong; fitting on one half and choosing on the other, 30 %.
_FOLDS: Final = 5
# How many labels of exact matches weigh as much as what confidences say of them, as far as there are so many. By labels
# alone, they are trusted where the few that were seen happen to be right: of 69 in vira, 14 are wrong. In 1,000 splits
# with 664 labels that broke 27 promises of 1 % (with this 7), and 27 of the 57 broken ones of 2 % (20 of 51).
_TOLD: Final = 20


class Promise(NamedTuple):
    """Of what the cache serves, at most `max_wrong` is wrong, with this confidence. Both above 0 and below 1."""

    max_wrong: float
    confidence: float


class Served(NamedTuple):
    """What a rule would serve if any confidence were enough; confidence 0 where nothing. is_right: None if unknown."""

    confidence: float
    is_right: bool | None
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """How many labelled questions are of a kind, and how many of these would have been answered wrong.

    expected: how many of them confidences would expect to be wrong, by models that they did not teach.
    """

    asked: int
    wrong: int
    expected: float = 0.0

    @classmethod
    def of(cls, served: Iterable[Served]) -> Seen:
        known = [one.is_right for one in served if one.is_right is not None]
        return cls(len(known), known.count(False))

    def allows(self, max_wrong: float) -> bool:
        """Whether nothing speaks against it; where nothing was seen, nothing does."""
        if not self.asked:
            return True
        told = min(self.asked, _TOLD)
        both = (self.wrong + told * self.expected / self.asked) / (self.asked + told)
        return max(self.wrong / self.asked, both) <= max_wrong


@dataclass(frozen=True, slots=True)
class Tuned:
    """A rule, and what it rests on. exact: questions whose very text is in the cache. near: whose words are, or text.

    of_lone: whether the labels are pairs, or for the most part questions with one phrasing near; they prove nothing of
    others, nor others of them.

    Where the labels prove nothing, the rule serves nothing that is only similar.
    """

    rule: Calibrated
    choice: Choice
    exact: Seen
    near: Seen
    of_lone: bool

    @property
    def threshold(self) -> float:
        """What the rule demands of such questions as were labelled."""
        lone = self.rule.lone_threshold
        return lone if self.of_lone and lone is not None else self.rule.threshold


def fit_for(phrasings: Sequence[Match]) -> Fit:
    """How a model is fitted for a cache of these phrasings: from the shipped one, with a head where they allow one.

    phrasings: each with its vector.
    """
    if phrasings and may_have_head(cached := Cached(phrasings)):
        return RouteFit(cached, default_model())
    return _fit_shipped


def _fit_shipped(labelled: Sequence[Labelled]) -> ConfidenceModel:
    """The shipped model, as far from itself as these labels carry it."""
    shipped = default_model()
    provenance = {**shipped.provenance, "labels": len(labelled)}
    fitted = fit_model(lessons_among(labelled), lessons_alone(labelled), provenance, shipped)
    return with_likeness(fitted, labelled)


def tune(labelled: Sequence[Labelled], fit: Fit, guards: tuple[Guard, ...], promise: Promise, now: float) -> Tuned:
    """The rule with the most hits that the labels prove to keep the promise. now: Unix seconds."""
    of_lone = 2 * sum(map(_is_lone, labelled)) > len(labelled)
    held_out = _held_out(labelled, fit, guards, now, of_lone=of_lone)
    exact = _seen_exact(held_out)
    trusts_exact = exact.allows(promise.max_wrong)
    served = [one.trusting if trusts_exact else one.asking for one in held_out]
    known = [one for one in served if one.is_right is not None]
    choice = choose([one.confidence for one in known], [bool(one.is_right) for one in known], *promise)
    near = Seen.of(map(_as_near_exact, labelled))
    rule = Calibrated(fit(labelled), NOTHING_SIMILAR, guards, trusts_exact, lone_threshold=NOTHING_SIMILAR)
    if choice.chosen is None:
        rule = replace(rule, near_exact=trusts_exact and near.allows(promise.max_wrong))
    elif of_lone:
        rule = replace(rule, lone_threshold=choice.chosen.threshold)
    else:
        rule = replace(rule, threshold=choice.chosen.threshold)
    return Tuned(rule, choice, exact, near, of_lone)


def _is_lone(one: Labelled) -> bool:
    return len(one.matches) == 1


class _HeldOut(NamedTuple):
    """A question under a model that it did not teach, for a rule that trusts exact matches and one that does not."""

    trusting: Served
    asking: Served


def _held_out(
    labelled: Sequence[Labelled], fit: Fit, guards: tuple[Guard, ...], now: float, *, of_lone: bool
) -> list[_HeldOut]:
    """Those that can prove something, each under the model of the other folds."""
    found = []
    for fold in _folds(labelled):
        others = [one for at, one in enumerate(labelled) if at not in fold]
        asking = Calibrated(fit(others), 0.0, guards, trusts_exact=False)
        trusting = replace(asking, trusts_exact=True)
        found += [
            _HeldOut(_served(trusting, labelled[at], now), _served(asking, labelled[at], now))
            for at in fold
            if not labelled[at].is_complaint and _is_lone(labelled[at]) is of_lone
        ]
    return found


def _seen_exact(held_out: Iterable[_HeldOut]) -> Seen:
    """An equal text whose answer would not be the surest, were it not trusted, is expected to be wrong."""
    known = [one for one in held_out if one.trusting.is_exact and one.trusting.is_right is not None]
    expected = sum(1 - one.asking.confidence if one.asking.is_exact else 1.0 for one in known)
    return replace(Seen.of(one.trusting for one in known), expected=expected)


def _folds(labelled: Sequence[Labelled]) -> list[range]:
    """Where all have their time, each fold is a stretch of it: what was asked in one hour is not judged by itself."""
    size = len(labelled)
    if any(one.at is None for one in labelled):
        return [range(first, size, _FOLDS) for first in range(_FOLDS)]
    return [range(size * fold // _FOLDS, size * (fold + 1) // _FOLDS) for fold in range(_FOLDS)]


def _served(rule: Calibrated, one: Labelled, now: float) -> Served:
    for judged in rule.judge(one.question, one.matches, now, one.vector):
        if judged.accepted:
            match = judged.match
            confidence = 1.0 if match.exact and rule.trusts_exact else judged.confidence
            return Served(confidence, one.fits(match.answer), match.exact)
    return Served(0.0, is_right=False)


def _as_near_exact(one: Labelled) -> Served:
    """By the nearest phrasing of the same words; is_right: None where there is none, or the question proves nothing."""
    found = (match for match in one.matches if match.exact or is_near_exact(one.question, [match]))
    match = None if one.is_complaint else next(found, None)
    return Served(1.0, None if match is None else one.fits(match.answer))
