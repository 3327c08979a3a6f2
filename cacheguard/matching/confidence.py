"""How sure is it that an answer fits? A logistic model over a dozen features, whose weights a person can read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.matching.decide import Judged, nearest_of_each_answer
from cacheguard.matching.features import ALONE, AMONG, alone, among
from cacheguard.matching.guards import first_veto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.decide import Match
    from cacheguard.matching.features import Feature
    from cacheguard.matching.guards.base import Guard
    from cacheguard.question import Question

# How sure an equal text is, where the route trusts it: of 54 texts that vira labels twice 13 got another label the
# second time, but by people who chose between answers to the same question; banking77 has none.
EXACT = 0.99


@dataclass(frozen=True, slots=True)
class Weighed:
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
    """among: for an answer among others. alone: for the only phrasing there is. provenance: what it was fitted on."""

    among: Logistic
    alone: Logistic
    provenance: Mapping[str, Any]

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ConfidenceModel:
        """Raises ValueError where it isn't a model of this program's features."""
        try:
            return cls(
                Logistic.from_json(body["among"], AMONG),
                Logistic.from_json(body["alone"], ALONE),
                dict(body["provenance"]),
            )
        except (KeyError, TypeError) as exc:
            raise ValueError(f"no confidence model: {exc!r}") from exc

    def to_json(self) -> dict[str, Any]:
        return {
            "among": self.among.to_json(),
            "alone": self.alone.to_json(),
            "provenance": dict(self.provenance),
        }

    def weigh(self, text: str, matches: Sequence[Match]) -> list[Weighed]:
        """One for each answer, the surest first. matches: phrasings near the question, in any order."""
        if not matches:
            return []
        ordered = sorted(matches, key=_distance)
        nearest = nearest_of_each_answer(ordered)
        if len(ordered) > 1 and all(match.vector is not None for match in ordered):
            model, values = self.among, among(text, ordered)
        else:
            model, values = self.alone, np.array([alone(text, match) for match in nearest])
        weighed = [
            Weighed(
                match,
                probability(float(logits.sum()) + model.bias),
                {feature.name: float(logit) for feature, logit in zip(model.features, logits, strict=True)},
            )
            for match, logits in zip(nearest, model.logits(values), strict=True)
        ]
        return sorted(weighed, key=lambda one: -one.confidence)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The rule of a route whose confidence is a probability.

    threshold: the least confidence that is served. guards: who may object. trusts_exact: see Rule.
    """

    model: ConfidenceModel
    threshold: float
    guards: tuple[Guard, ...] = ()
    trusts_exact: bool = True

    def judge(
        self,
        question: Question,
        matches: Sequence[Match],
        now: float,
        vector: NDArray[np.float32] | None = None,  # noqa: ARG002 - the protocol's
    ) -> list[Judged]:
        """Guards are asked about nothing that isn't sure enough anyway."""
        judged = []
        for weighed in self.model.weigh(question.text, matches):
            match, confidence, because = weighed.match, weighed.confidence, weighed.because
            if match.exact and self.trusts_exact:
                confidence, because = max(confidence, EXACT), {}
            first = Judged(match, confidence, accepted=False, because=because)
            judged.append(self.reconsider(question, first, matches, now))
        return sorted(judged, key=lambda one: -one.confidence)

    def reconsider(self, question: Question, judged: Judged, matches: Sequence[Match], now: float) -> Judged:
        match = judged.match
        sure = judged.confidence >= self.threshold or (match.exact and self.trusts_exact)
        veto = first_veto(question, _phrasings(match, matches), self.guards, now) if sure else ""
        return replace(judged, accepted=sure and not veto, veto=veto)


@cache
def default_model() -> ConfidenceModel:
    """The one that is shipped, fitted by `python -m cacheguard.tuning.train`."""
    return ConfidenceModel.from_json(json.loads(files(__package__).joinpath("default_model.json").read_text("utf-8")))


def _phrasings(found: Match, matches: Sequence[Match]) -> list[Match]:
    """Those of its answer, nearest first."""
    return sorted((match for match in matches if match.answer.id == found.answer.id), key=_distance)


def _distance(match: Match) -> tuple[float, bool, int]:
    return (-match.similarity, not match.exact, match.phrasing.id)


def probability(logit: float) -> float:
    """Without overflow at either end."""
    return 0.5 * (1.0 + math.tanh(0.5 * logit))
