"""One request's way through its tiers: what was tried, and what may still be."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cacheguard.cascade.admission import Admission
from cacheguard.cascade.mending import mended
from cacheguard.cascade.outcome import Answered, Failed, Streaming, Tried
from cacheguard.cascade.strategies.together import together
from cacheguard.cascade.stream import OpenStream, open_stream
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Completion
from cacheguard.validation.base import validate
from cacheguard.validation.json_schema import JsonSchema, wanted_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cacheguard.cascade.cascade import Cascade
    from cacheguard.cascade.outcome import Attempt, Outcome
    from cacheguard.cascade.plan import Plan
    from cacheguard.cascade.spending import Purse
    from cacheguard.cascade.stream import Judge
    from cacheguard.cascade.tier import Tier
    from cacheguard.cascade.under_way import UnderWay
    from cacheguard.validation.base import Ask, Validator

# Full jitter over this span before the same tier is asked again.
BACK_OFF_S = 0.5
# With another model standing by, a longer wait than this is not worth it.
SHORT_WAIT_S = 1.0
# The form that a request asks for holds for whatever is given, validated or not.
FORM = JsonSchema()
# What another key of the same tier may mend.
_OF_THE_KEY = frozenset({FailureClass.AUTH, FailureClass.QUOTA, FailureClass.RATE_LIMIT})


@dataclass(frozen=True, slots=True)
class Given:
    """What a tier gave: an answer that passed, or a stream that has begun to speak. call: the one that it came by."""

    content: Completion | OpenStream
    call: UnderWay

    @property
    def tier(self) -> Tier:
        return self.call.tier


class Run:
    """The state of one request, which strategies ask through. Calls may be under way at the same time."""

    def __init__(
        self,
        plan: Plan,
        body: Mapping[str, Any],
        cascade: Cascade,
        *,
        purse: Purse,
        stream: bool,
        observe: Callable[[Attempt], None],
    ) -> None:
        """As for Cascade.ask."""
        self.plan = plan
        self.body = body
        self.random = cascade.random
        self._cascade = cascade
        has_form = wanted_form(body) is not None
        self.stream = stream and not plan.is_buffered and not has_form
        self._admission = Admission(plan, body, purse, self.now, observe, stream=self.stream)
        self._last: AttemptFailed | None = None
        self._is_stopped = False
        self._giveable: list[tuple[AttemptFailed, Tier]] = []

    def now(self) -> float:
        """Seconds on the cascade's clock."""
        return asyncio.get_running_loop().time()

    @property
    def may_go_on(self) -> bool:
        """No failure has said that another tier would do no better."""
        return not self._is_stopped

    @property
    def tried(self) -> Tried:
        return self._admission.tried

    async def outcome(self) -> Outcome:
        """By the plan's strategy, else the best of what came, else the template."""
        try:
            return await self._decided()
        finally:
            self._admission.decided()

    async def _decided(self) -> Outcome:
        models = self.plan.models
        given = await self.plan.strategy.answer(self, models) if models else None
        if given is not None:
            return self._outcome_of(given)
        if early := await self._from_last_hope():
            return early
        if self._giveable and not (self.plan.is_backed and self.may_go_on):
            # Of one that is only unchecked, nothing is known against it.
            best, tier = max(self._giveable, key=lambda one: one[0].unchecked)
            assert best.completion is not None  # noqa: S101 - giveable says so
            return Answered(best.completion, tier, self.tried, may_be_kept=False)
        template = self.plan.template
        if template is not None and self.may_go_on:
            completion = await template.provider.complete(Call(template.model, self.body))
            if self._has_form(completion):
                return Answered(completion, template, self.tried, may_be_kept=False)
        return self._failed()

    async def _from_last_hope(self) -> Answered | None:
        """Where there is nothing else to give: what a tier says that is left alone, lest nobody learn that it is back.

        It is asked past the strategy, so its answer is not kept; and for a whole one, since none takes over a stream.
        """
        has_better = self._giveable or self.plan.template or self.plan.is_backed
        tier = self._admission.last_hope
        if has_better or tier is None or not self.may_go_on:
            return None
        given = await self.ask(tier, whole=True, once=True, early=True)
        if given is None:
            return None
        assert isinstance(given.content, Completion)  # noqa: S101 - asked for as a whole
        return Answered(given.content, given.tier, self.tried, may_be_kept=False)

    async def ask(
        self,
        tier: Tier,
        later: Sequence[Tier] = (),
        *,
        whole: bool = False,
        once: bool = False,
        early: bool = False,
        held: bool = False,
    ) -> Given | None:
        """Ask one tier, and once more where its failure says so; None: it gave nothing that may be given.

        later: who stands by. whole: wait for the answer's end even where a stream is wanted. once: no second try.
        early: even before a break is over, if it may be looked at. held: its answer may be rejected later.
        """
        body = tier.adaptation.adapted(self.body)
        for is_first_try in (True, False):
            call = self._admission.begin(tier, body, later, early=early)
            if call is None:
                return None
            if held:
                call.hold()
            try:
                return await self._attempt(call, body, whole=whole)
            except AttemptFailed as failure:
                self._note(tier, body, failure)
                second = await self._second_body(tier, body, failure, later) if is_first_try and not once else None
                if second is None:
                    return None
                body = second
        return None

    def reject(self, given: Given, words: str, *, unchecked: bool = False) -> None:
        """What a tier gave will not do after all. unchecked: nothing is known against it."""
        given.call.rejected()
        assert isinstance(given.content, Completion)  # noqa: S101 - a stream that speaks is not taken back
        failure = AttemptFailed(FailureClass.REJECTED, words, completion=given.content, unchecked=unchecked)
        self._note(given.tier, self.body, failure)

    async def ask_aside(self, tier: Tier, body: Mapping[str, Any]) -> Completion:
        """Ask what a validator wants to know, within the request's deadline and budget. Raises AttemptFailed."""
        body = tier.adaptation.adapted(body)
        call = self._admission.begin(tier, body, (), is_check=True)
        if call is None:
            raise AttemptFailed(FailureClass.TRANSPORT, self._admission.why_not(tier))
        with _telling(call):
            completion = await self._complete(call, body)
            call.ended(None)
        return completion

    async def _attempt(self, call: UnderWay, body: Mapping[str, Any], *, whole: bool) -> Given:
        """One call, told how it ended; a stream once open tells that by itself."""
        with _telling(call):
            if self.stream and not whole:
                content = await open_stream(Call(call.tier.model, body, call.key), call, self._judge(call.tier))
                if isinstance(content, OpenStream):
                    return Given(content, call)
                call.came(content)
            else:
                content = await self._complete(call, body)
            await validate(content, self.body, self._validators(call.tier))
            call.ended(None)
        return Given(content, call)

    async def _complete(self, call: UnderWay, body: Mapping[str, Any]) -> Completion:
        try:
            async with asyncio.timeout(call.limit_s):
                completion = await call.tier.provider.complete(Call(call.tier.model, body, call.key))
        except TimeoutError as exc:
            raise AttemptFailed(FailureClass.SLOW, "the answer took too long") from exc
        call.came(completion)
        return completion

    def _note(self, tier: Tier, body: Mapping[str, Any], failure: AttemptFailed) -> None:
        policy = self.plan.policies[failure.failure]
        # What we made of a request may be refused where the request itself would not be.
        is_ours = failure.failure is FailureClass.BAD_REQUEST and body is not self.body
        self._is_stopped |= not (policy.next_tier or failure.unknown_model or is_ours)
        self._last = None if is_ours else failure
        self._admission.heard(tier, body, failure)
        came = failure.completion
        if came is not None and (failure.unchecked or policy.giveable) and self._has_form(came):
            self._giveable.append((failure, tier))

    async def _second_body(
        self, tier: Tier, body: Mapping[str, Any], failure: AttemptFailed, later: Sequence[Tier]
    ) -> Mapping[str, Any] | None:
        """What to ask the same tier once more, after the wait that this takes; None: don't."""
        if failure.failure in _OF_THE_KEY and tier.health.has_another_key(self.now()):
            return body if self._admission.calls_left > len(later) else None
        again = self.plan.policies[failure.failure].again
        second = mended(self.body, body, tier.adaptation, failure) if again else None
        if second is None or self._admission.calls_left <= len(later):  # every later tier shall be asked once
            return None
        wait_s = self.random.uniform(0, BACK_OFF_S) if second is body else 0.0
        if failure.failure is FailureClass.RATE_LIMIT:
            if failure.retry_after_s is None and later:
                return None
            wait_s += failure.retry_after_s or 0.0
        is_worth_it = wait_s < self._admission.left_s and (not later or wait_s <= SHORT_WAIT_S)
        if not (is_worth_it and self._cascade.retries.spend()):
            return None
        await asyncio.sleep(wait_s)
        return second

    def _judge(self, tier: Tier) -> Judge:
        """What a stream came to is looked at when it has ended: of what it is, its attempt tells."""

        async def judge(completion: Completion) -> AttemptFailed | None:
            try:
                await validate(completion, self.body, self._validators(tier))
            except AttemptFailed as failure:
                return failure
            return None

        return judge

    def _validators(self, tier: Tier) -> list[Validator]:
        """All of them; those that ask models come last, since they cost money."""
        asking = (one.asking(self._ask_for(tier)) for one in self.plan.asking_validators)
        return [*self.plan.own_validators, FORM, *asking]

    def _ask_for(self, wrote: Tier) -> Ask:
        """For a validator of what this tier wrote."""

        async def ask(body: Mapping[str, Any], *, tier: str | None = None, times: int = 1) -> list[Completion]:
            asked = wrote if tier is None else self._cascade.tiers[tier]
            return await together(self.ask_aside(asked, body) for _ in range(times))

        return ask

    def _outcome_of(self, given: Given) -> Outcome:
        is_to_all = not given.tier.adaptation.shortens(self.body)
        if isinstance(given.content, Completion):
            return Answered(given.content, given.tier, self.tried, may_be_kept=is_to_all)
        stream, tier = given.content, given.tier

        async def answered() -> Answered:
            passes = stream.objection is None
            return Answered(stream.completion(), tier, self.tried, may_be_kept=passes and is_to_all)

        return Streaming(stream, tier, answered, lambda: self.tried)

    def _has_form(self, completion: Completion) -> bool:
        return FORM.objection(completion, self.body) is None

    def _failed(self) -> Failed:
        return Failed(self.tried, self._last, self._admission.retry_after_s, self._admission.no_money)


@contextmanager
def _telling(call: UnderWay) -> Iterator[None]:
    """What is raised ends the call: as the failure that it is, or as a call whose end nobody waits for."""
    try:
        yield
    except AttemptFailed as failure:
        call.ended(failure)
        raise
    except BaseException:
        call.abandoned()
        raise
