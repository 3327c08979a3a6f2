"""A second tier is asked when the first takes longer than it does as a rule; the first valid answer wins.

Source: Dean and Barroso, The Tail at Scale (2013).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cacheguard.cascade.pace import ENOUGH_FOR_TAIL
from cacheguard.cascade.retries import RetryBudget
from cacheguard.cascade.run import Given
from cacheguard.cascade.strategies.base import in_turn
from cacheguard.cascade.stream import OpenStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.cascade.run import Run
    from cacheguard.cascade.tier import Tier

# Of all requests, however slow the first tier becomes: the percentile follows a slump only after a while.
SHARE = 0.07
# As many as may be asked. With the 95th percentile and a slow tail of 5 %, p99 fell by 53 % only, since the percentile
# of the newest calls often lies within the tail; with the 93rd it fell by 69 %, for 6.5 % more calls.
TAIL = 1 - SHARE


class Hedge:
    """after_s: when the second is asked; None: after 93 of 100 of the first one's answers, once that is known."""

    def __init__(self, after_s: float | None = None) -> None:
        self._after_s = after_s
        self._budget = RetryBudget(SHARE)

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        self._budget.earn()
        first, *others = tiers
        after_s = self._after_s
        if after_s is None:
            after_s = first.pace.of(stream=run.stream).quantile(TAIL, run.now(), at_least=ENOUGH_FOR_TAIL)
        if after_s is None or not others:
            return await in_turn(run, tiers)
        racers = [asyncio.create_task(run.ask(first, others))]
        try:
            await asyncio.wait(racers, timeout=after_s)
            if not racers[0].done() and self._budget.spend():
                racers.append(asyncio.create_task(in_turn(run, others)))
            winner = await _first_to_give(run, racers)
            await _let_go([racer for racer in racers if racer is not winner])
        except BaseException:
            await _let_go(racers)
            raise
        if winner is None and len(racers) == 1 and run.may_go_on:
            return await in_turn(run, others)
        return None if winner is None else winner.result()


async def _first_to_give(run: Run, racers: Sequence[asyncio.Task[Given | None]]) -> asyncio.Task[Given | None] | None:
    """None: none of them gives anything.

    What no other tier would do better ends the race where the first met it: without a race no other had been asked.
    """
    waiting = set(racers)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for racer in racers:
            if racer in done and racer.result() is not None:
                return racer
        if racers[0].done() and not run.may_go_on:
            break
    return None


async def _let_go(racers: Sequence[asyncio.Task[Given | None]]) -> None:
    """Cancel them; what they have opened in the same moment is closed."""
    for racer in racers:
        racer.cancel()
    for given in await asyncio.gather(*racers, return_exceptions=True):
        if isinstance(given, Given) and isinstance(given.content, OpenStream):
            await given.content.aclose()
