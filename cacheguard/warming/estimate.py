"""What to expect of a warmed cache: the log's newest tenth, asked of what the older nine tenths would fill it with."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import numpy as np

from cacheguard.question import Question
from cacheguard.warming.neighbours import blocks, nearest_held
from cacheguard.warming.report import Estimate
from cacheguard.warming.settling import AGREE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cacheguard.matching.decide import Judged, Rule
    from cacheguard.warming.matches import Known, Matches
    from cacheguard.warming.work import Work

NEWEST: Final = 0.1
_UNKNOWN: Final = -1


def estimate(work: Work, known: Known, matches: Matches, rule: Rule, now: float) -> Estimate:
    """Exactly what was asked before is a hit, and right; what is new is judged as the service would judge it.

    A similar hit is wrong where the log answers otherwise. rule: the route's. now: Unix seconds.
    """
    exchanges = len(work.exchanges)
    cut = round(exchanges * (1 - NEWEST))
    founders = array("q", [_UNKNOWN]) * len(work.places)  # of the places that the cache would hold
    new, times = array("q"), array("q")  # places asked after the cut alone, and how often
    exact = 0
    for place, founder, before, after in work.places.around(cut):
        if before:
            founders[place] = founder
            exact += after
        else:
            new.append(place)
            times.append(after)
    replay = _Replay(known, matches, rule, founders, now)
    similar = wrong = within_reach = 0
    for place, near in _near(work, np.frombuffer(founders, np.int64) != _UNKNOWN, new):
        best = replay.best(place, near)
        often = times[bisect_left(new, place)]
        if best is not None and best.accepted:
            similar += often
            wrong += often * (not replay.is_right(place, best))
        elif best is not None:
            within_reach += often * replay.is_right(place, best)
    return Estimate(exchanges - cut, exact, similar, wrong, within_reach)


def _near(
    work: Work, held: np.typing.NDArray[np.bool_], new: Sequence[int]
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Of each new question the places of those held that lie nearest, and cosines."""
    for start, stop in work.places.scopes():
        its = range(bisect_left(new, start), bisect_left(new, stop))
        if not its or not held[start:stop].any():
            continue
        for first, last in blocks(its.start, its.stop):
            asked = np.concatenate([work.vectors.rows(place, place + 1) for place in new[first:last]])
            found = nearest_held(work.vectors.rows, asked, (start, stop), held[start:stop])
            for place, places, cosines in zip(new[first:last], *(one.tolist() for one in found), strict=True):
                yield place, [(at, cosine) for at, cosine in zip(places, cosines, strict=True) if at >= 0 and cosine]


class _Replay:
    """founders: of the groups of what the cache holds, by place."""

    def __init__(self, known: Known, matches: Matches, rule: Rule, founders: Sequence[int], now: float) -> None:
        self._known = known
        self._matches = matches
        self._rule = rule
        self._founders = founders
        self._now = now

    def best(self, place: int, near: Sequence[tuple[int, float]]) -> Judged | None:
        vector = self._known.vector(place)
        if vector is None or not near:
            return None
        unit = self._known.unit(place)
        matches = self._matches.of(near, self._founders.__getitem__)
        return self._rule.judge(Question(unit.text, unit.key), matches, self._now, vector)[0]

    def is_right(self, place: int, best: Judged) -> bool:
        its = int(best.match.answer.id)
        one, other = self._known.unit(place), self._known.unit(its)
        if one.id and other.id:
            return one.id == other.id
        return self._matches.agreement(place, its) >= AGREE
