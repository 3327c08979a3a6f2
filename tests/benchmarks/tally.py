"""What came of each request, and what it comes to by phase."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.illness import Fault, Phase
    from tests.benchmarks.traffic import Asking

# A tier that stays well for this long can answer: the slowest needs less.
WELL_FOR_S = 5.0
QUIET = "all are well"


class Source(StrEnum):
    """Where an answer came from. BROKEN: its stream broke off after its first words."""

    TIER = "tier"
    FRESH = "cache"
    STALE = "stale answer"
    BROKEN = "broken off"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one request. failed: the tiers of its calls that failed. calls: how many there were."""

    asking: Asking
    source: Source
    seconds: float
    calls: int = 0
    failed: tuple[str, ...] = ()
    cost_usd: float = 0.0

    @property
    def is_answered(self) -> bool:
        return self.source in {Source.TIER, Source.FRESH, Source.STALE}

    @property
    def ended(self) -> float:
        return self.asking.at + self.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """Sums over requests. unanswered: of those that could have been answered. broken: streams, after their first words.

    wasted: failed calls to a tier that was ill. unexplained: to one that was well.
    """

    requests: int
    answerable: int
    unanswered: int
    stale: int
    broken: int
    calls: int
    wasted: int
    wasted_on_dead: int
    unexplained: int
    p50_s: float
    p99_s: float
    cost_usd: float


class Tally:
    """tiers: of each route. stale_s: how old an answer to the same question may be when every tier fails."""

    def __init__(self, phases: Sequence[Phase], tiers: dict[str, tuple[str, ...]], stale_s: float) -> None:
        self._phases = phases
        self._tiers = tiers
        self._stale_s = stale_s

    def by_phase(self, told: Iterable[Told]) -> dict[str, Row]:
        """By the phase that began last of those that hold as the request comes."""
        told = list(told)
        answerable = set(self.answerable(told))
        groups: dict[str, list[Told]] = {QUIET: [], **{phase.name: [] for phase in self._phases}}
        for one in told:
            covering = [phase for phase in self._phases if phase.covers(one.asking.at)]
            groups[max(covering, key=lambda phase: phase.begins_s).name if covering else QUIET].append(one)
        return {name: self._row(group, answerable) for name, group in groups.items() if group}

    def total(self, told: Sequence[Told]) -> Row:
        return self._row(told, set(self.answerable(told)))

    def answerable(self, told: Sequence[Told]) -> list[Told]:
        """Those that found a tier well, or for whose question a tier's answer was not too old to be given."""
        found, kept = [], {}
        pending = sorted((one for one in told if one.source is Source.TIER), key=lambda one: -one.ended)
        for one in sorted(told, key=lambda one: one.asking.at):
            while pending and pending[-1].ended <= one.asking.at:
                earlier = pending.pop()
                kept[earlier.asking.route, earlier.asking.question] = earlier.ended
            at = kept.get((one.asking.route, one.asking.question), -self._stale_s)
            if self._has_well_tier(one.asking) or one.asking.at < at + self._stale_s:
                found.append(one)
        return found

    def _has_well_tier(self, asking: Asking) -> bool:
        until = asking.at + WELL_FOR_S
        return any(
            not any(phase.fault(tier, asking, asking.at, until) for phase in self._phases)
            for tier in self._tiers[asking.route]
        )

    def _row(self, told: Sequence[Told], answerable: set[Told]) -> Row:
        faults = [self._fault(tier, one) for one in told for tier in one.failed]
        seconds = sorted(one.seconds for one in told if one.is_answered) or [0.0]
        return Row(
            requests=len(told),
            answerable=sum(one in answerable for one in told),
            unanswered=sum(one in answerable and not one.is_answered for one in told),
            stale=sum(one.source is Source.STALE for one in told),
            broken=sum(one.source is Source.BROKEN for one in told),
            calls=sum(one.calls for one in told),
            wasted=len(faults) - faults.count(None),
            wasted_on_dead=sum(fault is not None and fault.is_dead for fault in faults),
            unexplained=faults.count(None),
            p50_s=seconds[len(seconds) // 2],
            p99_s=seconds[int(len(seconds) * 0.99)],
            cost_usd=sum(one.cost_usd for one in told),
        )

    def _fault(self, tier: str, one: Told) -> Fault | None:
        """What was wrong with a tier while it was asked."""
        faults = (phase.fault(tier, one.asking, one.asking.at, one.ended) for phase in self._phases)
        return next((fault for fault in faults if fault), None)
