"""What a route's own phrasings teach about its answers: two classifiers, one over vectors and one over words.

`tune` makes it. Nearness looks at one phrasing after another; a head weighs all that was ever asked of an answer
against all else. It knows the answers that it was made for; of others it says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.matching.arrays import packed, unpacked
from cacheguard.matching.features import Feature
from cacheguard.matching.guards.wording import stems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

HEAD = (
    Feature("head_margin", +1, "logit of the classifier over vectors, minus the best other answer's"),
    Feature("head_share", +1, "logarithm of the probability that it gives"),
    Feature("wording_margin", +1, "logit of the classifier over words, minus the best other answer's"),
    Feature("wording_share", +1, "logarithm of the probability that it gives"),
    Feature("reliability", +1, "share of right ones among the phrasings that the classifiers would give this answer"),
    Feature("phrasings", 0, "logarithm of the number of its phrasings"),
)
# Naive Bayes starts from what is usual on the route, as if so many phrasings had said so.
_USUAL = 4.0
_INT8 = 127


@dataclass(frozen=True)
class Head:
    """place: where each answer stands, by its id. weights: (answers, dimension); written down, they are small integers.

    words: where each stem stands. counts: (stems, answers), how many of an answer's phrasings hold it.
    phrasings: (answers,). reliability: (answers,), see HEAD.
    """

    place: Mapping[str, int]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    words: Mapping[str, int]
    counts: NDArray[np.uint8]
    phrasings: NDArray[np.int64]
    reliability: NDArray[np.float32]

    def features(self, text: str, vector: NDArray[np.float32], answers: Sequence[str]) -> NDArray[np.float64]:
        """A row of `HEAD` for each of these answers, all of them known."""
        places = [self.place[answer] for answer in answers]
        under = _under_best(np.array([self.by_vector(vector), self.by_words(text)]))
        found = np.empty((len(HEAD), len(places)))
        of_these = under.take(places, axis=1)
        found[0:4:2] = _leads(under, of_these)
        found[1:4:2] = of_these - _whole(under)
        found[4] = self.reliability.take(places)
        found[5] = self._log_phrasings.take(places)
        return found.T

    def guess(self, text: str, vector: NDArray[np.float32]) -> int:
        """Where the answer stands that both classifiers together would give."""
        return int((self.by_vector(vector) + self.by_words(text)).argmax())

    def by_vector(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """A logit for each answer."""
        return (self.weights @ vector + self.bias).astype(np.float64)

    def by_words(self, text: str) -> NDArray[np.float64]:
        """A logit for each answer. Naive Bayes, whose evidence grows with the root of the number of words."""
        prior, lacked = self._without_words
        known = [self._evidence[self.words[word]] for word in sorted(stems(text)) if word in self.words]
        if not known:
            return prior
        answers, evidence = np.concatenate(known, axis=1)
        held = np.bincount(answers.astype(np.intp), evidence, len(prior))
        return (prior + held + len(known) * lacked) / math.sqrt(len(known))

    @cached_property
    def _log_phrasings(self) -> NDArray[np.float64]:
        return np.log(self.phrasings)

    @cached_property
    def _without_words(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What stands for each answer before any word, and what a word says that its phrasings lack."""
        prior = 0.5 * np.log(self.phrasings / self.phrasings.sum())
        return prior, np.log(_USUAL / (self.phrasings + _USUAL))

    @cached_property
    def _evidence(self) -> list[NDArray[np.float64]]:
        """For each word where the answers stand whose phrasings hold it, and what it says for each: (2, answers)."""
        usual = (self.counts.sum(axis=1, dtype=np.int64) + 0.5) / (self.phrasings.sum() + 1)
        found = []
        for counts, share in zip(self.counts, usual, strict=True):
            answers = np.flatnonzero(counts)
            found.append(np.array([answers, np.log1p(counts[answers] / (_USUAL * share))]))
        return found

    def to_json(self) -> dict[str, Any]:
        scale = np.maximum(np.abs(self.weights).max(axis=1), np.finfo(np.float32).tiny) / _INT8
        return {
            "answers": list(self.place),
            "words": " ".join(self.words),
            "reliability": [round(float(share), 4) for share in self.reliability],
            "phrasings": self.phrasings.tolist(),
            "weights": packed(np.round(self.weights / scale[:, None]).astype(np.int8)),
            "scale": packed(scale),
            "bias": packed(self.bias),
            "counts": packed(self.counts),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Head:
        """Raises ValueError, KeyError or TypeError where it isn't a head."""
        answers, words = body["answers"], body["words"].split(" ")
        return cls(
            {answer: at for at, answer in enumerate(answers)},
            unpacked(body["weights"], np.int8).reshape(len(answers), -1) * unpacked(body["scale"], np.float32)[:, None],
            unpacked(body["bias"], np.float32),
            {word: at for at, word in enumerate(words)},
            unpacked(body["counts"], np.uint8).reshape(len(words), len(answers)),
            np.array(body["phrasings"], np.int64),
            np.array(body["reliability"], np.float32),
        )


def _under_best(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each is from the best, at most 0. logits: (kinds, answers)."""
    under: NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    return under


def _leads(under: NDArray[np.float64], of_these: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each of some answers has more than the best other: (kinds, answers). under: as of `_under_best`, of all."""
    second = np.partition(under, -2, axis=1)[:, -2, None]
    return np.where(of_these == 0, -second, of_these)


def _whole(under: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of what all answers' probabilities are parts of: (kinds, 1). under: as of `_under_best`."""
    whole: NDArray[np.float64] = np.log(np.exp(under).sum(axis=1, keepdims=True))
    return whole
