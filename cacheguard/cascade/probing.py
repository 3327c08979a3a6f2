"""Looks at hosts that may be back, so that no client's request has to find out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cacheguard.failures import AttemptFailed, FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cacheguard.cascade.tier import Tier


async def probe_all(tiers: Iterable[Tier], clock: Callable[[], float]) -> None:
    """Look at those whose break is over. clock: the cascade's, in seconds."""
    await asyncio.gather(*(_probe(tier, clock) for tier in tiers))


async def _probe(tier: Tier, clock: Callable[[], float]) -> None:
    leave = tier.health.admit_probe(clock())
    if leave is None:
        return
    try:
        async with asyncio.timeout(tier.timeout_s):
            await tier.provider.probe(leave.key)
    except AttemptFailed as failure:
        leave.ended(failure, clock())
    except TimeoutError:
        leave.ended(AttemptFailed(FailureClass.SLOW, "the list of models took too long"), clock())
    else:
        leave.ended(None, clock())
    finally:
        leave.abandoned()
