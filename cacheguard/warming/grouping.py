"""Which questions of a scope ask the same, so that one answer is right for all of them.

They come as they would to the service, the most asked first: each is judged against those that are placed already, as
the corridor judges it, and joins an answer only where the rule is sure of it. So nothing is joined by a chain of near
ones: the rule asks that an answer stands out among all that are near, and a group must stay of one piece.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.matching.guards import first_veto
from cacheguard.question import Question
from cacheguard.warming.settling import AGREE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.decide import Rule
    from cacheguard.warming.matches import Known, Matches
    from cacheguard.warming.places import Unit

# From this agreement of two answers on, near questions need no rule, only guards. Of vira and banking77 with all
# answers worded anew, 25.8 and 20.9 % of the pairs that belong together come together, instead of 11.6 and 16.4, and
# 99.7 and 100 % of the questions lie with their like. The constants here were chosen on these two sets.
SAME: Final = 0.8
# How sure the rule must be of two questions, and of two whose answers say the same.
ALONE: Final = 0.99
AGREED: Final = 0.9
# Least cosine to the question that founded the group, so that no group drifts. Where none is as near, no rule is asked.
COHESION: Final = 0.7
# Questions whose answers differ are asked about from this cosine on: of those of qqp_a, vira and banking77, the rule is
# as sure as ALONE of none below 0.86.
_ALIKE: Final = 0.8


class Doubt(NamedTuple):
    """Two questions that ask the same by all signs, and have answers that contradict each other."""

    one: Unit
    other: Unit


class Grouping:
    """Of one scope, whose places begin at `start`. rules: whom the questions alone must persuade, and whom where the
    answers agree already. on_doubt: told of each doubt. now: Unix seconds.

    A group is named by the place of the question that founded it.
    """

    def __init__(
        self,
        start: int,
        known: Known,
        matches: Matches,
        rules: tuple[Rule, Rule],
        *,
        on_doubt: Callable[[Doubt], None],
        now: float,
    ) -> None:
        self._start = start
        self._known = known
        self._matches = matches
        self._rule, self._agreed = rules
        self._on_doubt = on_doubt
        self._now = now
        self._groups = array("q")  # by place; a group that went into another one names that as its own
        self._votes = array("q")  # pairs of groups, one after the other

    def place(self, unit: Unit, near: Sequence[tuple[int, float]]) -> None:
        """Find the group that the next place joins, or let it found one. near: places before it and cosines, nearest
        first.
        """
        self._groups.append(unit.place if unit.sibling == unit.place else self.group_of(unit.sibling))
        if not unit.id and near and near[0][1] >= COHESION:
            self._join(unit, near)

    def group_of(self, place: int) -> int:
        while (group := self._groups[place - self._start]) != place:
            place = group
        return place

    def _join(self, unit: Unit, near: Sequence[tuple[int, float]]) -> None:
        vector = self._known.vector(unit.place)
        if vector is None:
            return
        mine = self.group_of(unit.place)
        groups = {at: self.group_of(at) for at, _ in near}
        agreements = {group: self._matches.agreement(unit.place, group) for group in {*groups.values()} - {mine}}
        if mine == unit.place and (group := self._says_the_same(unit, vector, near, agreements)) is not None:
            self._put(mine, group)
            return
        agreeing = {mine, *(group for group, agreement in agreements.items() if agreement >= AGREE)}
        if near[0][1] < _ALIKE and agreeing <= {mine}:
            return
        matches = self._matches.of(near, lambda at: mine if groups[at] in agreeing else groups[at])
        question = Question(unit.text, unit.key)
        best = self._agreed.judge(question, matches, self._now, vector)[0]
        group = groups[best.match.phrasing.id]
        if not best.accepted or not self._is_of_one_piece(vector, group):
            return
        if group in agreeing and group != mine:
            if mine == unit.place:
                self._put(mine, group)
            else:
                self._votes.extend((min(mine, group), max(mine, group)))
        elif (
            group not in agreeing
            and mine == unit.place
            and self._rule.reconsider(question, best, matches, self._now).accepted
        ):
            other = self._known.unit(group)
            if other.score > unit.score:
                self._put(mine, group)  # people praised that answer more
            else:
                self._on_doubt(Doubt(unit, other))

    def _says_the_same(
        self,
        unit: Unit,
        vector: NDArray[np.float32],
        near: Sequence[tuple[int, float]],
        agreements: Mapping[int, float],
    ) -> int | None:
        """Of the groups near by the one with the same answer, but for words that say little, unless a guard objects."""
        same = [group for group, agreement in agreements.items() if agreement >= SAME]
        for group in sorted(same, key=lambda group: (-agreements[group], group)):
            members = [(at, cosine) for at, cosine in near if cosine >= COHESION and self.group_of(at) == group]
            if members and self._is_of_one_piece(vector, group) and self._passes(unit, members):
                return group
        return None

    def _passes(self, unit: Unit, members: Sequence[tuple[int, float]]) -> bool:
        """The guards, as an answer's phrasings would. members: places and cosines, nearest first."""
        matches = self._matches.of(members, self.group_of)
        return not first_veto(Question(unit.text, unit.key), matches, getattr(self._agreed, "guards", ()), self._now)

    def unite(self) -> None:
        """Join groups, when all is placed, where half of the smaller one's questions would be the other's."""
        start = self._start
        sizes = array("q", [0]) * len(self._groups)  # by founder
        for place in range(start, start + len(self._groups)):
            sizes[self.group_of(place) - start] += 1
        pairs, votes_of = np.unique(np.array(self._votes, np.int64).reshape(-1, 2), axis=0, return_counts=True)
        for at in np.argsort(-votes_of, kind="stable").tolist():  # of as many votes, the most asked pair first
            (one, other), votes = pairs[at].tolist(), int(votes_of[at])
            ends = self.group_of(one), self.group_of(other)
            mine, its = sorted(ends, key=lambda group: (-sizes[group - start], group))
            # Of a group that has grown since, half is more.
            if mine != its and 2 * votes >= sizes[its - start] and self._agree(mine, its):
                self._put(its, mine)
                sizes[mine - start] += sizes[its - start]

    def _put(self, founder: int, group: int) -> None:
        self._groups[founder - self._start] = group

    def _agree(self, place: int, group: int) -> bool:
        return self._matches.agreement(place, group) >= AGREE

    def _is_of_one_piece(self, vector: NDArray[np.float32], founder: int) -> bool:
        first = self._known.vector(founder)
        return first is not None and float(vector @ first) >= COHESION


def rules_for(rule: Rule) -> tuple[Rule, Rule]:
    """What a route's rule makes of questions alone, and of questions whose answers agree.

    A tuned rule knows the route's own answers, which are not there yet: the model as it is shipped takes its place.
    """
    in_force = getattr(rule, "rule", rule)
    if not isinstance(in_force, Calibrated):
        return rule, rule
    alone = Calibrated(default_model(), ALONE, in_force.guards, near_exact=True)
    return alone, replace(alone, threshold=AGREED)
