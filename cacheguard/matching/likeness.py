"""Whether two texts ask the same, as the labelled pairs of a route taught it: small networks over texts and vectors.

A lone phrasing has no neighbours to be held against. What two texts share, what only one of them says and what they are
about tells more than their cosine, but what it tells differs from domain to domain: of a medical set's duplicates,
networks that learned from Quora's pairs serve 16 % at most 5 % wrong, the cosine 43 %. So none is shipped, and `tune`
makes one of a route's own labels, where they are many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.matching.arrays import packed, unpacked
from cacheguard.matching.features import Feature
from cacheguard.matching.guards.direction import opposed
from cacheguard.matching.guards.names import lacks_a_name
from cacheguard.matching.guards.negation import is_negated
from cacheguard.matching.guards.numbers import numbers
from cacheguard.matching.guards.wording import REMEMBERED, content, stem, stems, words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

LIKENESS = (Feature("likeness", +1, "logit of the networks that the route's labelled pairs taught"),)
_ASKING = frozenset({"how", "what", "why", "who", "which", "when", "where"})
# A question word further in asks for something else.
_NEAR_BEGINNING = 6
# So that products, differences and sums of unit vectors have about the spread of a figure, whatever their dimension.
_PRODUCT, _DIFFERENCE, _SUM = 0.4, 0.7, 0.5
# Spreads from what is usual, past which nothing more is said.
_FARTHEST = 4.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """Networks with one hidden layer, side by side; the mean of their logits counts.

    centre, spread: (figures,), what is usual for each of `figures`. hidden: (inputs, units), bias: (units,),
    out: (units,), last: the bias of the logit.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    hidden: NDArray[np.float32]
    bias: NDArray[np.float32]
    out: NDArray[np.float32]
    last: float

    def logit(self, asked: str, known: str, vector: NDArray[np.float32], its: NDArray[np.float32]) -> float:
        """Above 0 where the two texts rather ask the same. vector, its: (dimension,), unit length."""
        figured = figures(asked, known, float(vector @ its))
        return float(self.logits(figured[None], vector[None], its[None])[0])

    def logits(
        self, figured: NDArray[np.float32], vectors: NDArray[np.float32], others: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Of many pairs at a time. figured: (n, figures), vectors, others: (n, dimension)."""
        inputs = inputs_of(scaled_figures(figured, self.centre, self.spread), vectors, others)
        logits: NDArray[np.float32] = np.maximum(inputs @ self.hidden + self.bias, 0) @ self.out + self.last
        return logits

    def to_json(self) -> dict[str, Any]:
        scale = np.maximum(np.abs(self.hidden).max(axis=0), np.finfo(np.float32).tiny) / 127
        return {
            "centre": [round(float(number), 4) for number in self.centre],
            "spread": [round(float(number), 4) for number in self.spread],
            "hidden": packed(np.round(self.hidden / scale).astype(np.int8)),
            "scale": packed(scale),
            "bias": packed(self.bias),
            "out": packed(self.out),
            "last": round(self.last, 4),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Likeness:
        """Raises ValueError, KeyError or TypeError where it isn't one."""
        centre, spread = (np.array(body[name], np.float32) for name in ("centre", "spread"))
        bias, out, scale = (unpacked(body[name], np.float32) for name in ("bias", "out", "scale"))
        hidden = unpacked(body["hidden"], np.int8).reshape(-1, len(bias)) * scale
        if len(centre) != len(FIGURES) or len(spread) != len(FIGURES) or len(out) != len(bias):
            raise ValueError("a likeness whose parts don't fit together")
        return cls(centre, spread, hidden, bias, out, float(body["last"]))


def scaled_figures(
    figured: NDArray[np.float32], centre: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    """In spreads from what is usual. figured: (n, figures)."""
    scaled: NDArray[np.float32] = np.clip((figured - centre) / spread, -_FARTHEST, _FARTHEST)
    return scaled


def inputs_of(
    scaled: NDArray[np.float32], vectors: NDArray[np.float32], others: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What networks read of many pairs: their figures, then products, differences and sums of their vectors."""
    dimension = vectors.shape[1]
    root = math.sqrt(dimension)
    return np.concatenate(
        [
            scaled,
            vectors * others * np.float32(_PRODUCT * dimension),
            np.abs(vectors - others) * np.float32(_DIFFERENCE * root),
            (vectors + others) * np.float32(_SUM * root),
        ],
        axis=1,
        dtype=np.float32,
    )


FIGURES = (
    "cosine",
    "shared stems",
    "shared content",
    "shared pairs of words",
    "shared content words",
    "content words of the question alone",
    "content words of the phrasing alone",
    "words of the question",
    "words of the phrasing",
    "difference in words",
    "the same stems in their order",
    "the same question word",
    "the same first word",
    "the same last word",
    "one lacks a number of the other",
    "a number in either",
    "the phrasing lacks a name",
    "the question lacks a name",
    "one is negated",
    "words with their opposites",
    "one asks more questions",
)


def figures(asked: str, known: str, cosine: float) -> NDArray[np.float32]:
    """`FIGURES` of a pair."""
    ours, theirs = words(asked), words(known)
    content_ours, content_theirs = content(asked), content(known)
    order_ours, order_theirs = _order(asked), _order(known)
    counted_ours, counted_theirs = numbers(asked).keys(), numbers(known).keys()
    return np.array(
        [
            cosine,
            _share(stems(asked), stems(known)),
            _share(content_ours, content_theirs),
            _share(_pairs(asked), _pairs(known)),
            math.log1p(len(content_ours & content_theirs)),
            math.log1p(len(content_ours - content_theirs)),
            math.log1p(len(content_theirs - content_ours)),
            math.log1p(len(ours)),
            math.log1p(len(theirs)),
            math.log1p(abs(len(ours) - len(theirs))),
            order_ours == order_theirs,
            _question_word(asked) == _question_word(known),
            order_ours[:1] == order_theirs[:1],
            order_ours[-1:] == order_theirs[-1:],
            counted_ours != counted_theirs,
            bool(counted_ours or counted_theirs),
            lacks_a_name(known, of=asked),
            lacks_a_name(asked, of=known),
            is_negated(asked) != is_negated(known),
            bool(opposed(asked, known)),
            asked.count("?") != known.count("?"),
        ],
        np.float32,
    )


def _share(ours: AbstractSet[Any], theirs: AbstractSet[Any]) -> float:
    """Of both what is in both, from 0 to 1."""
    shared = len(ours & theirs)
    return shared / max(1, len(ours) + len(theirs) - shared)


@lru_cache(REMEMBERED)
def _order(text: str) -> tuple[str, ...]:
    return tuple(map(stem, words(text)))


@lru_cache(REMEMBERED)
def _pairs(text: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(_order(text)))


@lru_cache(REMEMBERED)
def _question_word(text: str) -> str:
    said = words(text)[:_NEAR_BEGINNING]
    return next((word for word in said if word in _ASKING), said[0] if said else "")
