"""Teaches networks whether two texts ask the same, and finds out how far they may be believed.

Rows are shuffled and weights begun by a fixed seed: the same labels give the same networks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from cacheguard.matching.confidence import LIKENED
from cacheguard.matching.likeness import Likeness, figures, inputs_of, scaled_figures
from cacheguard.tuning.fitting import Lessons, fit_logistic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.confidence import ConfidenceModel
    from cacheguard.tuning.labels import Labelled

# Of the duplicates of qqp_a, at most 5 % wrong, the cosine serves 4.9 %; networks that 1,000 pairs taught 4.3 %, 2,000
# 3.2 %, 5,000 2.9 %, 10,000 10.4 % and 20,000 17.4 %.
LEAST_PAIRS: Final = 10_000
_FOLDS: Final = 3
# Each network is sure of other noise: at most 1 % wrong, one serves 0.7 % of the duplicates of qqp_a, three 1.1 % in
# the same five folds, and 1.5 to 2.8 % in others.
_NETWORKS: Final = 3
_UNITS: Final = 64
_ROUNDS: Final = 8
_AT_ONCE: Final = 256
_FASTEST: Final = 4e-3
_RISING: Final = 0.3
_DECAY: Final = 1e-2
# What is left out while learning, so that no single input is relied on.
_INPUTS_LEFT_OUT, _UNITS_LEFT_OUT = 0.1, 0.3
_LEAST_SPREAD: Final = 0.01
_ADAM_MEAN, _ADAM_SQUARE, _ADAM_LEAST = 0.9, 0.999, 1e-8


def with_likeness(model: ConfidenceModel, labelled: Sequence[Labelled]) -> ConfidenceModel:
    """The model with a likeness of these labels' lone matches; the same model where they are too few to teach one."""
    lone = [one for one in labelled if len(one.matches) == 1 and one.matches[0].vector is not None]
    known = [one for one in lone if one.fits(one.matches[0].answer) is not None]
    if len(known) < LEAST_PAIRS:
        return model
    pairs = Pairs.of(known)
    similarities = np.array([one.matches[0].similarity for one in known])
    lessons = Lessons(np.column_stack([similarities, _held_out(pairs)]), pairs.right, np.ones(len(known)))
    return replace(model, likeness=teach(pairs), likened=fit_logistic(LIKENED, lessons))


def _held_out(pairs: Pairs) -> NDArray[np.float64]:
    """What each pair gets from a network that it did not teach, which is a little less than from several."""
    logits = np.empty(len(pairs.right))
    fold = np.arange(len(logits)) % _FOLDS
    for number in range(_FOLDS):
        asked = np.flatnonzero(fold == number)
        logits[asked] = said(teach(pairs.at(np.flatnonzero(fold != number)), networks=1), pairs.at(asked))
    return logits


