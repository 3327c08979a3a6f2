"""One tier after the other, as the route lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.cascade.strategies.base import in_turn

if TYPE_CHECKING:
    from collections.abc import Sequence as Listed

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier


class Sequence:
    async def answer(self, run: Run, tiers: Listed[Tier]) -> Given | None:
        return await in_turn(run, tiers)
