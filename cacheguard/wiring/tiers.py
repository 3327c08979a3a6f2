"""Tiers, and the health that some of them share."""

from __future__ import annotations

import math
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, assert_never

from cacheguard.cascade.adaptation import Adaptation
from cacheguard.cascade.breaker import Terms as BreakerTerms
from cacheguard.cascade.fitness import Abilities
from cacheguard.cascade.health import Health
from cacheguard.cascade.keys import KeyRing
from cacheguard.cascade.pace import Pace
from cacheguard.cascade.price import Price
from cacheguard.cascade.tier import Tier
from cacheguard.providers.template import TemplateProvider
from cacheguard.settings import ModelTier, TemplateTier

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.providers.base import Provider


def make_tiers(settings: configured.Settings, providers: dict[str, Provider]) -> dict[str, Tier]:
    """By name. Tiers that ask the same model share its health and pace, and all of a provider share its keys."""
    rings = {name: KeyRing(name, len(provider.keys)) for name, provider in settings.providers.items()}
    healths: dict[tuple[str, str], Health] = {}
    paces: defaultdict[tuple[str, str], Pace] = defaultdict(Pace)
    tiers = {}
    for name, tier in settings.tiers.items():
        match tier:
            case TemplateTier():
                template = TemplateProvider(tier.template)
                tiers[name] = Tier(name, template, name, timeout_s=1, first_token_timeout_s=1, is_template=True)
            case ModelTier():
                model = tier.model or tier.provider
                terms = BreakerTerms(minimum_calls=settings.providers[tier.provider].breaker.minimum_calls)
                health = Health(Random(), terms, rings[tier.provider])
                tiers[name] = Tier(
                    name,
                    providers[tier.provider],
                    model,
                    timeout_s=tier.timeout_s,
                    first_token_timeout_s=tier.first_token_timeout_s or tier.timeout_s,
                    between_tokens_timeout_s=tier.between_tokens_timeout_s or math.inf,
                    price=Price(**tier.price.model_dump()),
                    health=healths.setdefault((tier.provider, model), health),
                    abilities=_abilities(tier),
                    adaptation=Adaptation(**dict(tier.adapt)),
                    pace=paces[tier.provider, model],
                )
            case _:
                assert_never(tier)
    return tiers


def _abilities(tier: ModelTier) -> Abilities:
    return Abilities(
        json_schema="json_schema" in tier.can,
        tools="tools" in tier.can,
        vision="vision" in tier.can,
        context_window=tier.context_window,
        languages=frozenset(tier.languages),
    )
