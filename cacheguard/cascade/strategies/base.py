"""What a strategy is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier


class Strategy(Protocol):
    """Asks tiers through a request's run. One serves all requests of its route."""

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        """The first answer that may be given; None: there is none.

        tiers: as the route lists them, templates aside; at least one.
        """
        ...


async def in_turn(run: Run, tiers: Sequence[Tier]) -> Given | None:
    """Ask one after the other, until one answers or a failure says that no other would do better."""
    for place, tier in enumerate(tiers):
        if given := await run.ask(tier, tiers[place + 1 :]):
            return given
        if not run.may_go_on:
            break
    return None
