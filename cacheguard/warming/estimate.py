"""What to expect of a warmed cache: the log's newest tenth, asked of what the older nine tenths would fill it with."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from cacheguard.question import Question
from cacheguard.warming.grouping import as_match
from cacheguard.warming.report import Estimate
from cacheguard.warming.settling import AGREE, agreement, sense_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.decide import Judged, Rule
    from cacheguard.warming.grouping import Known
    from cacheguard.warming.work import Work

NEWEST: Final = 0.1
_AMONG: Final = 20  # as many as the corridor looks at
_UNKNOWN: Final = -1


def estimate(work: Work, known: Known, rule: Rule, now: float) -> Estimate:
    """Exactly what was asked before is a hit, and right; what is new is judged as the service would judge it.

    A similar hit is wrong where the log answers otherwise. rule: the route's. now: Unix seconds.
    """
    cut = round(work.exchanges * (1 - NEWEST))
    founders = array("q", [_UNKNOWN]) * work.chosen  # of the places that the cache would hold
    new: dict[int, int] = {}  # asked after the cut alone: how often
    exact = similar = wrong = 0
    asked = {place: (before, after) for place, before, after in work.around(cut) if before or after}
    for founder, place in work.groups(_UNKNOWN):
        before, after = asked[place]
        if before:
            founders[place] = founder
            exact += after
        else:
            new[place] = after
    replay = _Replay(known, rule, founders, now)
    for place, times in new.items():
        best = replay.best(place, work.near(place))
        if best is not None and best.accepted:
            similar += times
            wrong += times * (not replay.is_right(place, best))
    return Estimate(work.exchanges - cut, exact, similar, wrong)


class _Replay:
    def __init__(self, known: Known, rule: Rule, founders: Sequence[int], now: float) -> None:
        self._known = known
        self._rule = rule
        self._founders = founders
        self._now = now

    def best(self, place: int, near: Sequence[tuple[int, float]]) -> Judged | None:
        vector = self._known.vector(place)
        held = [(at, cosine) for at, cosine in near if self._founders[at] != _UNKNOWN][:_AMONG]
        if vector is None or not held:
            return None
        unit = self._known.unit(place)
        matches = [as_match(self._known, at, self._founders[at], cosine, self._now) for at, cosine in held]
        return self._rule.judge(Question(unit.text, unit.key), matches, self._now, vector)[0]

    def is_right(self, place: int, best: Judged) -> bool:
        mine, its = (self._known.unit(at).settled for at in (place, int(best.match.answer.id)))
        return mine.id == its.id if mine.id and its.id else agreement(sense_of(mine.text), sense_of(its.text)) >= AGREE
