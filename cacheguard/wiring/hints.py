"""Processes that share a Redis tell each other of tiers that they leave alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cacheguard.cascade.hints import Hint, heed, hints
from cacheguard.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from cacheguard.cascade.tier import Tier
    from cacheguard.stores.base import Store

# How soon others know; what is said holds for three times as long, unless it is said again.
HINT_EVERY_S = 1.0


def share_hints(store: Store, tiers: Mapping[str, Tier], clock: Callable[[], float]) -> Callable[[], Awaitable[None]]:
    """What is to be done every second. clock: the cascade's."""

    async def share() -> None:
        if isinstance(store, RedisStore):
            own = list(hints(tiers.values(), clock()))
            others = await store.share_hints(json.dumps(own) if own else "", 3 * HINT_EVERY_S)
            for other in others:
                heed(tiers, [Hint(*hint) for hint in json.loads(other)], clock())

    return share
