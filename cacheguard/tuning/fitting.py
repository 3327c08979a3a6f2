"""Fits a confidence model to labelled questions: from nothing, or as far from another model as the labels carry it.

Logistic regression whose weights keep the signs of their features, by a projected Newton method: no randomness, and
some milliseconds for thousands of questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cacheguard.matching.confidence import ConfidenceModel, Logistic
from cacheguard.matching.features import ALONE, AMONG, alone, among

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.features import Feature
    from cacheguard.tuning.labels import Labelled

# Answers of one question that teach: the nearest and what might be taken for it. With a third, no more was served.
TAUGHT_BY: Final = 2
# How far labels carry a weight: as if this many questions had already said what the earlier model says.
_PRIOR: Final = 2.0
# A feature that hardly ever changes tells nothing.
_LEAST_SPREAD: Final = 0.01
_STEPS: Final = 100
_HALVINGS: Final = 40
_ENOUGH: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Lessons:
    """Rows of features of one kind, (n, features); whether the answer was right, and how much the row counts, (n,)."""

    values: NDArray[np.float64]
    right: NDArray[np.bool_]
    counts: NDArray[np.float64]

    def counting(self, total: float) -> Lessons:
        """The same, worth `total` questions in all."""
        return Lessons(self.values, self.right, self.counts * (total / max(1.0, self.counts.sum())))

    @staticmethod
    def together(parts: Sequence[Lessons]) -> Lessons:
        return Lessons(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )


def lessons_among(labelled: Iterable[Labelled]) -> Lessons:
    """Of questions that have something to compare with."""
    values, right = [np.empty((0, len(AMONG)))], []
    for one in labelled:
        if len(one.matches) < 2:  # noqa: PLR2004 - nothing to compare with
            continue
        answers = list({match.answer.id: match.answer for match in one.matches}.values())[:TAUGHT_BY]
        fits = [one.fits(answer) for answer in answers]
        rows = among(one.question.text, one.matches)[: len(answers)]
        values.append(rows[[fit is not None for fit in fits]])
        right += [fit for fit in fits if fit is not None]
    return Lessons(np.concatenate(values), np.array(right, bool), np.ones(len(right)))


def lessons_alone(labelled: Iterable[Labelled]) -> Lessons:
    """Of questions with one phrasing near them."""
    known = [
        (one, fit) for one in labelled if len(one.matches) == 1 and (fit := one.fits(one.matches[0].answer)) is not None
    ]
    values = [alone(one.matches[0]) for one, _ in known]
    return Lessons(
        np.array(values).reshape(-1, len(ALONE)), np.array([fit for _, fit in known], bool), np.ones(len(known))
    )


def fit_model(
    among: Lessons, alone: Lessons, provenance: Mapping[str, Any], earlier: ConfidenceModel | None = None
) -> ConfidenceModel:
    """earlier: what to believe as long as labels are few; then weights count in its units. None: nothing is known."""
    return ConfidenceModel(
        fit_logistic(AMONG, among, earlier.among if earlier else None),
        fit_logistic(ALONE, alone, earlier.alone if earlier else None),
        provenance,
    )


def fit_logistic(features: tuple[Feature, ...], lessons: Lessons, earlier: Logistic | None = None) -> Logistic:
    """The weights of the least penalised log loss. Without lessons, the earlier ones."""
    if earlier is None:
        share = lessons.counts / lessons.counts.sum()
        centre = share @ lessons.values
        spread = np.maximum(np.sqrt(share @ (lessons.values - centre) ** 2), _LEAST_SPREAD)
        start = np.zeros(len(features) + 1)
    else:
        centre, spread = earlier.centre, earlier.spread
        start = np.append(earlier.weights, earlier.bias)
    rows = np.column_stack([(lessons.values - centre) / spread, np.ones(len(lessons.values))])
    signs = np.array([*(feature.sign for feature in features), 0])
    penalty = np.append(np.full(len(features), _PRIOR), 0.0 if earlier is None else _PRIOR / 10)
    found = _descend(rows, lessons, start, penalty, signs)
    return Logistic(features, found[:-1], centre, spread, float(found[-1]))


def _descend(
    rows: NDArray[np.float64],
    lessons: Lessons,
    start: NDArray[np.float64],
    penalty: NDArray[np.float64],
    signs: NDArray[np.int_],
) -> NDArray[np.float64]:
    """Newton's steps over the weights that are free to move, halved until they lead down (Bertsekas 1982)."""
    low, high = np.where(signs > 0, 0.0, -np.inf), np.where(signs < 0, 0.0, np.inf)
    target = lessons.right.astype(np.float64)

    def loss(weights: NDArray[np.float64]) -> float:
        logits = np.where(lessons.right, -1, 1) * (rows @ weights)
        distance = weights - start
        return float(lessons.counts @ np.logaddexp(0, logits) + 0.5 * penalty @ distance**2)

    weights = np.clip(start, low, high)
    reached = loss(weights)
    for _ in range(_STEPS):
        chances = 0.5 * (1 + np.tanh(0.5 * (rows @ weights)))
        slope = rows.T @ (lessons.counts * (chances - target)) + penalty * (weights - start)
        curve = (rows * (lessons.counts * chances * (1 - chances))[:, None]).T @ rows + np.diag(penalty + 1e-9)
        free = ~(((weights <= low) & (slope > 0)) | ((weights >= high) & (slope < 0)))
        step = np.zeros_like(weights)
        step[free] = -np.linalg.solve(curve[np.ix_(free, free)], slope[free])
        before = reached
        for halvings in range(_HALVINGS):
            tried = np.clip(weights + step / 2**halvings, low, high)
            if (reached := loss(tried)) < before:
                weights = tried
                break
        if before - reached < _ENOUGH * max(1.0, before):
            break
    return weights
