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

from cacheguard.matching.guards.wording import is_content, stem, words

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
# Texts whose words are remembered: a question meets 20 phrasings, and popular phrasings meet many questions.
_REMEMBERED = 16384


def among(text: str, matches: Sequence[Match]) -> NDArray[np.float64]:
    """A row of `AMONG` for each answer, in the order in which the answers first come.

    matches: nearest first, each with its vector.
    """
    rank: dict[str, int] = {}
    owner = np.array([rank.setdefault(match.answer.id, len(rank)) for match in matches])
    owns = owner[:, None] == np.arange(len(rank))
    similarities = np.array([match.similarity for match in matches])
    farthest = similarities[-1]

    known = np.where(owns, similarities[:, None], farthest)
    nearest_three = -np.sort(-known, axis=0)[:_MEAN_OF]
    vectors = np.array([match.vector for match in matches], np.float64)
    # Phrasings that say the same share one weight, and what two answers' phrasings have in common cancels out.
    weights = np.linalg.solve(vectors @ vectors.T + _RIDGE * np.eye(len(matches)), similarities)
    votes = owns.T @ weights
    log_odds, missing = _wording(text, matches, owns)
    columns = (
        nearest_three[0],
        lead(nearest_three[0], farthest),
        lead(nearest_three.mean(axis=0), farthest),
        votes,
        lead(votes, 0.0),
        log_odds,
        missing,
        np.full(len(rank), _length(text)),
    )
    return np.column_stack(columns)


def alone(match: Match) -> NDArray[np.float64]:
    """A row of `ALONE`."""
    return np.array([match.similarity])


def lead(figures: NDArray[np.float64], otherwise: float | np.float64) -> NDArray[np.float64]:
    """What each has more than the best other. otherwise: what to hold it against where there is no other."""
    if len(figures) == 1:
        return figures - otherwise
    second, first = np.partition(figures, -2)[-2:]
    ahead: NDArray[np.float64] = figures - first
    ahead[figures.argmax()] = first - second
    return ahead


def _wording(
    text: str, matches: Sequence[Match], owns: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`words` and `missing`. owns: (matches, answers)."""
    asked = sorted(stems(text))
    held = [stems(match.phrasing.text) for match in matches]
    holds = np.array([[word in one for word in asked] for one in held], np.float64)
    phrasings = owns.sum(axis=0)[:, None]
    ours = owns.T.astype(np.float64) @ holds
    theirs = holds.sum(axis=0) - ours
    # Naive Bayes among the neighbours, with half a phrasing seen on either side. Words of one question depend on each
    # other, so that evidence grows with the root of their number.
    odds = np.log((ours + 0.5) / (phrasings + 1)) - np.log((theirs + 0.5) / (len(matches) - phrasings + 1))
    content = _content(text)
    is_asked = np.array([word in content for word in asked], bool)
    missing = ((ours == 0) & is_asked).sum(axis=1) / max(1, len(content))
    return odds.sum(axis=1) / math.sqrt(max(1, len(asked))), missing


@lru_cache(_REMEMBERED)
def stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text))


@lru_cache(_REMEMBERED)
def _content(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text) if is_content(word) or word[0].isdigit())


def _length(text: str) -> float:
    return math.log1p(len(words(text)))
