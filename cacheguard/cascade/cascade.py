"""Ask tiers, by a route's plan, until one gives an answer that may be given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheguard.cascade.plan import Plan
from cacheguard.cascade.retries import RetryBudget
from cacheguard.cascade.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from cacheguard.cascade.outcome import Attempt, Outcome
    from cacheguard.cascade.spending import Purse
    from cacheguard.cascade.tier import Tier
    from cacheguard.providers.base import Completion


class Cascade:
    """The way of requests through tiers. Between them it holds nothing but the budget for retries.

    tiers: all of them by name, for validators that ask one.
    """

    def __init__(self, random: Random, tiers: Mapping[str, Tier] | None = None) -> None:
        self.random = random
        self.tiers = tiers or {}
        self.retries = RetryBudget()

    async def ask(
        self,
        plan: Plan,
        body: Mapping[str, Any],
        *,
        purse: Purse,
        stream: bool,
        observe: Callable[[Attempt], None],
    ) -> Outcome:
        """The first answer that passes, else the best of what came. body: the request as the client sent it.

        purse: pays for it. stream: give a stream as soon as one speaks. Where the plan buffers, or the request asks for
        a form, the answer is whole all the same, since it can be told only at its end whether it passes.
        observe: told of every attempt at its end. Raises RequestError for a form that is none.
        """
        self.retries.earn()
        return await Run(plan, body, self, purse=purse, stream=stream, observe=observe).outcome()

    async def ask_aside(
        self, tier: Tier, body: Mapping[str, Any], *, purse: Purse, observe: Callable[[Attempt], None]
    ) -> Completion:
        """One call to one tier that answers no client, as a judge's. Raises AttemptFailed."""
        run = Run(Plan((tier,)), body, self, purse=purse, stream=False, observe=observe)
        return await run.ask_aside(tier, body)
