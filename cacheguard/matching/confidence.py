"""How sure is it that an answer fits? A logistic model over a dozen features, whose weights a person can read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cacheguard.matching.decide import Judged, by_answer, nearest_first
from cacheguard.matching.features import ALONE, AMONG, alone, among
from cacheguard.matching.guards import first_veto
from cacheguard.matching.head import HEAD, Head
from cacheguard.matching.likeness import LIKENESS, Likeness
from cacheguard.matching.same_words import same_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.decide import Match
    from cacheguard.matching.features import Feature
    from cacheguard.matching.guards.base import Guard
    from cacheguard.question import Question

# For an answer among others that the route's head knows.
HEADED = AMONG + HEAD
# For a lone phrasing, where the route's pairs taught a likeness.
LIKENED = ALONE + LIKENESS
# How sure an equal text is, where the route trusts it. Equal texts of the replays: on banking77 4 of 4 have the same
# answer; on vira, whose labels are noisy, 41 of 54: there `tune` finds that they can't be trusted.
EXACT = 0.99
# A threshold that no confidence reaches.
NOTHING_SIMILAR = 1.0
# Hardly any text that is less similar has the same words: such need not be read.
_SAME_WORDS_AT = 0.8


class Weighed(NamedTuple):
    """An answer through its nearest phrasing. confidence: probability that it fits. because: logits by feature.

    Their sum and the model's bias are the logit of the confidence.
    """

    match: Match
    confidence: float
    because: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Logistic:
    """A weight for each feature's distance from what is usual.

    weights: logits for one spread. centre, spread: mean and standard deviation where the model was fitted, so that a
    feature that is as usual speaks neither for nor against.
    """

    features: tuple[Feature, ...]
    weights: NDArray[np.float64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    bias: float

    def logits(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each feature adds to the bias. values: (..., features)."""
        return (values - self.centre) / self.spread * self.weights

    def weighed(self, matches: Sequence[Match], values: NDArray[np.float64]) -> list[Weighed]:
        """values: (matches, features)."""
        names = [feature.name for feature in self.features]
        logits = self.logits(values)
        sums = (logits.sum(axis=1) + self.bias).tolist()
        return [
            Weighed(match, probability(total), dict(zip(names, of_match, strict=True)))
            for match, total, of_match in zip(matches, sums, logits.tolist(), strict=True)
        ]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], features: tuple[Feature, ...]) -> Logistic:
        """Raises ValueError for features that this program doesn't compute, or counts against their sign."""
        rows = body["features"]
        if set(rows) != {feature.name for feature in features}:
            raise ValueError(f"the model weighs {sorted(rows)}, not {sorted(feature.name for feature in features)}")
        weights, centre, spread = (
            np.array([rows[feature.name][part] for feature in features], np.float64)
            for part in ("weight", "centre", "spread")
        )
        bias = float(body["bias"])
        if not all(np.isfinite(part).all() for part in (weights, centre, spread, bias)) or (spread <= 0).any():
            raise ValueError("a weight, centre or spread of the model is no usable number")
        for feature, weight in zip(features, weights, strict=True):
            if feature.sign * weight < 0:
                raise ValueError(f"{feature.name} must not count with {weight:g}")
        return cls(features, weights, centre, spread, bias)

    def to_json(self) -> dict[str, Any]:
        rows = zip(self.features, self.weights, self.centre, self.spread, strict=True)
        return {
            "bias": round(self.bias, 4),
            "features": {
                feature.name: {"weight": round(weight, 4), "centre": round(centre, 4), "spread": round(spread, 4)}
                for feature, weight, centre, spread in rows
            },
        }


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """among: for an answer among others. alone: for the only phrasing there is. provenance: what it was fitted on.

    headed: for an answer among others that the route's head knows. likened: for the only phrasing there is, where the
    route's pairs taught a likeness. Each with what it weighs, or neither.
    """

    among: Logistic
    alone: Logistic
    provenance: Mapping[str, Any]
    head: Head | None = None
    headed: Logistic | None = None
    likeness: Likeness | None = None
    likened: Logistic | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ConfidenceModel:
        """Raises ValueError where it isn't a model of this program's features."""
        try:
            return cls(
                Logistic.from_json(body["among"], AMONG),
                Logistic.from_json(body["alone"], ALONE),
                dict(body["provenance"]),
                Head.from_json(body["head"]) if "head" in body else None,
                Logistic.from_json(body["headed"], HEADED) if "head" in body else None,
                Likeness.from_json(body["likeness"]) if "likeness" in body else None,
                Logistic.from_json(body["likened"], LIKENED) if "likeness" in body else None,
            )
        except (AttributeError, KeyError, TypeError) as exc:
            raise ValueError(f"no confidence model: {exc!r}") from exc

    def to_json(self) -> dict[str, Any]:
        body = {"among": self.among.to_json(), "alone": self.alone.to_json(), "provenance": dict(self.provenance)}
        if self.head and self.headed:
            body |= {"head": self.head.to_json(), "headed": self.headed.to_json()}
        if self.likeness and self.likened:
            body |= {"likeness": self.likeness.to_json(), "likened": self.likened.to_json()}
        return body

    def weigh(self, text: str, matches: Sequence[Match], vector: NDArray[np.float32] | None = None) -> list[Weighed]:
        """One for each answer, the surest first. matches: phrasings near the question, in any order."""
        ordered = nearest_first(matches)
        return self.weigh_each(text, ordered, by_answer(ordered), vector)

    def weigh_each(
        self,
        text: str,
        ordered: Sequence[Match],
        phrasings: Mapping[str, Sequence[Match]],
        vector: NDArray[np.float32] | None,
    ) -> list[Weighed]:
        """The same of matches that are in order, nearest first, and grouped by answer."""
        nearest = [match for match, *_ in phrasings.values()]
        if not nearest:
            return []
        if any(match.vector is None for match in ordered):
            weighed = self.alone.weighed(nearest, np.array([alone(match) for match in nearest]))
        elif len(ordered) == 1:
            weighed = [self._lone(text, vector, ordered[0])]
        else:
            weighed = self._compared(text, vector, nearest, among(text, ordered))
        weighed.sort(key=lambda one: -one.confidence)
        return weighed

    def _lone(self, text: str, vector: NDArray[np.float32] | None, match: Match) -> Weighed:
        """match: with its vector."""
        row, weights = alone(match), self.alone
        if vector is not None and match.vector is not None and self.likeness and self.likened:
            row = np.append(row, self.likeness.logit(text, match.phrasing.text, vector, match.vector))
            weights = self.likened
        [weighed] = weights.weighed([match], row[None])
        return weighed

    def _compared(
        self, text: str, vector: NDArray[np.float32] | None, nearest: list[Match], rows: NDArray[np.float64]
    ) -> list[Weighed]:
        """Those that the head knows with it, the others without. rows: of `AMONG`, one for each answer."""
        if vector is None or not self.head or not self.headed:
            return self.among.weighed(nearest, rows)
        is_known = [match.answer.id in self.head.place for match in nearest]
        known, others = list(compress(nearest, is_known)), []
        added = self.head.features(text, vector, [match.answer.id for match in known])
        if len(known) < len(nearest):
            is_other = np.logical_not(is_known)
            others = self.among.weighed(list(compress(nearest, is_other)), rows[is_other])
            rows = rows[is_known]
        return [*self.headed.weighed(known, np.concatenate([rows, added], axis=1)), *others]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The rule of a route whose confidence is a probability.

    threshold: the least confidence that is served, `NOTHING_SIMILAR` for none. guards: who may object. trusts_exact:
    see Rule. near_exact: whether the same words are as good as an equal text. lone_threshold: the least confidence of a
    phrasing that is the only one near; None: that of all others. What labels prove of answers among others they don't
    prove of it, nor do pairs of those.
    """

    model: ConfidenceModel
    threshold: float
    guards: tuple[Guard, ...] = ()
    trusts_exact: bool = True
    near_exact: bool = False
    lone_threshold: float | None = None

    def judge(
        self,
        question: Question,
        matches: Sequence[Match],
        now: float,
        vector: NDArray[np.float32] | None = None,
    ) -> list[Judged]:
        """Guards are asked about nothing that isn't sure enough anyway."""
        if len(matches) == 1 and self._is_trusted(matches[0]):  # in microseconds: most hits of a busy cache are exact
            return [self.reconsider(question, Judged(matches[0], EXACT, accepted=False), matches, now)]
        judged = []
        least = self._least(matches)
        ordered = nearest_first(matches)
        phrasings = by_answer(ordered)
        for weighed in self.model.weigh_each(question.text, ordered, phrasings, vector):
            match, confidence, because = weighed.match, weighed.confidence, weighed.because
            if self._is_trusted(match):
                confidence, because = max(confidence, EXACT), {}
            of_answer = phrasings[match.answer.id]
            accepted, veto = self._allows(question, match, of_answer, now, is_sure=confidence >= least)
            judged.append(Judged(match, confidence, accepted, veto, because))
        judged.sort(key=lambda one: -one.confidence)
        return judged

    def reconsider(self, question: Question, judged: Judged, matches: Sequence[Match], now: float) -> Judged:
        phrasings = by_answer(nearest_first(matches))[judged.match.answer.id]
        is_sure = judged.confidence >= self._least(matches)
        accepted, veto = self._allows(question, judged.match, phrasings, now, is_sure=is_sure)
        return judged._replace(accepted=accepted, veto=veto)

    def _allows(
        self, question: Question, match: Match, phrasings: Sequence[Match], now: float, *, is_sure: bool
    ) -> tuple[bool, str]:
        """Whether it is accepted, and the guard that objects, or "". phrasings: the answer's, nearest first."""
        if not (is_sure or self._is_trusted(match) or self._is_near(question, phrasings)):
            return False, ""
        veto = first_veto(question, phrasings, self.guards, now)
        return not veto, veto

    def _least(self, matches: Sequence[Match]) -> float:
        """The confidence that is sure enough; more than any where nothing similar is served."""
        least = self.threshold if self.lone_threshold is None or len(matches) > 1 else self.lone_threshold
        return least if least < NOTHING_SIMILAR else math.inf

    def _is_trusted(self, match: Match) -> bool:
        return match.exact and self.trusts_exact

    def _is_near(self, question: Question, phrasings: Sequence[Match]) -> bool:
        return self.near_exact and is_near_exact(question, phrasings)


def is_near_exact(question: Question, phrasings: Iterable[Match]) -> bool:
    """Whether one of them asks in the same words. An equal text is more than that, and is trusted or not by itself."""
    return any(
        same_words(question.text, match.phrasing.text)
        for match in phrasings
        if not match.exact and match.similarity >= _SAME_WORDS_AT
    )


@cache
def default_model() -> ConfidenceModel:
    """The one that is shipped, fitted by `python -m cacheguard.tuning.train`."""
    return ConfidenceModel.from_json(json.loads(files(__package__).joinpath("default_model.json").read_text("utf-8")))


def probability(logit: float) -> float:
    """Without overflow at either end."""
    return 0.5 * (1.0 + math.tanh(0.5 * logit))
