"""A tier: one model of one provider, with its clocks and its price."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from cacheguard.cascade.adaptation import Adaptation
from cacheguard.cascade.fitness import Abilities
from cacheguard.cascade.health import Health
from cacheguard.cascade.pace import Pace
from cacheguard.cascade.price import Price

if TYPE_CHECKING:
    from cacheguard.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Tier:
    """is_template: a fixed text, the last resort; its answers are never kept.

    health, pace: shared by all tiers that ask the same model of the same provider.
    """

    name: str
    provider: Provider
    model: str
    timeout_s: float
    first_token_timeout_s: float
    between_tokens_timeout_s: float = math.inf
    price: Price = field(default_factory=Price)
    is_template: bool = False
    health: Health = field(default_factory=lambda: Health(Random()))
    abilities: Abilities = field(default_factory=Abilities)
    adaptation: Adaptation = field(default_factory=Adaptation)
    pace: Pace = field(default_factory=Pace)
