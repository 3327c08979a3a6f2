"""What routes promise of their hits, and what follows when one is broken: a tighter rule, and an alert.

A judge's verdicts are on a random sample of the hits, so that the share of wrong ones among them is that among all.
Clients and people tell of whichever hits they please: those that they called wrong are held against all hits that the
route gave. That share can't be greater than the true one, so it may break a promise, and never vouches for one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from cacheguard.errors import RuleChanged
from cacheguard.matching.stored_rule import write_rule
from cacheguard.oversight.evidence import NONE, Evidence, evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cacheguard.border import Border
    from cacheguard.matching.confidence import Calibrated
    from cacheguard.rules import InForce
    from cacheguard.stores.base import Label, Store

# Newest labels and hits that are looked at: what was longer ago has left the detectors long since.
_LABELS: Final = 5_000
_HITS: Final = 10_000
TIGHTENING: Final = "tightening"


class Alarm(Protocol):
    """Where broken promises are reported."""

    def promise_broken(self, route: str, version: int, threshold: float, wrong: int, judged: int) -> None: ...


class Tally(NamedTuple):
    """Hits and how many of them are wrong."""

    hits: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a route's hits did since its rule came in force. called: all hits, and those that clients called wrong."""

    judged: Tally
    called: Tally
    by_judge: Evidence = NONE
    by_others: Evidence = NONE

    @property
    def breaks(self) -> bool:
        return self.by_judge.breaks or self.by_others.breaks


class Promise:
    """Of one route. max_wrong: the greatest share of wrong hits, None where none is promised. rule: None where it is a
    plain threshold, which nobody tunes or tightens. is_in_doubt: whether its hits shall be looked at more closely.
    """

    def __init__(self, max_wrong: float | None, rule: InForce | None) -> None:
        self.max_wrong = max_wrong
        self.rule = rule
        self.is_in_doubt = False

    @property
    def since(self) -> float:
        """When the rule came in force, in Unix seconds."""
        return self.rule.since if self.rule else 0.0

    @property
    def is_broken(self) -> bool:
        """Whether the route had to tighten itself, and was not tuned since."""
        return self.rule is not None and self.rule.by == TIGHTENING


class Promises:
    """Of all routes, by name. now: Unix seconds."""

    def __init__(
        self, promises: Mapping[str, Promise], store: Store, alarm: Alarm, border: Border, now: Callable[[], float]
    ) -> None:
        self._promises = promises
        self._store = store
        self._alarm = alarm
        self._border = border
        self._now = now

    def __getitem__(self, route: str) -> Promise:
        return self._promises[route]

    async def look(self, route: str) -> None:
        """After a verdict: whether the route's promise still holds. If it does not, the route tightens itself."""
        if route in self._promises:  # labels of a route that the settings don't have any more are of no use
            await self._border.cross("promise", self._look(route), None)

    async def standing(self, route: str) -> Standing:
        promise = self._promises[route]
        labels = [one for one in await self._store.labels(route, _LABELS) if one.created_at > promise.since]
        judged = _judged(labels)
        times = [at for at in await self._store.hit_times(route, _HITS) if at > promise.since]
        called = _called_wrong(labels)
        tallies = Tally(len(judged), sum(judged)), Tally(len(times), len(called))
        if promise.max_wrong is None:
            return Standing(*tallies)
        in_order = np.argsort(np.concatenate([times, called]), kind="stable")
        return Standing(
            *tallies,
            evidence(judged, promise.max_wrong),
            evidence(in_order >= len(times), promise.max_wrong) if called else NONE,
        )

    async def _look(self, route: str) -> None:
        promise = self._promises[route]
        if promise.max_wrong is None:
            return
        standing = await self.standing(route)
        promise.is_in_doubt = standing.by_judge.casts_doubt
        if standing.breaks and promise.rule is not None:
            await self._tighten(route, promise.rule, standing)

    async def _tighten(self, route: str, rule: InForce, standing: Standing) -> None:
        tighter = tightened(rule.rule)
        now = self._now()
        try:
            stored = await self._store.add_rule(
                route, write_rule(tighter), by=TIGHTENING, created_at=now, after=rule.version
            )
        except RuleChanged:  # another process was first, or somebody has tuned the route
            return
        rule.change(stored)
        self._promises[route].is_in_doubt = False
        judged = standing.judged
        self._alarm.promise_broken(route, stored.version, tighter.threshold, judged.wrong, judged.hits)


def tightened(rule: Calibrated) -> Calibrated:
    """One that serves only what it is twice as sure of, and what is exact."""
    lone = None if rule.lone_threshold is None else (1 + rule.lone_threshold) / 2
    return replace(rule, threshold=(1 + rule.threshold) / 2, near_exact=False, lone_threshold=lone)


def _judged(labels: Sequence[Label]) -> list[bool]:
    """Whether they were wrong, of the hits that a judge looked at; what a person says of such a pair, counts."""
    by_person = {_pair(label): label.right for label in labels if label.by == "person"}
    hits = [label for label in labels if label.by == "judge" and label.similarity is not None]
    return [not by_person.get(_pair(label), label.right) for label in hits]


def _called_wrong(labels: Iterable[Label]) -> list[float]:
    """When clients or people called a semantic hit wrong, and did not take it back; each pair once."""
    newest = {
        _pair(label): label
        for label in labels
        # What an equal text gets is none of the rule's doing.
        if label.by in {"feedback", "person"} and label.similarity is not None and label.similarity < 1
    }
    return sorted(label.created_at for label in newest.values() if not label.right)


def _pair(label: Label) -> tuple[str, str, str]:
    return label.scope, label.key, label.answer_id
