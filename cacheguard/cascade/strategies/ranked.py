"""The best first, as it was lately: fastest by time, cheapest by what such a call costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cacheguard.cascade.price import reserve_usd
from cacheguard.cascade.strategies.base import in_turn
from cacheguard.cascade.strategies.shares import first_of
from cacheguard.cascade.tokens import input_tokens, wanted_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier

# So many requests try another tier first: a rank is known only of those that are asked.
EXPLORED = 0.05


class Rank(Protocol):
    """What the least of is best."""

    def __call__(self, run: Run, tier: Tier) -> float: ...


class Ranked:
    """Ties are broken by the route's order."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        best_first = sorted(tiers, key=lambda tier: self._rank(run, tier))
        if run.random.random() < EXPLORED:
            best_first = first_of(run.random.choice(best_first), best_first)
        return await in_turn(run, best_first)


def seconds(run: Run, tier: Tier) -> float:
    """To a whole answer, or to a stream's first word: the median. What is not known yet is tried."""
    return tier.pace.of(stream=run.stream).quantile(0.5, run.now()) or 0.0


def cost_usd(run: Run, tier: Tier) -> float:
    """Of this very request, as estimated."""
    usual = tier.pace.output_tokens(run.now())
    return reserve_usd(tier.price, input_tokens(run.body), wanted_tokens(run.body), usual)
