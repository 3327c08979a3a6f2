"""Routes, with their tiers and rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.matching.decide import CAUTIOUS, CosineThreshold
from cacheguard.matching.freshness import Terms
from cacheguard.routes import Mode, Route
from cacheguard.wiring.validators import make_validator

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.cascade.tier import Tier
    from cacheguard.wiring.validators import Embed


def make_route(name: str, route: configured.Route, tiers: dict[str, Tier], embed: Embed) -> Route:
    cache = route.cache
    return Route(
        name=name,
        models=route.models,
        tiers=tuple(tiers[tier] for tier in route.tiers),
        deadline_s=route.deadline_s,
        mode=Mode(cache.mode),
        terms=Terms(cache.ttl_s, cache.stale_while_revalidate_s, cache.stale_if_error_s),
        rule=CAUTIOUS if cache.decision == "auto" else CosineThreshold(cache.decision),
        context=cache.context,
        validators=tuple(make_validator(check, embed) for check in route.validators),
    )
