"""What speaks for and against each answer near a question: a dozen figures, computed from texts and vectors alone.

`AMONG` compares an answer with the others near the question. Where nothing else is near to compare with, a phrasing
must do with `ALONE`. Each feature says in which direction it may count; a fit keeps to that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cacheguard.matching.guards.wording import REMEMBERED, is_content, stem, stems, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.decide import Match


@dataclass(frozen=True, slots=True)
class Feature:
    """sign: +1 where more of it can only speak for the answer, -1 only against, 0 either. says: what it measures."""

    name: str
    sign: int
    says: str


AMONG = (
    Feature("similarity", +1, "cosine of the answer's nearest phrasing"),
    Feature("margin", +1, "that cosine minus the best other answer's"),
    Feature("margin_of_three", +1, "mean cosine of the answer's three nearest phrasings, minus the best other's"),
    Feature("vote", +1, "weight of its phrasings in a kernel ridge regression of the question on all that are near"),
    Feature("vote_margin", +1, "that weight minus the best other's"),
    Feature("words", +1, "log odds that these words ask for this answer rather than for the others near"),
    Feature("missing", -1, "share of the question's content words that none of the answer's phrasings near it holds"),
    Feature("length", 0, "logarithm of the number of the question's words"),
)
# The words of a pair are no feature: weights that the pairs of one domain give them serve fewer true duplicates of
# another than the cosine alone.
ALONE = (Feature("similarity", +1, "cosine"),)
# How little the ridge trusts one phrasing. 0.3 and 1 gave the same log loss on vira, 0.328, and banking77, 0.307.
_RIDGE = 0.3
_MEAN_OF = 3


def among(text: str, matches: Sequence[Match]) -> NDArray[np.float64]:
    """A row of `AMONG` for each answer, in the order in which the answers first come.

    matches: nearest first, each with its vector.
    """
    rank: dict[str, int] = {}
    owner = [rank.setdefault(match.answer.id, len(rank)) for match in matches]
    near: list[list[float]] = [[] for _ in rank]
    for answer, match in zip(owner, matches, strict=True):
        near[answer].append(match.similarity)
    farthest = matches[-1].similarity
    nearest = [found[0] for found in near]
    nearest_three = [sum((*found, farthest, farthest)[:_MEAN_OF]) / _MEAN_OF for found in near]
    votes = _votes(owner, matches)
    columns = (
        nearest,
        _lead(nearest, farthest),
        _lead(nearest_three, farthest),
        votes,
        _lead(votes, 0.0),
        *_wording(text, owner, matches),
        [_length(text)] * len(rank),
    )
    return np.array(columns).T


def alone(match: Match) -> NDArray[np.float64]:
    """A row of `ALONE`."""
    return np.array([match.similarity])


def _lead(figures: Sequence[float], otherwise: float) -> list[float]:
    """What each has more than the best other. otherwise: what to hold it against where there is no other."""
    if len(figures) == 1:
        return [figures[0] - otherwise]
    *_, second, first = sorted(figures)
    best = figures.index(first)
    return [figure - (second if at == best else first) for at, figure in enumerate(figures)]


def _votes(owner: Sequence[int], matches: Sequence[Match]) -> list[float]:
    """Phrasings that say the same share one weight, and what two answers' phrasings have in common cancels out."""
    vectors = np.array([match.vector for match in matches])
    kernel = (vectors @ vectors.T).astype(np.float64)
    kernel.ravel()[:: len(matches) + 1] += _RIDGE  # its diagonal
    weights = np.linalg.solve(kernel, np.array([match.similarity for match in matches]))
    votes: list[float] = np.bincount(owner, weights).tolist()
    return votes


def _wording(text: str, owner: Sequence[int], matches: Sequence[Match]) -> tuple[list[float], list[float]]:
    """`words` and `missing`, for each answer. owner: (matches,)."""
    asked = stems(text)
    place = {word: at for at, word in enumerate(sorted(asked))}
    phrasings = [0] * (max(owner) + 1)
    held = [[0] * len(place) for _ in phrasings]
    by_any = [0] * len(place)
    for answer, match in zip(owner, matches, strict=True):
        phrasings[answer] += 1
        ours = held[answer]
        for word in asked & stems(match.phrasing.text):
            ours[place[word]] += 1
            by_any[place[word]] += 1
    # Naive Bayes among the neighbours, with half a phrasing seen on either side. Words of one question depend on each
    # other, so that evidence grows with the root of their number.
    half, one = _logarithms(len(matches))
    root = math.sqrt(max(1, len(place)))
    log_odds = [
        (
            sum([half[ours] - half[any_ - ours] for ours, any_ in zip(of_answer, by_any, strict=True) if any_])
            - len(place) * (one[many] - one[len(matches) - many])
        )
        / root
        for of_answer, many in zip(held, phrasings, strict=True)
    ]
    content = [place[word] for word in _content(text)]
    missing = [sum([not of_answer[at] for at in content]) / max(1, len(content)) for of_answer in held]
    return log_odds, missing


@lru_cache(maxsize=64)
def _logarithms(most: int) -> tuple[list[float], list[float]]:
    """Of k + 0.5 and of k + 1, for k from 0 to `most`."""
    return [math.log(k + 0.5) for k in range(most + 1)], [math.log(k + 1) for k in range(most + 1)]


@lru_cache(REMEMBERED)
def _content(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text) if is_content(word) or word[0].isdigit())


def _length(text: str) -> float:
    return math.log1p(len(words(text)))
