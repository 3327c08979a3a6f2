"""A second tier while the first is under way: who wins, what the loser costs, and that nothing is left open."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from upstreams import ONE_HOUR_MS, Held, ask_tiers, asked, gathered, text_of

from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.outcome import Answered, Failed, PassedOver, Streaming
from cacheguard.cascade.pace import ENOUGH_FOR_TAIL
from cacheguard.cascade.plan import Plan
from cacheguard.cascade.retries import SAVED
from cacheguard.cascade.spending import Ledger
from cacheguard.cascade.strategies.hedge import SHARE, Hedge
from cacheguard.errors import RequestError
from cacheguard.failures import FailureClass
from cacheguard.providers.template import TemplateProvider
from cacheguard.validation import REGISTRY

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENT_S = 60
VALIDATORS = (REGISTRY["complete"](),)
HANGS = {"connection": "hang"}
SILENT = {"first_token_ms": ONE_HOUR_MS}
# To be found wrong only when an answer is checked against it.
BROKEN_FORM = {"type": "json_schema", "json_schema": {"name": "form", "schema": {"$ref": "#/$defs/none"}}}

either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def tried(outcome):
    return [(attempt.tier, attempt.outcome) for attempt in outcome.tried.attempts]


async def text_given(outcome):
    if isinstance(outcome, Streaming):
        return text_of(await gathered(outcome.stream.chunks()))
    return outcome.completion.text


def others_of_this_test():
    return asyncio.all_tasks() - {asyncio.current_task()}


@either_way
async def test_a_first_tier_that_answers_in_time_is_the_only_one_asked(simulator, tiers, streamed):
    outcome = await ask_tiers(tiers("first", "second"), strategy=Hedge(PATIENT_S), stream=streamed)
    assert await text_given(outcome)
    assert tried(outcome) == [("first", "answered")]
    assert simulator.calls["by_model"] == {"first-model": 1}


@either_way
async def test_the_second_tier_wins_over_a_first_that_is_silent_and_the_losers_cost_is_kept(
    simulator, script, tiers, streamed
):
    script(first=SILENT if streamed else HANGS)
    seen = []
    outcome = await ask_tiers(tiers("first", "second"), strategy=Hedge(0.0), stream=streamed, observe=seen.append)
    assert outcome.tier.name == "second"
    assert await text_given(outcome)
    assert tried(outcome) == [("first", "abandoned"), ("second", "answered")]
    assert all(attempt.cost_usd > 0 for attempt in outcome.tried.attempts)
    assert sorted(seen, key=lambda attempt: attempt.tier) == list(outcome.tried.attempts)
    await simulator.wait_for(in_flight=0, cancelled=1)
    assert others_of_this_test() == set()


async def test_only_the_winners_words_are_given(script, tiers):
    script(first=SILENT)
    outcome = await ask_tiers(tiers("first", "second"), strategy=Hedge(0.0), stream=True)
    assert {chunk.body["model"] for chunk in await gathered(outcome.stream.chunks())} == {"second-model"}


@either_way
@pytest.mark.parametrize("then", [{"status": 402}, {"status": 400}, {"connection": "reset"}], ids=str)
async def test_a_second_tier_that_fails_ends_nothing_of_what_the_first_has_under_way(
    script, provider, tier, then, streamed
):
    script(second=then)
    held = Held(provider)
    pair = [tier("first", held), tier("second")]
    outcome = await ask_tiers(pair, strategy=Hedge(0.0), stream=streamed, observe=lambda _: held.let_go.set())
    assert outcome.tier.name == "first"
    assert await text_given(outcome)
    assert [attempt.tier for attempt in outcome.tried.attempts][:2] == ["first", "second"]


@pytest.mark.parametrize("then", [{"status": 400}, {"finish_reason": "content_filter"}], ids=str)
async def test_what_no_other_tier_would_do_better_ends_the_race_where_the_first_met_it(
    simulator, script, provider, tier, then
):
    script(first=then, second=HANGS)
    held = Held(provider)
    pair = [tier("first", held), tier("second")]
    asking = asyncio.create_task(ask_tiers(pair, strategy=Hedge(0.0), validators=VALIDATORS))
    await simulator.wait_for(by_model={"second-model": 1})
    held.let_go.set()
    outcome = await asking
    failure = FailureClass.BAD_REQUEST if "status" in then else FailureClass.CONTENT_FILTER
    assert tried(outcome) == [("first", failure), ("second", "abandoned")]
    assert isinstance(outcome, Failed if "status" in then else Answered)
    await simulator.wait_for(in_flight=0)


@either_way
async def test_a_first_tier_that_fails_at_once_is_followed_by_the_next_as_in_a_sequence(script, tiers, streamed):
    script(first={"status": 402}, second={"status": 402})
    all_three = tiers("first", "second", "third")
    outcome = await ask_tiers(all_three, strategy=Hedge(PATIENT_S), stream=streamed)
    assert await text_given(outcome)
    assert [attempt.tier for attempt in outcome.tried.attempts] == ["first", "second", "third"]


async def test_the_tiers_behind_a_second_that_fails_are_asked_while_the_first_is_silent(script, tiers):
    script(first=HANGS, second={"status": 402})
    outcome = await ask_tiers(tiers("first", "second", "third"), strategy=Hedge(0.0))
    assert tried(outcome) == [("first", "abandoned"), ("second", "quota"), ("third", "answered")]


async def test_when_both_fail_the_template_is_given(script, tiers, template):
    script(first={"status": 402}, second={"status": 402})
    outcome = await ask_tiers([*tiers("first", "second"), template], strategy=Hedge(0.0))
    assert (outcome.tier.name, outcome.may_be_kept) == ("sorry", False)


@pytest.mark.parametrize("count", [0, 1])
async def test_with_nobody_to_race_against_it_is_a_sequence(tiers, template, count):
    outcome = await ask_tiers([*tiers("first")[:count], template], strategy=Hedge(0.0))
    assert outcome.tier.name == ("first" if count else "sorry")


async def test_a_first_tier_that_is_left_alone_costs_no_waiting(script, tiers):
    first, second = tiers("first", "second")
    script(first={"status": 500})
    for _ in range(5):
        await ask_tiers([first])
    outcome = await ask_tiers([first, second], strategy=Hedge(PATIENT_S))
    assert tried(outcome) == [("second", "answered")]
    assert outcome.tried.passed_over == (PassedOver("first", "left alone to recover"),)


async def test_calls_at_the_same_time_count_against_the_most_attempts(script, tier, provider):
    held = Held(provider)
    asking = asyncio.create_task(ask_tiers([tier("first", held), tier("second")], strategy=Hedge(0.0), max_attempts=1))
    await held.is_asked.wait()
    held.let_go.set()
    outcome = await asking
    assert tried(outcome) == [("first", "answered")]


@either_way
async def test_of_two_that_answer_at_once_the_first_is_given_and_nothing_of_the_other_stays_open(tier, streamed):
    held = [Held(TemplateProvider("Yes.")), Held(TemplateProvider("No."))]
    pair = [tier(name, over) for name, over in zip(("first", "second"), held, strict=True)]
    asking = asyncio.create_task(ask_tiers(pair, strategy=Hedge(0.0), stream=streamed))
    for one in held:
        await one.is_asked.wait()
    for one in held:
        one.let_go.set()
    outcome = await asking
    assert held[1].under_way == 0
    assert (outcome.tier.name, await text_given(outcome)) == ("first", "Yes.")
    assert held[0].under_way == 0
    assert len(outcome.tried.attempts) == 2
    assert others_of_this_test() == set()


@either_way
async def test_a_client_that_leaves_hangs_up_on_both(simulator, script, tiers, streamed):
    script(first=HANGS, second=HANGS)
    seen = []
    asking = asyncio.create_task(
        ask_tiers(tiers("first", "second"), strategy=Hedge(0.0), stream=streamed, observe=seen.append)
    )
    await simulator.wait_for(in_flight=2)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert sorted((attempt.tier, attempt.outcome) for attempt in seen) == [
        ("first", "abandoned"),
        ("second", "abandoned"),
    ]
    assert all(attempt.cost_usd > 0 for attempt in seen)
    await simulator.wait_for(in_flight=0, cancelled=2)
    assert others_of_this_test() == set()


@either_way
@pytest.mark.parametrize("turns", range(40))
async def test_whenever_a_client_leaves_every_call_is_ended_and_its_money_settled(tier, streamed, turns):
    held = [Held(TemplateProvider("Yes."), in_turns=12), Held(TemplateProvider("No."), in_turns=8)]
    pair = tuple(tier(name, over) for name, over in zip(("first", "second"), held, strict=True))
    purse = Ledger({}).purse("tenant", "route", 1.0, now=0.0)
    seen = []
    asking = asyncio.create_task(
        Cascade(Random()).ask(Plan(pair, Hedge(0.0)), asked(), purse=purse, stream=streamed, observe=seen.append)
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    if not asking.cancelled() and isinstance(asking.result(), Streaming):
        await asking.result().stream.aclose()
    assert [one.under_way for one in held] == [0, 0]
    assert purse._own.spent.under_way == 0
    assert purse._own.spent.own == pytest.approx(sum(attempt.cost_usd for attempt in seen))
    assert others_of_this_test() == set()


async def test_a_form_that_turns_out_broken_is_the_clients_fault_and_ends_both_calls(script, tier, provider):
    held, silent = Held(provider), Held(provider)
    seen = []
    asking = asyncio.create_task(
        ask_tiers(
            [tier("first", held), tier("second", silent)],
            asked(response_format=BROKEN_FORM),
            strategy=Hedge(0.0),
            observe=seen.append,
        )
    )
    script(first={"text": "{}"})
    await silent.is_asked.wait()
    held.let_go.set()
    with pytest.raises(RequestError):
        await asking
    assert (silent.under_way, len(seen)) == (0, 2)
    assert others_of_this_test() == set()


@either_way
async def test_nobody_races_before_the_first_tiers_tail_is_known(script, tiers, streamed):
    first, second = tiers("first", "second")
    now = asyncio.get_running_loop().time()
    for _ in range(ENOUGH_FOR_TAIL - 1):
        first.pace.of(stream=streamed).saw(0.0, now)
        first.pace.of(stream=not streamed).saw(0.0, now)
    first.pace.of(stream=not streamed).saw(0.0, now)
    outcome = await ask_tiers([first, second], strategy=Hedge(), stream=streamed)
    assert await text_given(outcome)
    assert tried(outcome) == [("first", "answered")]
    first.pace.of(stream=streamed).saw(0.0, now)
    script(first=HANGS)
    for _ in range(ENOUGH_FOR_TAIL):
        first.pace.of(stream=streamed).saw(0.0, now)
    outcome = await ask_tiers([first, second], strategy=Hedge(), stream=streamed)
    assert await text_given(outcome)
    assert outcome.tier.name == "second"


async def test_however_slow_the_first_tier_is_few_requests_ask_two(tier):
    slow, quick = Held(TemplateProvider("Yes."), in_turns=60), Held(TemplateProvider("No."), in_turns=1)
    pair = [tier("first", slow), tier("second", quick)]
    strategy, requests, raced = Hedge(0.0), 100, 0
    for _ in range(requests):
        outcome = await ask_tiers(pair, strategy=strategy)
        raced += len(outcome.tried.attempts) == 2
    assert SAVED <= raced <= SAVED + SHARE * requests
