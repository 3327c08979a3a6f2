"""One call to a tier, from its leave to what it cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cacheguard.cascade.outcome import Attempt
from cacheguard.cascade.price import abandoned_usd
from cacheguard.cascade.tokens import tokens_in
from cacheguard.failures import AttemptFailed, FailureClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheguard.cascade.health import Leave
    from cacheguard.cascade.spending import Reservation
    from cacheguard.cascade.tier import Tier
    from cacheguard.providers.base import Completion

# A host that refuses a call or fails before its answer doesn't bill it; one that was left waiting has read the prompt.
_BILLED = frozenset({FailureClass.SLOW, FailureClass.TRUNCATED})


class UnderWay:
    """Told how the call goes by whoever makes it; it tells the tier's health and pace, and settles what it cost.

    limit_s: how long it may take. input_tokens: as estimated, for where the provider doesn't count.
    clock: the cascade's. observe: told of the attempt once it is over.
    """

    def __init__(
        self,
        tier: Tier,
        leave: Leave,
        reservation: Reservation,
        *,
        limit_s: float,
        input_tokens: int,
        clock: Callable[[], float],
        observe: Callable[[Attempt], None],
        is_check: bool = False,
    ) -> None:
        self.tier = tier
        self.key = leave.key
        self.limit_s = limit_s
        self._leave = leave
        self._reservation = reservation
        self._input_tokens = input_tokens
        self._clock = clock
        self._observe = observe
        self.is_check = is_check
        self._begun = clock()
        self._came: Completion | None = None
        self._final: Attempt | None = None
        self._is_held = False

    @property
    def ends_at(self) -> float:
        """On the cascade's clock."""
        return self._begun + self.limit_s

    @property
    def attempt(self) -> Attempt:
        """As far as it has come."""
        return self._final or self._attempt()

    def spoke(self) -> None:
        """The first word of a stream is here."""
        now = self._clock()
        self.tier.pace.first_words.saw(now - self._begun, now)

    def came(self, completion: Completion) -> None:
        """A whole answer is here, whether or not it will do."""
        self._came = completion
        if not self.is_check:  # a judge's word is no measure of answers
            now = self._clock()
            self.tier.pace.whole.saw(now - self._begun, now)
            self.tier.pace.wrote(completion.usage.output, now)

    def ended(self, failure: AttemptFailed | None, so_far: Completion | None = None) -> None:
        """It is over. failure: None where it gave an answer. so_far: what came of an answer that broke off."""
        if self._final is None:
            self._came = self._came or so_far
            self._leave.ended(failure, self._clock())
            if failure is not None and failure.failure is FailureClass.SLOW:
                self._cut_off()
            self._settle(self._attempt(failure))

    def abandoned(self, so_far: Completion | None = None) -> None:
        """Nobody waits for its end."""
        if self._final is None:
            self._came = self._came or so_far
            self._leave.abandoned()
            self._cut_off()
            self._settle(self._attempt(is_abandoned=True))

    def hold(self) -> None:
        """Whether its answer will do is found out after its end: nobody is told of an answer before `decided`."""
        self._is_held = True

    def rejected(self) -> None:
        """What it gave will not do after all; its model is as well as it was."""
        self._final = replace(self.attempt, failure=FailureClass.REJECTED)

    def decided(self) -> None:
        """It was accepted, rejected, or nobody looks at it any more."""
        if self._is_held and self._final is not None:
            self._is_held = False
            self._observe(self._final)

    def _settle(self, attempt: Attempt) -> None:
        self._final = attempt
        self._reservation.settle(attempt.cost_usd)
        if attempt.failure is not None or attempt.is_abandoned:
            self._is_held = False
        if not self._is_held:
            self._observe(attempt)

    def _cut_off(self) -> None:
        """Without those that were given up, a slow tail would hide from the very percentile that cut it off."""
        if self._came is None and not self.is_check:
            now = self._clock()
            for pace in (self.tier.pace.whole, self.tier.pace.first_words):
                pace.saw_at_least(now - self._begun, now)

    def _attempt(self, failure: AttemptFailed | None = None, *, is_abandoned: bool = False) -> Attempt:
        return Attempt(
            self.tier.name,
            self.tier.model,
            self._clock() - self._begun,
            None if failure is None else failure.failure,
            None if failure is None else failure.status,
            self._cost_usd(failure, is_abandoned=is_abandoned),
            is_abandoned=is_abandoned,
            is_check=self.is_check,
        )

    def _cost_usd(self, failure: AttemptFailed | None, *, is_abandoned: bool) -> float:
        price, came = self.tier.price, self._came
        if came is not None and (came.usage.input or came.usage.output):
            return price.cost_usd(came.usage)
        if came is not None or is_abandoned or (failure is not None and failure.failure in _BILLED):
            return abandoned_usd(price, self._input_tokens, tokens_in(came.text) if came else 0)
        return 0.0
