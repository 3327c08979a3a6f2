"""A small model first; its whole answer must pass, or the next larger one is asked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier


class Escalate:
    """Tiers from small to large, as listed. Only the largest may stream: for the others it is told at the end."""

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        for place, tier in enumerate(tiers):
            larger = tiers[place + 1 :]
            if given := await run.ask(tier, larger, whole=bool(larger), once=bool(larger)):
                return given
            if not run.may_go_on:
                break
        return None
