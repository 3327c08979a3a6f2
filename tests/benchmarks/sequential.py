"""Plain sequential retries, as many a client has them: what the cascade is compared with.

Each tier is asked up to three times under its own time-out, with a fixed pause after each failure; then the next. It
has a cache of fresh answers, and it knows a wrong form when it sees one, so that its answers may be compared; it waits
for whole answers and never streams. It has no breaker, no deadline and no stale answers.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from cacheguard.failures import AttemptFailed
from cacheguard.providers.base import Call
from cacheguard.validation.base import validate
from cacheguard.validation.json_schema import JsonSchema
from tests.benchmarks.tally import Source, Told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.cascade.tier import Tier
    from cacheguard.providers.base import Completion
    from cacheguard.settings import Settings
    from tests.benchmarks.traffic import Asking

TRIES = 3
PAUSE_S = 1.0
CHECKS = (JsonSchema(),)


class Sequential:
    """By the settings' routes. An answer that comes past the route's deadline counts as none."""

    def __init__(self, settings: Settings, tiers: Mapping[str, Tier]) -> None:
        self._routes = settings.routes
        self._tiers = tiers
        self._kept_at: dict[tuple[str, int], float] = {}

    async def ask(self, asking: Asking) -> Told:
        now = asyncio.get_running_loop().time
        route, key = self._routes[asking.route], (asking.route, asking.question)
        if now() < self._kept_at.get(key, -math.inf) + route.cache.ttl_s:
            return Told(asking, Source.FRESH, 0.0)
        failed: list[str] = []
        cost_usd = 0.0
        for tier in (self._tiers[name] for name in route.tiers):
            for _ in range(TRIES):
                try:
                    completion = await _answer(tier, asking)
                except (AttemptFailed, TimeoutError) as failure:
                    failed.append(tier.name)
                    cost_usd += _cost_usd(tier, getattr(failure, "completion", None))
                    await asyncio.sleep(PAUSE_S)
                    continue
                self._kept_at[key] = now()
                seconds = now() - asking.at
                source = Source.TIER if seconds <= route.deadline_s else Source.NONE
                cost_usd += _cost_usd(tier, completion)
                return Told(asking, source, seconds, len(failed) + 1, tuple(failed), cost_usd)
        return Told(asking, Source.NONE, now() - asking.at, len(failed), tuple(failed), cost_usd)


async def _answer(tier: Tier, asking: Asking) -> Completion:
    async with asyncio.timeout(tier.timeout_s):
        completion = await tier.provider.complete(Call(tier.model, asking.body))
    await validate(completion, asking.body, CHECKS)
    return completion


def _cost_usd(tier: Tier, completion: Completion | None) -> float:
    return tier.price.cost_usd(completion.usage) if completion else 0.0