def said(likeness: Likeness, pairs: Pairs) -> NDArray[np.float64]:
    """The logit of each, (n,); some at a time, since what networks read is large."""
    parts = np.array_split(np.arange(len(pairs.right)), max(1, len(pairs.right) // _AT_ONCE))
    return np.concatenate([likeness.logits(*pairs.at(part)[:3]) for part in parts]).astype(np.float64)


class Pairs(NamedTuple):
    """Lone matches of labelled questions. figured: (n, figures); vectors, others: (n, dimension); right: (n,)."""

    figured: NDArray[np.float32]
    vectors: NDArray[np.float32]
    others: NDArray[np.float32]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, labelled: Sequence[Labelled]) -> Pairs:
        """labelled: each with one match, that has a vector, and a verdict on it."""
        matches = [one.matches[0] for one in labelled]
        texts = [(one.question.text, match.phrasing.text) for one, match in zip(labelled, matches, strict=True)]
        return cls(
            np.array([figures(*of, match.similarity) for of, match in zip(texts, matches, strict=True)], np.float32),
            np.array([one.vector for one in labelled]),
            np.array([match.vector for match in matches]),
            np.array([one.fits(match.answer) for one, match in zip(labelled, matches, strict=True)], bool),
        )

    def at(self, places: NDArray[np.intp]) -> Pairs:
        figured, vectors, others, right = self
        return Pairs(figured[places], vectors[places], others[places], right[places])


def teach(pairs: Pairs, networks: int = _NETWORKS) -> Likeness:
    """Some seconds of processor time for each network and ten thousand pairs."""
    centre = pairs.figured.mean(axis=0)
    spread = np.maximum(pairs.figured.std(axis=0), np.float32(_LEAST_SPREAD))
    scaled = pairs._replace(figured=scaled_figures(pairs.figured, centre, spread))
    learned = [_learn(scaled, np.random.default_rng(seed)) for seed in range(networks)]
    hidden, bias, out, last = zip(*learned, strict=True)
    return Likeness(
        centre,
        spread,
        np.concatenate(hidden, axis=1),
        np.concatenate(bias),
        (np.concatenate(out) / networks).astype(np.float32),
        float(np.mean(last)),
    )


def _learn(pairs: Pairs, chance: np.random.Generator) -> list[NDArray[np.float32]]:
    """Hidden weights, their bias, the weights of the logit and its bias, by AdamW (Loshchilov and Hutter 2019)."""
    many, inputs = len(pairs.right), inputs_of(*pairs.at(np.arange(1))[:3]).shape[1]
    parts = [
        _Part(chance.normal(0, math.sqrt(1 / (3 * inputs)), (inputs, _UNITS))),
        _Part(np.zeros(_UNITS)),
        _Part(chance.normal(0, math.sqrt(1 / (3 * _UNITS)), _UNITS)),
        _Part(np.zeros(1)),
    ]
    steps = _ROUNDS * math.ceil(many / _AT_ONCE)
    for step, batch in enumerate(_batches(many, chance), 1):
        speed = _speed(step / steps)
        slopes = _slopes(pairs.at(batch), [part.weights for part in parts], chance)
        for part, slope in zip(parts, slopes, strict=True):
            part.step(slope, speed, step)
    return [part.weights for part in parts]


class _Part:
    """Some of the weights, and what AdamW remembers of their slopes."""

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.weights = weights.astype(np.float32)
        self._mean, self._square = np.zeros_like(self.weights), np.zeros_like(self.weights)

    def step(self, slope: NDArray[np.float32], speed: float, number: int) -> None:
        """number: of the step, from 1."""
        self._mean += (1 - _ADAM_MEAN) * (slope - self._mean)
        self._square += (1 - _ADAM_SQUARE) * (slope * slope - self._square)
        root = np.sqrt(self._square / (1 - _ADAM_SQUARE**number)) + np.float32(_ADAM_LEAST)
        self.weights *= 1 - speed * _DECAY
        self.weights -= speed / (1 - _ADAM_MEAN**number) * self._mean / root


def _batches(many: int, chance: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    for _ in range(_ROUNDS):
        order = chance.permutation(many)
        yield from np.split(order, range(_AT_ONCE, many, _AT_ONCE))


def _speed(done: float) -> float:
    """Up to the fastest, then down to nothing, along cosines. done: share of all steps."""
    share = done / _RISING if done < _RISING else (1 - done) / (1 - _RISING)
    return _FASTEST * 0.5 * (1 - math.cos(math.pi * share))


def _slopes(pairs: Pairs, weights: list[NDArray[np.float32]], chance: np.random.Generator) -> list[NDArray[np.float32]]:
    """Of the log loss, by each of the weights."""
    hidden, bias, out, last = weights
    rows = inputs_of(*pairs[:3])
    rows *= _kept(rows.shape, _INPUTS_LEFT_OUT, chance)
    kept = _kept((len(rows), len(bias)), _UNITS_LEFT_OUT, chance)
    units = rows @ hidden + bias
    active = kept * (units > 0)
    units = units * active
    logits = units @ out + last
    error = (0.5 * (1 + np.tanh(0.5 * logits)) - pairs.right) / np.float32(len(rows))
    back = np.outer(error, out) * active
    return [rows.T @ back, back.sum(axis=0), units.T @ error, error.sum(keepdims=True)]


def _kept(shape: tuple[int, ...], left_out: float, chance: np.random.Generator) -> NDArray[np.float32]:
    """1 / the share kept, or 0."""
    return (chance.random(shape, np.float32) >= left_out).astype(np.float32) / np.float32(1 - left_out)
