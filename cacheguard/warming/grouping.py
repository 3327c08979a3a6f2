"""Which questions of a scope ask the same, so that one answer is right for all of them.

They come as they would to the service, the most asked first: each is judged against those that are placed already, as
the corridor judges it, and joins an answer only where the rule is sure of it. So nothing is joined by a chain of near
ones: the rule asks that an answer stands out among all that are near, and a group must stay of one piece.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.matching.decide import Match
from cacheguard.question import Question
from cacheguard.types import Answer, Origin, Phrasing, Provenance
from cacheguard.warming.settling import AGREE, agreement, sense_of
from cacheguard.warming.work import text_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.matching.decide import Rule
    from cacheguard.warming.settling import Settled

# How sure the rule must be of two questions, and of two whose answers say the same.
ALONE: Final = 0.99
AGREED: Final = 0.9
# Below this cosine to the nearest placed question no rule was ever sure enough of any, and none is asked.
_FLOOR: Final = 0.6
# Least cosine to the question that founded the group, so that no group drifts.
COHESION: Final = 0.7
_AMONG: Final = 20  # as many as the corridor looks at
_REMEMBERED: Final = 8192


class Unit(NamedTuple):
    """A question that may join others. place: its row among the vectors."""

    place: int
    text: str
    key: str
    settled: Settled


class Doubt(NamedTuple):
    """Two questions that ask the same by all signs, and have answers that contradict each other."""

    one: Unit
    other: Unit


class Known(Protocol):
    """What was read and embedded, by place."""

    def unit(self, place: int) -> Unit: ...

    def vector(self, place: int) -> NDArray[np.float32] | None:
        """float32 (dimension,), unit length; None where the prompt was not read whole."""
        ...


class Grouping:
    """Of one scope. rule: whom the questions alone must persuade. agreed: the same, where the answers agree already.

    A group is named by the place of the question that founded it. now: Unix seconds.
    """

    def __init__(self, known: Known, rule: Rule, agreed: Rule, now: float) -> None:
        self._known = known
        self._rule = rule
        self._agreed = agreed
        self._now = now
        self._group: dict[int, int] = {}  # by place; a group that went into another one names that as its own
        self._by_answer: dict[int, int] = {}  # founders, by hash of an id of the log's or of an answer's text
        self._sense = lru_cache(_REMEMBERED)(lambda place: sense_of(known.unit(place).settled.text))
        self._votes: Counter[tuple[int, int]] = Counter()
        self.doubts: list[Doubt] = []

    def place(self, place: int, near: Sequence[tuple[int, float]]) -> None:
        """Find the group that the question joins, or let it found one. near: places and cosines, nearest first."""
        unit = self._known.unit(place)
        answer = text_id(f"id:{unit.settled.id}" if unit.settled.id else f"text:{unit.settled.text}")
        founder = self._by_answer.setdefault(answer, place)
        self._group[place] = self.group_of(founder) if founder != place else place
        if not unit.settled.id:
            self._join(unit, near)

    def group_of(self, place: int) -> int:
        while (group := self._group[place]) != place:
            place = group
        return place

    def _join(self, unit: Unit, near: Sequence[tuple[int, float]]) -> None:
        placed = [(at, cosine) for at, cosine in near if at in self._group][:_AMONG]
        vector = self._known.vector(unit.place) if placed and placed[0][1] >= _FLOOR else None
        if vector is None:
            return
        mine = self.group_of(unit.place)
        groups = {at: self.group_of(at) for at, _ in placed}
        agreeing = {group for group in set(groups.values()) if group == mine or self._agree(unit.place, group)}
        matches = [
            as_match(self._known, at, mine if groups[at] in agreeing else groups[at], cosine, self._now)
            for at, cosine in placed
        ]
        question = Question(unit.text, unit.key)
        best = self._agreed.judge(question, matches, self._now, vector)[0]
        group = self.group_of(best.match.phrasing.id)
        if not best.accepted or not self._is_of_one_piece(vector, group):
            return
        if group in agreeing and group != mine:
            if mine == unit.place:
                self._group[mine] = group
            else:
                self._votes[min(mine, group), max(mine, group)] += 1
        elif (
            group not in agreeing
            and mine == unit.place
            and self._rule.reconsider(question, best, matches, self._now).accepted
        ):
            other = self._known.unit(group)
            if other.settled.score > unit.settled.score:
                self._group[mine] = group  # people praised that answer more
            else:
                self.doubts.append(Doubt(unit, other))

    def unite(self) -> None:
        """Join groups, when all is placed, where half of the smaller one's questions would be the other's."""
        sizes = Counter(map(self.group_of, self._group))
        for (one, other), votes in sorted(self._votes.items(), key=lambda row: (-row[1], row[0])):
            mine, its = sorted((self.group_of(one), self.group_of(other)), key=lambda group: (-sizes[group], group))
            # Of a group that has grown since, half is more.
            if mine != its and 2 * votes >= sizes[its] and self._agree(mine, its):
                self._group[its] = mine
                sizes[mine] += sizes.pop(its)

    def _agree(self, place: int, group: int) -> bool:
        return agreement(self._sense(place), self._sense(group)) >= AGREE

    def _is_of_one_piece(self, vector: NDArray[np.float32], founder: int) -> bool:
        first = self._known.vector(founder)
        return first is not None and float(vector @ first) >= COHESION


def as_match(known: Known, place: int, founder: int, cosine: float, now: float) -> Match:
    """The question at a place as the rule sees a phrasing of the group's answer, which is named by its founder."""
    unit = known.unit(place)
    answer = Answer(str(founder), "", "", "", "", _NOBODY, now, now)
    phrasing = Phrasing(place, answer.id, "", unit.key, unit.text, Origin.LOG, now)
    return Match(phrasing, answer, cosine, vector=known.vector(place))


def rules_for(rule: Rule) -> tuple[Rule, Rule]:
    """What a route's rule makes of questions alone, and of questions whose answers agree.

    A tuned rule knows the route's own answers, which are not there yet: the model as it is shipped takes its place.
    """
    in_force = getattr(rule, "rule", rule)
    if not isinstance(in_force, Calibrated):
        return rule, rule
    alone = Calibrated(default_model(), ALONE, in_force.guards, near_exact=True)
    return alone, replace(alone, threshold=AGREED)


_NOBODY: Final = Provenance("")
