"""What befalls tiers in the course of a day, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.traffic import AS_JSON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    from tests.benchmarks.hosts import Host
    from tests.benchmarks.traffic import Asking

    Then: TypeAlias = dict[str, Any]
    Rules: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Fault:
    """then: what the simulated provider does; None: it is not there at all. is_dead: nobody gets anything in time.

    json_only: other questions don't notice.
    """

    then: Then | None
    is_dead: bool = False
    json_only: bool = False


REFUSES = Fault(None, is_dead=True)
FAILS = Fault({"status": 503}, is_dead=True)
OVERLOADED = Fault({"status": 529}, is_dead=True)
# Beyond every tier's limits.
SLOW = Fault({"latency_ms": 60_000}, is_dead=True)
THROTTLES = Fault({"status": 429, "retry_after_s": 20})
BAD_JSON = Fault({"text": '{"answer": "The beginning of an'}, json_only=True)
CUTS = Fault({"cut_after_tokens": 5})
REFUSES_KEY = Fault({"status": 401}, is_dead=True)


@dataclass(frozen=True, slots=True)
class Phase:
    """A time in which tiers are ill; s: seconds since the beginning."""

    name: str
    begins_s: float
    ends_s: float
    faults: Mapping[str, Fault]

    def covers(self, at: float) -> bool:
        return self.begins_s <= at < self.ends_s

    def fault(self, tier: str, asking: Asking, since: float, until: float) -> Fault | None:
        """What keeps the tier from being relied on for this request in all of that time."""
        fault = self.faults.get(tier)
        if fault is None or (fault.json_only and not asking.wants_json):
            return None
        return fault if self.begins_s <= until and since < self.ends_s else None


async def befall(phase: Phase, hosts: Mapping[str, Host], health: Mapping[str, Rules]) -> None:
    """Let it begin and end in its time. health: the script of each tier that is well.

    A tier has one illness at a time.
    """
    await _until(phase.begins_s)
    for tier, fault in phase.faults.items():
        if fault.then is None:
            await hosts[tier].shut()
        else:
            await hosts[tier].play(*_rules(fault, health[tier]))
    await _until(phase.ends_s)
    for tier, fault in phase.faults.items():
        if fault.then is None:
            await hosts[tier].open()
        await hosts[tier].play(*health[tier])


def _rules(fault: Fault, health: Rules) -> Rules:
    ill = [{**rule, "then": {**rule["then"], **(fault.then or {})}} for rule in health]
    return [*({**rule, "when": {"prompt": AS_JSON}} for rule in ill), *health] if fault.json_only else ill


async def _until(at: float) -> None:
    await asyncio.sleep(at - asyncio.get_running_loop().time())
