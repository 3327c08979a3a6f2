"""Whether routes and tiers suit each other. Each check refuses what doesn't, by its place below `routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.settings.checks import JudgeCheck
from cacheguard.settings.strategies import MODELS_TO_COMPARE, tiers_compared, tiers_named
from cacheguard.settings.tiers import ModelTier, TemplateTier, variables_in
from cacheguard.settings.values import refuse, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheguard.settings.routes import Route
    from cacheguard.settings.tiers import Tier
    from cacheguard.settings.values import Where


def check_tiers(routes: Mapping[str, Route], known: Mapping[str, Tier]) -> None:
    """They exist, and what always answers comes last."""
    places = [
        ((name, "tiers", place), tier) for name, route in routes.items() for place, tier in enumerate(route.tiers)
    ]
    refuse_unknown([where for where, tier in places if tier not in known], known)
    for name, route in routes.items():
        for place, tier in enumerate(route.tiers[:-1]):
            if isinstance(known[tier], TemplateTier):
                refuse((name, "tiers", place), f"is {tier!r}, a template, which always answers: put it last")


def check_templates(routes: Mapping[str, Route], known: Mapping[str, Tier]) -> None:
    """Their routes have the variables that they speak of."""
    for name, route in routes.items():
        for place, tier in enumerate(route.tiers):
            its = known[tier]
            said = variables_in(its.template) if isinstance(its, TemplateTier) else []
            if missing := [variable for variable in said if variable not in route.variables]:
                refuse((name, "tiers", place), f"is {tier!r}, whose text has {{{missing[0]}}}: add it to variables")


def check_strategies(routes: Mapping[str, Route], known: Mapping[str, Tier]) -> None:
    """They choose among models, and have as many as they compare."""
    for name, route in routes.items():
        for where, tier in tiers_named(route.strategy):
            if isinstance(known[tier], TemplateTier):
                refuse((name, "strategy", *where), f"is for {tier!r}, a template, which is only asked last")
        models = sum(isinstance(known[tier], ModelTier) for tier in route.tiers)
        if models < MODELS_TO_COMPARE <= tiers_compared(route.strategy):
            refuse((name, "strategy"), f"compares models, but the route has {models}: give it two or more")


def check_judges(routes: Mapping[str, Route], known: Mapping[str, Tier]) -> None:
    """They are models."""
    judges = [judge for name, route in routes.items() for judge in _judges(name, route)]
    refuse_unknown([where for where, tier in judges if tier not in known], known)
    for where, tier in judges:
        if isinstance(known[tier], TemplateTier):
            refuse(where, f"is {tier!r}, a template, which can't judge")


def _judges(name: str, route: Route) -> Iterator[tuple[Where, str]]:
    """Where each is named, and which tier it is."""
    for place, check in enumerate(route.validators):
        if isinstance(check, JudgeCheck):
            yield (name, "validate", place, "judge", "tier"), check.judge.tier
    if route.cache.judge:
        yield (name, "cache", "judge", "tier"), route.cache.judge.tier
