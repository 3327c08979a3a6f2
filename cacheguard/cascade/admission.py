"""Who may be asked now: time, attempts, abilities, money and health decide before every call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cacheguard.cascade.deadline import Deadline
from cacheguard.cascade.fitness import ANY, needs_of, unfit
from cacheguard.cascade.outcome import PassedOver, Tried
from cacheguard.cascade.price import reserve_usd
from cacheguard.cascade.tokens import input_tokens, wanted_tokens
from cacheguard.cascade.under_way import UnderWay
from cacheguard.errors import CostBudgetExceeded, SpendingLimitReached
from cacheguard.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cacheguard.cascade.outcome import Attempt
    from cacheguard.cascade.plan import Plan
    from cacheguard.cascade.spending import Purse
    from cacheguard.cascade.tier import Tier
    from cacheguard.errors import CacheGuardError
    from cacheguard.failures import AttemptFailed

# Held back from every attempt while a later tier stands by.
RESERVE_S = 0.25
# What clients are told when no provider gave a hint.
RETRY_AFTER_S = 5.0
LEFT_ALONE = "left alone to recover"


class Admission:
    """Of one request. now: the cascade's clock. observe: told of every attempt at its end."""

    def __init__(
        self,
        plan: Plan,
        body: Mapping[str, Any],
        purse: Purse,
        now: Callable[[], float],
        observe: Callable[[Attempt], None],
        *,
        stream: bool,
    ) -> None:
        self._plan = plan
        self._purse = purse
        self._now = now
        self._observe = observe
        self._stream = stream
        self._deadline = Deadline(now() + plan.deadline_s)
        self._schema = schema_key(body)
        self._begun: list[UnderWay] = []
        self._passed_over: dict[str, PassedOver] = {}
        self._too_long: _TooLong | None = None
        self._waits_s: dict[str, float] = {}

    @property
    def tried(self) -> Tried:
        return Tried(tuple(call.attempt for call in self._begun), tuple(self._passed_over.values()))

    @property
    def calls_left(self) -> int:
        return self._plan.max_attempts - sum(not call.is_check for call in self._begun)

    @property
    def left_s(self) -> float:
        """Before the deadline, but for the last resort's reserve."""
        return self._deadline.left_s(self._now()) - RESERVE_S

    @property
    def retry_after_s(self) -> float:
        """When a tier may be back, by what each said last."""
        return max(0.0, min(self._waits_s.values(), default=RETRY_AFTER_S))

    @property
    def no_money(self) -> CacheGuardError | None:
        """What is to be said where no tier was asked at all, and one for want of money."""
        purse = self._purse
        if self._begun or not purse.why:
            return None
        if purse.resets_in_s is None:
            return CostBudgetExceeded(purse.why)
        return SpendingLimitReached(purse.why, purse.resets_in_s)

    def why_not(self, tier: Tier) -> str:
        """Why a tier was passed over."""
        return self._passed_over[tier.name].why

    @property
    def last_hope(self) -> Tier | None:
        """Of the tiers that are left alone, the one that may be looked at first."""
        left_alone = {name for name, passed in self._passed_over.items() if passed.why == LEFT_ALONE}
        hopes = (tier for tier in self._plan.models if tier.name in left_alone)
        return min(hopes, key=lambda tier: tier.health.look_at(self._schema), default=None)

    def heard(self, tier: Tier, body: Mapping[str, Any], failure: AttemptFailed) -> None:
        """A call failed: what that says of who may be asked next."""
        left_alone_s = tier.health.retry_at(self._schema) - self._now()
        self._waits_s[tier.name] = max(failure.retry_after_s or 0.0, left_alone_s) or RETRY_AFTER_S
        if failure.failure is FailureClass.CONTEXT_LENGTH:
            self._too_long = _TooLong(tier.abilities.context_window, input_tokens(body))

    def decided(self) -> None:
        """What is not rejected by now, stands."""
        for call in self._begun:
            call.decided()

    def begin(
        self, tier: Tier, body: Mapping[str, Any], later: Sequence[Tier], *, is_check: bool = False, early: bool = False
    ) -> UnderWay | None:
        """Leave for one call, and the money for it; None: the tier is passed over, for a reason that is noted.

        early: before a break is over, if it may be looked at.
        """
        now = self._now()
        limit_s = self._deadline.attempt_s(tier.timeout_s, RESERVE_S if later or self._plan.template else 0.0, now)
        if why := self._hindrance(tier, body, limit_s, stands_by=bool(later), is_check=is_check):
            self._pass_over(tier, why)
            return None
        tokens, wanted_usd = 0, 0.0
        if not tier.price.is_free:
            tokens = input_tokens(body)
            wanted_usd = reserve_usd(tier.price, tokens, wanted_tokens(body), tier.pace.output_tokens(now))
        reservation = self._purse.reserve(wanted_usd)
        if reservation is None:
            self._pass_over(tier, self._purse.why, wait_s=self._purse.resets_in_s)
            return None
        schema = schema_key(body) if is_check else self._schema
        leave = tier.health.admit(schema, now, early=early)
        if leave is None:
            reservation.settle(0.0)
            self._pass_over(tier, LEFT_ALONE, wait_s=tier.health.retry_at(schema) - now)
            return None
        if early:
            self._passed_over.pop(tier.name, None)  # it is asked after all
        call = UnderWay(
            tier,
            leave,
            reservation,
            limit_s=limit_s,
            input_tokens=tokens,
            clock=self._now,
            observe=self._observe,
            is_check=is_check,
        )
        self._begun.append(call)
        return call

    def _hindrance(
        self, tier: Tier, body: Mapping[str, Any], limit_s: float, *, stands_by: bool, is_check: bool
    ) -> str:
        """Why a tier need not be asked, or ""."""
        if limit_s <= 0:
            return "no time was left"
        if not is_check and self.calls_left <= 0:
            return "enough was tried"
        if tier.abilities != ANY and (why := unfit(tier.abilities, needs_of(body))):
            return why
        if self._too_long is not None and not self._too_long.fits(tier, body):
            return "its context window is no larger"
        if stands_by and limit_s < tier.timeout_s:
            usual_s = tier.pace.of(stream=self._stream).quantile(0.5, self._now())
            if usual_s is not None and usual_s > limit_s:
                return "it usually takes longer than the time that was left"
        return ""

    def _pass_over(self, tier: Tier, why: str, *, wait_s: float | None = None) -> None:
        self._passed_over[tier.name] = PassedOver(tier.name, why)
        if wait_s is not None:
            self._waits_s[tier.name] = wait_s


@dataclass(frozen=True, slots=True)
class _TooLong:
    """A prompt was too long for a tier. window: its tokens, where known. tokens: of what was sent, as estimated."""

    window: int | None
    tokens: int

    def fits(self, tier: Tier, body: Mapping[str, Any]) -> bool:
        """Whether another tier may do better: a larger window, one that nobody knows, or a shortened prompt."""
        window = tier.abilities.context_window
        return window is None or self.window is None or window > self.window or input_tokens(body) < self.tokens


def schema_key(body: Mapping[str, Any]) -> str:
    """Which form the answer shall have, "" where any will do: a tier may be well but for one schema."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") in {None, "text"}:
        return ""
    return sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
