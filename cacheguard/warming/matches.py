"""Questions of a log as the rule sees those of a cache: phrasings of the answers of their groups."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cacheguard.matching.decide import Match
from cacheguard.types import Answer, Origin, Phrasing, Provenance
from cacheguard.warming.settling import agreement, rarity, sense_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.warming.places import Unit
    from cacheguard.warming.work import Work

_REMEMBERED: Final = 8192
# Answers by which it is told which words are usual.
_COUNTED: Final = 2000
_NOBODY: Final = Provenance("")


class Known:
    """What was read and embedded, by place, out of the work's files; what was asked for lately is remembered.

    vector: float32 (dimension,), unit length; None where the prompt was not read whole.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.unit = lru_cache(_REMEMBERED)(self._unit)
        self.vector = lru_cache(_REMEMBERED)(self._vector)

    def said(self, place: int) -> str:
        """The answer."""
        return self._work.places.settled(place).text

    def some_said(self) -> Iterator[str]:
        """Answers here and there, as many as are worth counting."""
        number = len(self._work.places)
        return map(self.said, range(0, number, -(-number // _COUNTED) or 1))

    def _unit(self, place: int) -> Unit:
        return next(self._work.places.units(place, place + 1))

    def _vector(self, place: int) -> NDArray[np.float32] | None:
        [vector] = self._work.vectors.rows(place, place + 1)
        return vector if vector.any() else None


class Matches:
    """Out of what is known; those asked for lately are remembered. now: Unix seconds."""

    def __init__(self, known: Known, now: float) -> None:
        self._known = known
        self._now = now
        self._phrasing = lru_cache(_REMEMBERED)(self._as_phrasing)
        self._sense = lru_cache(_REMEMBERED)(lambda place: sense_of(known.said(place)))
        self._rarity = rarity(known.some_said())

    def of(self, near: Iterable[tuple[int, float]], founder: Callable[[int], int]) -> list[Match]:
        """near: places and cosines. founder: names the group of a place, which is its answer's id."""
        made = []
        for place, cosine in near:
            phrasing, answer = self._phrasing(place, founder(place))
            made.append(Match(phrasing, answer, cosine, vector=self._known.vector(place)))
        return made

    def _as_phrasing(self, place: int, founder: int) -> tuple[Phrasing, Answer]:
        unit = self._known.unit(place)
        answer = Answer(str(founder), "", "", "", "", _NOBODY, self._now, self._now)
        return Phrasing(place, answer.id, "", unit.key, unit.text, Origin.LOG, self._now), answer

    def agreement(self, one: int, other: int) -> float:
        """Of the answers at two places, in [0, 1]."""
        return agreement(self._sense(one), self._sense(other), self._rarity)
