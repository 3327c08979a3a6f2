"""A cache asks itself: its phrasings, each held against the others, are thousands of labelled questions at no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from cacheguard.matching.decide import Match
from cacheguard.question import Question
from cacheguard.tuning.labels import Labelled, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cacheguard.types import Answer

# As many as the service looks at.
_NEAREST: Final = 20
# Groups of answers that are withheld together.
_GROUPS: Final = 5
_CACHES: Final = 12
_ASKED: Final = 400
_PHRASINGS: Final = (1, 1, 2, 3, 5)
_UNANSWERED: Final = 1 / 3


class Cached:
    """What a cache holds, in memory: matches without a similarity, and where each answer's phrasings stand."""

    def __init__(self, matches: Sequence[Match]) -> None:
        """matches: all phrasings, each with its vector."""
        self.matches = matches
        self.vectors = np.array([match.vector for match in matches], np.float32)
        names = {match.answer.id: match.answer for match in matches}
        self.answers: list[Answer] = list(names.values())
        self.place = {name: at for at, name in enumerate(names)}
        self.owner = np.array([self.place[match.answer.id] for match in matches])

    def near(self, vector: NDArray[np.float32], among: NDArray[np.bool_] | None = None) -> tuple[Match, ...]:
        """The nearest phrasings, nearest first. among: (phrasings,), those to look at."""
        similarities = self.vectors @ vector
        if among is not None:
            similarities = np.where(among, similarities, -np.inf)
        nearest = np.argpartition(-similarities, min(_NEAREST, len(similarities) - 1))[:_NEAREST]
        nearest = nearest[np.lexsort((nearest, -similarities[nearest]))]
        return tuple(self._match(at, similarities[at]) for at in nearest if similarities[at] > -np.inf)

    def _match(self, at: int, similarity: float) -> Match:
        known = self.matches[at]
        return Match(known.phrasing, known.answer, min(1.0, float(similarity)), vector=self.vectors[at])

    def ask(self, at: int, among: NDArray[np.bool_]) -> Labelled:
        """One phrasing as a question to others. Where none of its answer is among them, no answer is right."""
        phrasing = self.matches[at].phrasing
        right = self.matches[at].answer
        question = Question(phrasing.text, phrasing.key)
        return Labelled(question, self.vectors[at], self.near(self.vectors[at], among), Verdicts(frozenset([right.id])))


def answered(cached: Cached) -> Iterator[Labelled]:
    """Every phrasing is asked of all others."""
    everything = np.ones(len(cached.owner), bool)
    for at in range(len(cached.owner)):
        everything[at] = False
        yield cached.ask(at, everything)
        everything[at] = True


def unanswered(cached: Cached, chance: np.random.Generator) -> Iterator[Labelled]:
    """Every phrasing is asked of a cache without its answer, and without a fifth of the others."""
    group = chance.integers(0, _GROUPS, len(cached.answers))[cached.owner]
    for at in range(len(cached.owner)):
        yield cached.ask(at, group != group[at])


def young(cached: Cached, chance: np.random.Generator) -> Iterator[Labelled]:
    """Caches as they are in their first days: some of the answers, with few phrasings each."""
    for _ in range(_CACHES):
        many = round(np.exp(chance.uniform(np.log(2), np.log(len(cached.answers)))))
        held = np.isin(cached.owner, chance.choice(len(cached.answers), many, replace=False))
        order = chance.permutation(len(cached.owner))
        kept = np.zeros(len(cached.owner), bool)
        per_answer = chance.choice(_PHRASINGS)
        for answer in np.unique(cached.owner[held]):
            kept[order[cached.owner[order] == answer][:per_answer]] = True
        asked = [*order[(held & ~kept)[order]][: round(_ASKED * (1 - _UNANSWERED))]]
        asked += [*order[~held[order]][: round(_ASKED * _UNANSWERED)]]
        for at in asked:
            yield cached.ask(int(at), kept)
