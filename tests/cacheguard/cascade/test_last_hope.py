"""Where every tier is left alone and there is nothing else to give, one is looked at before its break is over."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from upstreams import ask_tiers

from cacheguard.cascade.breaker import State, Terms
from cacheguard.cascade.health import Health
from cacheguard.cascade.outcome import Answered, Failed, PassedOver
from cacheguard.cascade.strategies.ensemble import Ensemble
from cacheguard.cascade.strategies.escalate import Escalate
from cacheguard.cascade.strategies.hedge import Hedge
from cacheguard.cascade.strategies.sequence import Sequence
from cacheguard.cascade.strategies.shares import Canary, Weighted
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.validation import REGISTRY

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALIDATORS = tuple(REGISTRY[name]() for name in ("not_empty", "complete", "not_refusal"))
BREAK_S = 1000.0
TERMS = Terms(first_break_s=BREAK_S, longest_break_s=BREAK_S)
# A break that began so long ago is not over, and may be looked into.
AGO_S = BREAK_S * 1.1
STRATEGIES = {
    "sequence": Sequence(),
    "weighted": Weighted({"first": 1.0}),
    "canary": Canary("first", 0.5),
    "escalate": Escalate(),
    "hedge": Hedge(0.0),
    "ensemble": Ensemble(2, 0.8, embed=None),
}


class Longest(Random):
    """Of every span the end."""

    def uniform(self, a, b):  # noqa: ARG002 - the base class's
        return b


def fall_ill(tier, ago_s=AGO_S):
    now = asyncio.get_running_loop().time() - ago_s
    for _ in range(TERMS.minimum_calls):
        tier.health.admit("", now).ended(AttemptFailed(FailureClass.TRANSPORT, ""), now)


@pytest.fixture
def ill(script, tier):
    """Tiers that are left alone, the first for longest."""

    def named(*names):
        tiers = [tier(name, health=Health(Longest(), TERMS)) for name in names]
        for place, one in enumerate(tiers):
            fall_ill(one, AGO_S - place)
        return tiers

    return named


def asked_of(outcome):
    return [attempt.tier for attempt in outcome.tried.attempts]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_a_tier_that_is_back_answers_though_its_break_is_not_over(ill, strategy, streamed):
    pair = ill("first", "second")
    outcome = await ask_tiers(pair, strategy=strategy, validators=VALIDATORS, stream=streamed)
    assert isinstance(outcome, Answered)
    assert outcome.completion.text
    assert not outcome.may_be_kept  # the strategy had no say
    assert asked_of(outcome) == ["first"]
    assert outcome.tried.passed_over == (PassedOver("second", "left alone to recover"),)
    assert pair[0].health.state(asyncio.get_running_loop().time())[0] is State.HALF_OPEN


async def test_each_request_looks_at_one_and_each_is_looked_at_in_its_turn(script, ill):
    three = ill("first", "second", "third")
    script(**{one.name: {"status": 503} for one in three})
    outcomes = [await ask_tiers(three) for _ in range(4)]
    assert [asked_of(outcome) for outcome in outcomes] == [["first"], ["second"], ["third"], []]
    assert all(isinstance(outcome, Failed) for outcome in outcomes)


async def test_a_look_that_fails_leaves_the_break_as_it_was(script, ill):
    [only] = ill("only")
    back = only.health.retry_at("")
    script(only={"status": 503})
    failed = await ask_tiers([only])
    assert str(failed.error()) == "no tier could answer (only: transport)"
    assert failed.retry_after_s == pytest.approx(back - asyncio.get_running_loop().time(), abs=10)
    assert only.health.retry_at("") == back


@pytest.mark.parametrize("then", [{"text": ""}, {"error_after_tokens": 3}, {"cut_after_tokens": 3}], ids=str)
async def test_nothing_is_given_that_a_validator_or_its_end_speaks_against(script, ill, then):
    script(only=then)
    outcome = await ask_tiers(ill("only"), validators=VALIDATORS, stream=True)
    assert isinstance(outcome, Failed)
    assert asked_of(outcome) == ["only"]


async def test_where_a_template_or_an_old_answer_stands_by_nobody_looks(ill, template):
    pair = ill("first", "second")
    sorry = await ask_tiers([*pair, template])
    assert (sorry.tier.name, sorry.tried.attempts) == ("sorry", ())
    backed = await ask_tiers(pair, is_backed=True)
    assert (isinstance(backed, Failed), backed.tried.attempts) == (True, ())


async def test_where_another_gave_what_may_be_given_nobody_looks(script, ill, tier):
    script(second={"refusal": "No."})
    outcome = await ask_tiers([*ill("first"), tier("second")], validators=VALIDATORS)
    assert (outcome.completion.refusal, asked_of(outcome)) == ("No.", ["second"])


async def test_where_the_request_itself_was_at_fault_nobody_looks(script, ill, tier):
    script(second={"status": 400})
    outcome = await ask_tiers([*ill("first"), tier("second")])
    assert (isinstance(outcome, Failed), asked_of(outcome)) == (True, ["second"])


@pytest.mark.parametrize(
    "said", [{"status": 429, "retry_after_s": 600}, {"status": 401}, {"status": 402}], ids=lambda said: said["status"]
)
async def test_a_provider_that_asked_to_be_left_alone_is(simulator, script, tier, said):
    only = tier("only")
    script(only=said)
    await ask_tiers([only])
    before = simulator.calls["total"]
    outcome = await ask_tiers([only])
    assert (isinstance(outcome, Failed), asked_of(outcome)) == (True, [])
    assert simulator.calls["total"] == before
