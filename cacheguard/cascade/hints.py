"""What processes that share a store tell each other of tiers: keys at a limit or refused, and models that fail.

Hints are advice, and bounded: a key that another process may not use is left alone for a minute at most, and a model
that fails elsewhere is left alone here at its first failure instead of its fifth. Time is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cacheguard.cascade.breaker import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheguard.cascade.tier import Tier

# Heeded so long; whoever gave it says it again every second while it holds.
MOST_S: Final = 60.0


class Hint(NamedTuple):
    """key: that is left alone; None: the tier's calls fail. for_s: how long from now."""

    tier: str
    key: int | None
    reason: str
    for_s: float


def hints(tiers: Iterable[Tier], now: float) -> Iterator[Hint]:
    """What this process has found out itself: what it only heard is not told on."""
    for tier in tiers:
        if tier.is_template:
            continue
        for block in tier.health.keys.found(now):
            yield Hint(tier.name, block.key, block.reason, block.until - now)
        if tier.health.calls(now) is State.OPEN:
            yield Hint(tier.name, None, "", tier.health.retry_at("") - now)


def heed(tiers: Mapping[str, Tier], heard: Iterable[Hint], now: float) -> None:
    """Take others' hints, as far as they are of tiers and keys that are known here."""
    for tier_name, key, reason, for_s in heard:
        tier = tiers.get(tier_name)
        if tier is None or tier.is_template:
            continue
        until = now + min(for_s, MOST_S)
        if key is None:
            tier.health.suspect(until)
        elif key < len(tier.health.keys):
            tier.health.keys.hear(key, reason, until)
