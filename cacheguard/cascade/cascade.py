"""Ask tiers in order until one gives an answer that may be given."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

from cacheguard.cascade.deadline import Deadline
from cacheguard.cascade.mending import ask_to_mend
from cacheguard.cascade.outcome import Answered, Attempt, Failed, Outcome, Streaming
from cacheguard.cascade.retries import RetryBudget
from cacheguard.cascade.stream import OpenStream, open_stream
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Completion
from cacheguard.validation.base import validate
from cacheguard.validation.json_schema import JsonSchema, wanted_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from cacheguard.cascade.health import Leave
    from cacheguard.cascade.tier import Tier
    from cacheguard.validation.base import Validator

Given: TypeAlias = Completion | OpenStream

# Four calls at the most, however many tiers there are: more of them hammer a sick provider (Google SRE, ch. 22).
MAX_ATTEMPTS = 4
# Held back from every attempt while a later tier stands by.
RESERVE_S = 0.25
# Full jitter over this span before the same tier is asked again.
BACK_OFF_S = 0.5
# With another model standing by, a longer wait than this is not worth it.
SHORT_WAIT_S = 1.0
# What clients are told when no provider gave a hint.
RETRY_AFTER_S = 5.0
# The form that a request asks for holds for whatever is given, validated or not.
FORM = JsonSchema()


class Cascade:
    """One request's way through its tiers. Holds nothing between requests but the budget for retries."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._retries = RetryBudget()

    async def ask(
        self,
        tiers: Sequence[Tier],
        body: Mapping[str, Any],
        *,
        validators: Sequence[Validator],
        deadline_s: float,
        stream: bool,
    ) -> Outcome:
        """The first answer that passes, else the best of what came. body: the request as the client sent it.

        stream: give a stream as soon as one speaks; its end is for the caller to validate. Where the request asks for a
        form, the answer is whole all the same, since a form can be told only at its end. Raises RequestError for a
        form that is none.
        """
        has_form = wanted_form(body) is not None
        self._retries.earn()
        run = _Run(
            tiers,
            body,
            (*validators, FORM),
            stream=stream and not has_form,
            random=self._random,
            retries=self._retries,
            deadline_s=deadline_s,
        )
        return replace(await run.outcome(), left_alone=run.left_alone)


