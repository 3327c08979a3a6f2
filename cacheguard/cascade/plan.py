"""How a route asks its tiers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from cacheguard.cascade.strategies.sequence import Sequence as InTurn
from cacheguard.failures import POLICIES
from cacheguard.validation.base import AskingValidator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.cascade.strategies.base import Strategy
    from cacheguard.cascade.tier import Tier
    from cacheguard.failures import FailureClass, Policy
    from cacheguard.validation.base import Validator

# However many tiers there are: more calls than this hammer a sick provider (Google SRE, ch. 22).
MAX_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """tiers: in the order in which they are asked, as far as the strategy keeps to it.

    policies: what follows from each class of failure. is_buffered: a stream begins when its whole answer has passed.
    max_cost_usd: of one request; None: no limit. is_backed: a better last resort than what was found wanting stands by.
    """

    tiers: tuple[Tier, ...]
    strategy: Strategy = field(default_factory=InTurn)
    validators: tuple[Validator | AskingValidator, ...] = ()
    deadline_s: float = 60.0
    max_attempts: int = MAX_ATTEMPTS
    policies: Mapping[FailureClass, Policy] = field(default_factory=lambda: POLICIES)
    is_buffered: bool = False
    max_cost_usd: float | None = None
    is_backed: bool = False

    @property
    def own_validators(self) -> tuple[Validator, ...]:
        """Those that ask no model."""
        return tuple(one for one in self.validators if not isinstance(one, AskingValidator))

    @property
    def asking_validators(self) -> tuple[AskingValidator, ...]:
        return tuple(one for one in self.validators if isinstance(one, AskingValidator))

    @property
    def models(self) -> tuple[Tier, ...]:
        return tuple(tier for tier in self.tiers if not tier.is_template)

    @property
    def template(self) -> Tier | None:
        return next((tier for tier in self.tiers if tier.is_template), None)

    def after(self, waited_s: float) -> Self:
        """For whom so much of the deadline is gone."""
        return replace(self, deadline_s=self.deadline_s - waited_s) if waited_s else self

    def without_template(self) -> Self:
        """For where a better last resort stands by."""
        return replace(self, tiers=self.models, is_backed=True)
