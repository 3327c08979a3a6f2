"""What a route's own phrasings teach about its answers: two classifiers, one over vectors and one over words.

`tune` makes it. Nearness looks at one phrasing after another; a head weighs all that was ever asked of an answer
against all else. It knows the answers that it was made for; of others it says nothing.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.matching.features import Feature, lead, stems

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


@dataclass(frozen=True, slots=True)
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
        columns: list[NDArray[np.floating]] = []
        for logits in (self.by_vector(vector), self.by_words(text)):
            columns += [lead(logits, 0.0)[places], _shares(logits)[places]]
        columns += [self.reliability[places], np.log(self.phrasings[places])]
        return np.column_stack(columns).astype(np.float64)

    def guess(self, text: str, vector: NDArray[np.float32]) -> int:
        """Where the answer stands that both classifiers together would give."""
        return int((_shares(self.by_vector(vector)) + _shares(self.by_words(text))).argmax())

    def by_vector(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """A logit for each answer."""
        return (self.weights @ vector + self.bias).astype(np.float64)

    def by_words(self, text: str) -> NDArray[np.float64]:
        """A logit for each answer. Naive Bayes, whose evidence grows with the root of the number of words."""
        rows = [self.words[word] for word in sorted(stems(text)) if word in self.words]
        all_phrasings = self.phrasings.sum()
        counts = self.counts[rows].astype(np.float64)
        usual = (counts.sum(axis=1) + 0.5) / (all_phrasings + 1)
        held = np.log1p(counts / (_USUAL * usual)[:, None]).sum(axis=0)
        lacked = len(rows) * np.log(_USUAL / (self.phrasings + _USUAL))
        prior = 0.5 * np.log(self.phrasings / all_phrasings)
        logits: NDArray[np.float64] = (prior + held + lacked) / np.sqrt(max(1, len(rows)))
        return logits

    def to_json(self) -> dict[str, Any]:
        scale = np.maximum(np.abs(self.weights).max(axis=1), np.finfo(np.float32).tiny) / _INT8
        return {
            "answers": list(self.place),
            "words": " ".join(self.words),
            "reliability": [round(float(share), 4) for share in self.reliability],
            "phrasings": self.phrasings.tolist(),
            "weights": _packed(np.round(self.weights / scale[:, None]).astype(np.int8)),
            "scale": _packed(scale),
            "bias": _packed(self.bias),
            "counts": _packed(self.counts),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Head:
        """Raises ValueError, KeyError or TypeError where it isn't a head."""
        answers, words = body["answers"], body["words"].split(" ")
        return cls(
            {answer: at for at, answer in enumerate(answers)},
            _unpacked(body["weights"], np.int8).reshape(len(answers), -1)
            * _unpacked(body["scale"], np.float32)[:, None],
            _unpacked(body["bias"], np.float32),
            {word: at for at, word in enumerate(words)},
            _unpacked(body["counts"], np.uint8).reshape(len(words), len(answers)),
            np.array(body["phrasings"], np.int64),
            np.array(body["reliability"], np.float32),
        )


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of probabilities."""
    top = logits.max()
    shares: NDArray[np.float64] = logits - top - np.log(np.exp(logits - top).sum())
    return shares


def _packed(numbers: NDArray[Any]) -> str:
    return b64encode(zlib.compress(numbers.tobytes(), 9)).decode()


def _unpacked(text: str, kind: type[np.generic]) -> NDArray[Any]:
    try:
        return np.frombuffer(zlib.decompress(b64decode(text)), kind)
    except zlib.error as exc:
        raise ValueError(f"no array: {exc}") from exc
