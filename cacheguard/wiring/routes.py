"""Routes, with their plans and rules."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cacheguard.cascade.plan import Plan
from cacheguard.cascade.strategies.ensemble import Ensemble
from cacheguard.cascade.strategies.escalate import Escalate
from cacheguard.cascade.strategies.hedge import Hedge
from cacheguard.cascade.strategies.ranked import Ranked, cost_usd, seconds
from cacheguard.cascade.strategies.sequence import Sequence
from cacheguard.cascade.strategies.shares import Canary, Weighted
from cacheguard.failures import POLICIES, FailureClass
from cacheguard.matching.freshness import Terms
from cacheguard.providers.template import TemplateProvider
from cacheguard.routes import Mode, Route
from cacheguard.settings import (
    ENSEMBLE,
    CanaryStrategy,
    EnsembleStrategy,
    HedgeStrategy,
    TemplateTier,
    WeightedStrategy,
    filled_in,
)
from cacheguard.wiring.rules import make_rule
from cacheguard.wiring.validators import make_validator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cacheguard import settings as configured
    from cacheguard.cascade.strategies.base import Strategy
    from cacheguard.cascade.tier import Tier
    from cacheguard.failures import Policy
    from cacheguard.validation.agreement import Embed


def make_route(name: str, settings: configured.Settings, tiers: Mapping[str, Tier], embed: Embed) -> Route:
    route = settings.routes[name]
    cache = route.cache
    return Route(
        name=name,
        models=route.models,
        plan=Plan(
            tiers=tuple(_tier_of(route, settings.tiers[tier], tiers[tier]) for tier in route.tiers),
            strategy=make_strategy(route.strategy, embed),
            validators=tuple(make_validator(check, embed) for check in route.validators),
            deadline_s=route.deadline_s,
            max_attempts=route.max_attempts,
            policies=_policies(route),
            is_buffered=route.stream == "buffered",
            max_cost_usd=route.max_cost_usd,
        ),
        mode=Mode(cache.mode),
        terms=Terms(cache.ttl_s, cache.stale_while_revalidate_s, cache.stale_if_error_s),
        rule=make_rule(cache),
        context=cache.context,
        refresh_ahead_hits=cache.refresh_ahead_hits,
        heeds_personal="personal" in cache.guards,
    )


def make_strategy(strategy: configured.Strategy, embed: Embed) -> Strategy:
    match strategy:
        case WeightedStrategy():
            return Weighted(strategy.weighted)
        case CanaryStrategy():
            return Canary(strategy.canary.tier, strategy.canary.share)
        case HedgeStrategy():
            return Hedge(strategy.hedge.after_ms / 1000)
        case EnsembleStrategy():
            return Ensemble(strategy.ensemble.size, strategy.ensemble.min_similarity, embed)
        case "ensemble":
            return make_strategy(ENSEMBLE, embed)
        case _:
            return PLAIN[strategy]()


PLAIN: Mapping[str, Callable[[], Strategy]] = {
    "sequence": Sequence,
    "fastest": partial(Ranked, seconds),
    "cheapest": partial(Ranked, cost_usd),
    "escalate": Escalate,
    "hedge": Hedge,
}


def _policies(route: configured.Route) -> Mapping[FailureClass, Policy]:
    says = {FailureClass.REFUSAL: route.on_refusal, FailureClass.CONTENT_FILTER: route.on_content_filter}
    return {**POLICIES, **{cls: replace(POLICIES[cls], next_tier=word == "next") for cls, word in says.items()}}


def _tier_of(route: configured.Route, configured_as: configured.Tier, tier: Tier) -> Tier:
    """A template says what its route's variables say."""
    if not isinstance(configured_as, TemplateTier):
        return tier
    return replace(tier, provider=TemplateProvider(filled_in(configured_as.template, route.variables)))
