"""A second tier is asked when the first takes longer than it does as a rule; the first valid answer wins.

Source: Dean and Barroso, The Tail at Scale (2013): waiting for the 95th percentile keeps the load within some 5 %.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cacheguard.cascade.pace import ENOUGH_FOR_TAIL
from cacheguard.cascade.retries import RetryBudget
from cacheguard.cascade.strategies.base import in_turn
from cacheguard.cascade.stream import OpenStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier

TAIL = 0.95
# Of all requests, however slow the first tier becomes: the percentile follows a slump only after a while.
SHARE = 0.07


class Hedge:
    """after_s: when the second is asked; None: after the first one's 95th percentile, once that is known."""

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
        winner = None
        try:
            await asyncio.wait(racers, timeout=after_s)
            if not racers[0].done() and self._budget.spend():
                racers.append(asyncio.create_task(in_turn(run, others)))
            winner = await _first_to_give(run, racers)
        finally:
            for racer in racers:
                if racer is not winner:
                    await _let_go(racer)
        if winner is None and len(racers) == 1 and run.may_go_on:
            return await in_turn(run, others)
        return None if winner is None else winner.result()


async def _first_to_give(run: Run, racers: Sequence[asyncio.Task[Given | None]]) -> asyncio.Task[Given | None] | None:
    waiting = set(racers)
    while waiting and run.may_go_on:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for racer in racers:
            if racer in done and racer.result() is not None:
                return racer
    return None


async def _let_go(racer: asyncio.Task[Given | None]) -> None:
    """Cancel it; what it has opened in the same moment is closed."""
    racer.cancel()
    await asyncio.wait([racer])
    if not racer.cancelled() and racer.exception() is None:
        given = racer.result()
        if given is not None and isinstance(given.content, OpenStream):
            await given.content.aclose()
