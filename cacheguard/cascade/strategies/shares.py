"""Shares of the conversations go to certain tiers first: weighted, and a canary. A conversation keeps its tier."""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from cacheguard.cascade.strategies.base import in_turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheguard.cascade.run import Given, Run
    from cacheguard.cascade.tier import Tier


class Weighted:
    """weights: by tier. Tiers without one stand behind, as listed, like those whose turn it is not."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        weighted = [tier for tier in tiers if self._weights.get(tier.name)]
        ends = list(accumulate(self._weights[tier.name] for tier in weighted))
        mark = place_of(run.body) * ends[-1]
        first = next(tier for tier, end in zip(weighted, ends, strict=True) if mark < end)
        return await in_turn(run, first_of(first, tiers))


class Canary:
    """A share of the conversations goes to one tier first; for the others it is the last resort among models."""

    def __init__(self, tier: str, share: float) -> None:
        self._tier = tier
        self._share = share

    async def answer(self, run: Run, tiers: Sequence[Tier]) -> Given | None:
        canary = next(tier for tier in tiers if tier.name == self._tier)
        others = [tier for tier in tiers if tier is not canary]
        is_chosen = place_of(run.body) < self._share
        return await in_turn(run, [canary, *others] if is_chosen else [*others, canary])


def first_of(first: Tier, tiers: Sequence[Tier]) -> list[Tier]:
    """This one, and the others as they stand."""
    return [first, *(tier for tier in tiers if tier is not first)]


def place_of(body: Mapping[str, Any]) -> float:
    """Where a conversation stands in [0, 1): it is told by its user and its beginning, up to the first user's turn."""
    beginning = []
    for message in body["messages"]:
        beginning.append(message)
        if message["role"] == "user":
            break
    told = json.dumps([body.get("user"), beginning], sort_keys=True).encode()
    return int.from_bytes(sha256(told).digest()[:6]) / 2**48
