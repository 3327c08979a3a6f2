"""The promise: with this confidence, at most such a share of what the cache serves is wrong.

Source: Learn then Test (Angelopoulos et al. 2021, arXiv 2110.01052), with a fixed sequence of tests; the bound is
Clopper and Pearson's (1934), one-sided and exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

# Confidences that a rule may demand, the strictest first: a tenth of a logit apart, from 0.9995 to 0.05. They are fixed
# before any label is seen, as the sequence of tests demands.
THRESHOLDS: Final = tuple(round(1 / (1 + math.exp(-tenths / 10)), 6) for tenths in range(76, -31, -1))
# Halvings of [0, 1] until nothing changes in a float.
_HALVINGS: Final = 60
_MOST_HITS: Final = 2**20


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would have served of the labelled questions."""

    threshold: float
    served: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Choice:
    """chosen: the point with the most hits that the labels prove, or None where they are too few.

    points: all thresholds, the strictest first. asked: how many questions were labelled.
    """

    chosen: Point | None
    points: tuple[Point, ...]
    asked: int
    max_wrong: float
    confidence: float


def upper_bound(wrong: int, served: int, confidence: float = 0.95) -> float:
    """The largest share of wrong hits that the counts allow: one-sided, exact; 1.0 where nothing was served."""
    if wrong >= served:
        return 1.0
    low, high = wrong / served, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        low, high = (share, high) if at_most(wrong, served, share) > 1 - confidence else (low, share)
    return high


def at_most(wrong: int, served: int, share: float) -> float:
    """The chance of `wrong` or fewer among `served`, were this share of all hits wrong. share: above 0, below 1."""
    if wrong >= served:
        return 1.0
    k = np.arange(1, wrong + 1)
    odds = math.log(share) - math.log1p(-share)
    terms = np.concatenate([[0.0], np.cumsum(np.log(served - k + 1) - np.log(k) + odds)])
    largest = float(terms.max())  # in logs, and taken out of the sum: (1 - share)^served alone may be no float
    return min(1.0, math.exp(largest + served * math.log1p(-share)) * float(np.exp(terms - largest).sum()))


def choose(confidences: ArrayLike, right: ArrayLike, max_wrong: float, confidence: float = 0.95) -> Choice:
    """The loosest threshold of which the labels prove that at most `max_wrong` of its hits are wrong.

    confidences, right: (n,), for each question how sure the rule is of the answer that it would serve, and whether
    that is right; a question without such an answer has the confidence 0. No question may have taught the rule.
    Tests go from where the confidences alone, which are no labels, promise the clearest proof, to looser thresholds,
    and end at the first that fails: so one test pays for all.
    """
    surest_first = np.argsort(-np.asarray(confidences, np.float64), kind="stable")
    sure = np.asarray(confidences, np.float64)[surest_first]
    wrong = np.concatenate([[0], np.cumsum(~np.asarray(right, bool)[surest_first])])
    expected = np.concatenate([[0.0], np.cumsum(1 - sure)])
    served = np.searchsorted(-sure, -np.asarray(THRESHOLDS), side="right")
    points = tuple(Point(threshold, int(n), int(wrong[n])) for threshold, n in zip(THRESHOLDS, served, strict=True))
    start = int(np.argmax(_clarity(expected[served], served, max_wrong)))
    chosen = None
    for point in points[start:]:
        if at_most(point.wrong, point.served, max_wrong) > 1 - confidence:
            break
        chosen = point
    return Choice(chosen, points, len(sure), max_wrong, confidence)


def _clarity(wrong: NDArray[np.float64], served: NDArray[np.int64], max_wrong: float) -> NDArray[np.float64]:
    """How clearly so many wrong ones would prove the promise: Chernoff's bound on the chance of them, as -log."""
    share = np.clip(wrong / np.maximum(served, 1), np.finfo(np.float64).tiny, max_wrong)
    return served * (share * np.log(share / max_wrong) + (1 - share) * np.log((1 - share) / (1 - max_wrong)))


def hits_needed(max_wrong: float, wrong_share: float = 0.0, confidence: float = 0.95) -> int | None:
    """How many labelled hits are likely to prove `max_wrong`, if such a share of hits is wrong; None for millions."""

    def prove(hits: int) -> bool:
        expected = wrong_share * hits
        return at_most(math.ceil(expected + math.sqrt(expected)), hits, max_wrong) <= 1 - confidence

    if wrong_share >= max_wrong or not prove(_MOST_HITS):
        return None
    too_few, enough = 0, _MOST_HITS
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if prove(middle) else (middle, enough)
    return enough


def labels_needed(points: Iterable[Point], asked: int, max_wrong: float, confidence: float = 0.95) -> int | None:
    """How many labels are likely to prove `max_wrong` at one of these points, if further ones are like these.

    None where too many hits of every point are wrong: no number of labels helps.
    """
    needed = [
        math.ceil(hits * asked / point.served)
        for point in points
        if point.served and (hits := hits_needed(max_wrong, point.wrong / point.served, confidence))
    ]
    return min(needed, default=None)