class _Run:
    """The state of one request."""

    def __init__(
        self,
        tiers: Sequence[Tier],
        body: Mapping[str, Any],
        validators: Sequence[Validator],
        *,
        stream: bool,
        random: Random,
        retries: RetryBudget,
        deadline_s: float,
    ) -> None:
        self._models = [tier for tier in tiers if not tier.is_template]
        self._templates = [tier for tier in tiers if tier.is_template]
        self._body = body
        self._validators = validators
        self._stream = stream
        self._random = random
        self._retries = retries
        self._now = asyncio.get_running_loop().time
        self._deadline = Deadline(self._now() + deadline_s)
        self._schema = schema_key(body)
        self._left_alone: list[Tier] = []
        self._attempts: list[Attempt] = []
        self._failures: list[AttemptFailed] = []
        self._second_best: tuple[Completion, Tier] | None = None

    @property
    def left_alone(self) -> tuple[str, ...]:
        return tuple(tier.name for tier in self._left_alone)

    async def outcome(self) -> Outcome:
        for place, tier in enumerate(self._models):
            outcome = await self._ask(tier, self._models[place + 1 :])
            if outcome is not None:
                return outcome
            if not self._may_go_on():
                break
        if self._second_best is not None:
            completion, tier = self._second_best
            return Answered(completion, tier, tuple(self._attempts), validated=False)
        if self._templates and self._may_go_on():
            template = self._templates[0]
            completion = await template.provider.complete(Call(template.model, self._body))
            if self._has_form(completion):
                return Answered(completion, template, tuple(self._attempts), validated=False)
        return self._failed()

    async def _ask(self, tier: Tier, later: Sequence[Tier]) -> Outcome | None:
        """Ask one tier, and once more where its failure says so; None: go on to the next."""
        body = self._body
        for is_last_try in (False, True):
            seconds = self._deadline.attempt_s(
                tier.timeout_s, RESERVE_S if later or self._templates else 0.0, self._now()
            )
            if seconds <= 0 or len(self._attempts) >= MAX_ATTEMPTS:
                return None
            leave = tier.health.admit(self._schema, self._now())
            if leave is None:
                self._left_alone.append(tier)
                return None
            started = self._now()
            try:
                given = await self._attempt(tier, body, leave, seconds)
            except AttemptFailed as failure:
                self._note_failure(tier, failure, self._now() - started)
                if is_last_try or (wait_s := self._wait_s(failure, later)) is None:
                    return None
                await asyncio.sleep(wait_s)
                body = ask_to_mend(self._body, failure)
            else:
                return self._answered(tier, given, self._now() - started)
        return None

    async def _attempt(self, tier: Tier, body: Mapping[str, Any], leave: Leave, seconds: float) -> Given:
        """One call. What it says of the tier's health is told: at its end, for a stream by the stream itself."""
        try:
            given = await self._call(Call(tier.model, body), tier, leave, seconds)
            if not isinstance(given, OpenStream):
                await validate(given, self._body, self._validators)
                leave.ended(None, self._now())
        except AttemptFailed as failure:
            leave.ended(failure, self._now())
            raise
        except BaseException:
            leave.abandoned()
            raise
        return given

    async def _call(self, call: Call, tier: Tier, leave: Leave, seconds: float) -> Given:
        if self._stream:
            return await open_stream(tier, call, leave, total_s=seconds)
        try:
            async with asyncio.timeout(seconds):
                return await tier.provider.complete(call)
        except TimeoutError as exc:
            raise AttemptFailed(FailureClass.SLOW, "the answer took too long") from exc

    def _answered(self, tier: Tier, given: Given, seconds: float) -> Outcome:
        if isinstance(given, OpenStream):
            self._attempts.append(Attempt(tier.name, tier.model, seconds))
            return Streaming(given, tier, tuple(self._attempts))
        cost_usd = tier.price.cost_usd(given.usage)
        self._attempts.append(Attempt(tier.name, tier.model, seconds, cost_usd=cost_usd))
        return Answered(given, tier, tuple(self._attempts))

    def _note_failure(self, tier: Tier, failure: AttemptFailed, seconds: float) -> None:
        came = failure.completion
        cost_usd = tier.price.cost_usd(came.usage) if came else 0.0
        self._attempts.append(Attempt(tier.name, tier.model, seconds, failure.failure, failure.status, cost_usd))
        self._failures.append(failure)
        if came is not None and failure.giveable and self._second_best is None and self._has_form(came):
            self._second_best = (came, tier)

    def _wait_s(self, failure: AttemptFailed, later: Sequence[Tier]) -> float | None:
        """How long to wait before asking the same tier again; None: don't."""
        attempts_left = MAX_ATTEMPTS - len(self._attempts)
        if not failure.policy.again or attempts_left <= len(later):  # every later tier shall be asked once
            return None
        wait_s = 0.0 if failure.failure is FailureClass.SCHEMA else self._random.uniform(0, BACK_OFF_S)
        if failure.failure is FailureClass.RATE_LIMIT:
            if failure.retry_after_s is None and later:
                return None
            wait_s += failure.retry_after_s or 0.0
        fits = wait_s < self._deadline.left_s(self._now()) - RESERVE_S
        is_worth_it = fits and (not later or wait_s <= SHORT_WAIT_S)
        return wait_s if is_worth_it and self._retries.spend() else None

    def _has_form(self, completion: Completion) -> bool:
        return FORM.objection(completion, self._body) is None

    def _may_go_on(self) -> bool:
        return not self._failures or self._failures[-1].policy.next_tier or self._failures[-1].unknown_model

    def _failed(self) -> Failed:
        now = self._now()
        waits = [failure.retry_after_s for failure in self._failures if failure.retry_after_s is not None]
        waits += [tier.health.retry_at(self._schema) - now for tier in self._left_alone]
        no_time = AttemptFailed(FailureClass.SLOW, "no time was left for any tier")
        return Failed(
            tuple(self._attempts),
            self._failures[-1] if self._failures else no_time,
            retry_after_s=max(0.0, min(waits, default=RETRY_AFTER_S)),
        )


def schema_key(body: Mapping[str, Any]) -> str:
    """Which form the answer shall have, "" where any will do: a tier may be well but for one schema."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") in {None, "text"}:
        return ""
    return sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
