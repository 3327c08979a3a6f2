"""In which order the tiers of a route are asked: shares, ranks, and from small to large."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from upstreams import Held, ask_tiers, asked, gathered, text_of

from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.outcome import Answered, Failed, Streaming
from cacheguard.cascade.strategies.ensemble import Ensemble
from cacheguard.cascade.strategies.escalate import Escalate
from cacheguard.cascade.strategies.hedge import Hedge
from cacheguard.cascade.strategies.ranked import EXPLORED, Ranked, cost_usd, seconds
from cacheguard.cascade.strategies.sequence import Sequence
from cacheguard.cascade.strategies.shares import Canary, Weighted
from cacheguard.cascade.tier import Price
from cacheguard.failures import POLICIES, FailureClass
from cacheguard.providers.template import TemplateProvider
from cacheguard.validation import REGISTRY
from cacheguard.validation.length import Length

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALIDATORS = tuple(REGISTRY[name]() for name in ("not_empty", "complete", "not_refusal"))
ALL = {
    "sequence": Sequence(),
    "weighted": Weighted({"first": 1.0}),
    "canary": Canary("first", 0.5),
    "fastest": Ranked(seconds),
    "cheapest": Ranked(cost_usd),
    "escalate": Escalate(),
    "hedge": Hedge(0.0),
    "ensemble": Ensemble(2, 0.8, embed=None),
}

either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
every = pytest.mark.parametrize("strategy", ALL.values(), ids=ALL)


@pytest.fixture
def ready(tier):
    """Tiers that answer at once, without a host."""

    def named(*names):
        return [tier(name, TemplateProvider(f"{name} says yes.")) for name in names]

    return named


async def order(tiers, strategy, *, cascade, body=None):
    """Who is asked in turn, where no answer passes."""
    plan = {"strategy": strategy, "validators": [Length(min_chars=1000)], "max_attempts": len(tiers)}
    outcome = await ask_tiers(tiers, body, cascade=cascade, **plan)
    return [attempt.tier for attempt in outcome.tried.attempts]


def tried(outcome):
    return [(attempt.tier, attempt.outcome) for attempt in outcome.tried.attempts]


def conversation(number, *later, **rest):
    first = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"Question {number}?"}]
    return {"model": "faq", "messages": [*first, *later], **rest}


FOLLOW_UP = ({"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And abroad?"})


@every
async def test_a_route_with_nothing_but_a_template_gives_it(template, strategy):
    assert (await ask_tiers([template], strategy=strategy)).tier.name == "sorry"
    assert isinstance(await ask_tiers([], strategy=strategy), Failed)


@every
async def test_when_every_tier_fails_the_template_is_given(script, tiers, template, strategy):
    script(first={"status": 402}, second={"text": ""})
    outcome = await ask_tiers([*tiers("first", "second"), template], strategy=strategy, validators=VALIDATORS)
    assert (outcome.tier.name, outcome.may_be_kept) == ("sorry", False)
    assert sorted(tried(outcome)) == [("first", "quota"), ("second", "empty")]


@every
@either_way
async def test_what_is_the_clients_fault_is_told_by_every_strategy(script, tiers, template, strategy, streamed):
    wrong = {"status": 400, "message": "messages.0.role: unknown."}
    script(first=wrong, second=wrong)
    outcome = await ask_tiers([*tiers("first", "second"), template], strategy=strategy, stream=streamed)
    assert (outcome.error().status, str(outcome.error())) == (400, "messages.0.role: unknown.")


@every
@either_way
async def test_a_client_that_leaves_hangs_up_on_all_that_is_under_way(tier, strategy, streamed):
    held = [Held(TemplateProvider("Yes.")), Held(TemplateProvider("No."))]
    pair = [tier(name, over) for name, over in zip(("first", "second"), held, strict=True)]
    seen = []
    asking = asyncio.create_task(ask_tiers(pair, strategy=strategy, stream=streamed, observe=seen.append))
    await asyncio.wait([asyncio.create_task(one.is_asked.wait()) for one in held], return_when="FIRST_COMPLETED")
    asking.cancel()
    await asyncio.wait([asking])
    assert {attempt.outcome for attempt in seen} == {"abandoned"}
    assert [one.under_way for one in held] == [0, 0]
    for one in held:
        one.is_asked.set()


@every
async def test_what_one_request_may_cost_is_all_that_its_calls_reserve_together(script, tiers, template, strategy):
    outcome = await ask_tiers([*tiers("first", "second"), template], strategy=strategy, max_cost_usd=1e-9)
    assert outcome.tier.name == "sorry"
    assert {passed.why for passed in outcome.tried.passed_over} == {"the request's cost budget"}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Weighted({"a": 3.0, "b": 1.0}), {"a": 0.75, "b": 0.25}),
        (Weighted({"a": 0.0, "b": 1.0}), {"b": 1.0}),
        (Weighted({"c": 1e-3, "b": 2e-3, "a": 1e-3}), {"a": 0.25, "b": 0.5, "c": 0.25}),
        (Canary("b", 0.1), {"a": 0.9, "b": 0.1}),
    ],
    ids=["weighted", "one", "small weights", "canary"],
)
async def test_each_tier_gets_its_share_of_conversations(ready, cascade, strategy, expected):
    tiers = ready("a", "b", "c")
    bodies = [conversation(number) for number in range(2000)]
    outcomes = [await ask_tiers(tiers, body, cascade=cascade, strategy=strategy) for body in bodies]
    got = Counter(outcome.tier.name for outcome in outcomes)
    assert got.keys() == expected.keys()
    assert {name: count / 2000 for name, count in got.items()} == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    "strategy", [Weighted({"a": 1.0, "b": 1.0, "c": 1.0}), Canary("b", 0.5)], ids=["weighted", "canary"]
)
async def test_a_conversation_keeps_its_tier(ready, cascade, strategy):
    tiers = ready("a", "b", "c")
    first = [await ask_tiers(tiers, conversation(number), cascade=cascade, strategy=strategy) for number in range(50)]
    bodies = [conversation(number, *FOLLOW_UP, stream=True) for number in range(50)]
    later = [await ask_tiers(tiers, body, cascade=cascade, strategy=strategy) for body in bodies]
    assert [outcome.tier for outcome in first] == [outcome.tier for outcome in later]


async def test_behind_the_tier_whose_turn_it_is_the_others_stand_as_listed(ready, cascade):
    strategy = Weighted({"b": 1.0, "c": 1.0})
    seen = set()
    for number in range(20):
        asked_in_turn = await order(ready("a", "b", "c", "d"), strategy, cascade=cascade, body=conversation(number))
        seen.add("".join(asked_in_turn))
    assert seen == {"bacd", "cabd"}


async def test_a_canary_is_the_last_resort_of_those_that_dont_try_it_out(ready, cascade):
    seen = set()
    for number in range(20):
        strategy = Canary("a", 0.5)
        seen.add("".join(await order(ready("a", "b", "c"), strategy, cascade=cascade, body=conversation(number))))
    assert seen == {"abc", "bca"}


@either_way
async def test_the_fastest_is_asked_first_by_what_its_calls_took_and_the_unknown_before_it(ready, cascade, streamed):
    tiers = ready("slow", "quick", "medium", "unknown")
    now = asyncio.get_running_loop().time()
    for tier, took in zip(tiers, (3.0, 1.0, 2.0), strict=False):
        for _ in range(3):
            tier.pace.of(stream=streamed).saw(took, now)
            tier.pace.of(stream=not streamed).saw(9.0 - took, now)
    for expected, listed in (("quick", tiers[:3]), ("unknown", tiers)):
        outcome = await ask_tiers(listed, cascade=cascade, strategy=Ranked(seconds), stream=streamed)
        assert outcome.tier.name == expected
        if streamed:
            await outcome.stream.aclose()


async def test_a_tier_that_has_only_met_its_time_out_is_not_the_fastest(script, tier, cascade):
    script(hangs={"connection": "hang"})
    pair = [tier("hangs", timeout_s=0.05), tier("well")]
    pair[1].pace.whole.saw(0.01, asyncio.get_running_loop().time())
    firsts = [(await ask_tiers(pair, cascade=cascade, strategy=Ranked(seconds))).tried.attempts[0] for _ in range(2)]
    assert [attempt.tier for attempt in firsts] == ["hangs", "well"]


async def test_the_cheapest_is_asked_first_by_what_this_very_request_would_cost(tier, cascade):
    tiers = [tier(str(usd), TemplateProvider("Yes."), usd=usd) for usd in (9, 1, 0, 3)]
    assert await order(tiers, Ranked(cost_usd), cascade=cascade) == ["0", "1", "3", "9"]


@pytest.mark.parametrize(("limit", "best"), [(1, "writes dear"), (100_000, "reads dear")])
async def test_what_is_cheapest_depends_on_how_much_is_read_and_written(tier, cascade, limit, best):
    yes = TemplateProvider("Yes.")
    writes = replace(tier("writes dear", yes), price=Price(input_usd_per_mtok=1, output_usd_per_mtok=10))
    reads = replace(tier("reads dear", yes), price=Price(input_usd_per_mtok=100, output_usd_per_mtok=1))
    outcome = await ask_tiers([writes, reads], asked(max_tokens=limit), cascade=cascade, strategy=Ranked(cost_usd))
    assert outcome.tier.name == best


async def test_without_a_limit_the_cheapest_goes_by_what_a_model_writes_as_a_rule(tier, cascade):
    yes = TemplateProvider("Yes.")
    wordy, terse = tier("wordy", yes, usd=1), tier("terse", yes, usd=2)
    now = asyncio.get_running_loop().time()
    wordy.pace.wrote(5000, now)
    terse.pace.wrote(50, now)
    assert await order([wordy, terse], Ranked(cost_usd), cascade=cascade) == ["terse", "wordy"]


async def test_a_few_per_cent_of_the_requests_try_another_tier_first(ready):
    tiers, cascade, requests = ready("best", "b", "c"), Cascade(Random(1)), 2000
    ranked = Ranked(lambda _, tier: tiers.index(tier))
    outcomes = [await ask_tiers(tiers, cascade=cascade, strategy=ranked) for _ in range(requests)]
    others = sum(outcome.tier.name != "best" for outcome in outcomes)
    assert others == pytest.approx(EXPLORED * requests * 2 / 3, rel=0.3)
    assert {outcome.tier.name for outcome in outcomes} == {"best", "b", "c"}


async def test_a_best_tier_that_fails_is_followed_by_the_next_best(script, tiers, cascade):
    dear, cheap = tiers("dear", "cheap")
    cheap = replace(cheap, price=Price(output_usd_per_mtok=0.1))
    script(cheap={"status": 402})
    outcome = await ask_tiers([dear, cheap], cascade=cascade, strategy=Ranked(cost_usd))
    assert tried(outcome) == [("cheap", "quota"), ("dear", "answered")]


@either_way
@pytest.mark.parametrize(
    ("then", "failure"),
    [
        ({"text": ""}, FailureClass.EMPTY),
        ({"refusal": "No."}, FailureClass.REFUSAL),
        ({"truncate_after_tokens": 2}, FailureClass.TRUNCATED),
        ({"status": 500}, FailureClass.TRANSPORT),
        ({"error_after_tokens": 3}, FailureClass.TRANSPORT),
        ({"cut_after_tokens": 3}, FailureClass.TRANSPORT),
    ],
    ids=str,
)
async def test_an_answer_of_a_small_model_that_fails_is_followed_at_once_by_the_larger_one(  # noqa: PLR0917 - a table
    simulator, script, tiers, then, failure, streamed
):
    script(small=then)
    pair = tiers("small", "large")
    outcome = await ask_tiers(pair, strategy=Escalate(), validators=VALIDATORS, stream=streamed)
    assert tried(outcome)[0] == ("small", failure)
    assert outcome.tier.name == "large"
    assert simulator.calls["by_model"] == {"small-model": 1, "large-model": 1}


@either_way
async def test_an_answer_that_lacks_its_form_is_not_mended_by_the_small_model(script, tiers, streamed):
    script(small={"text": "Yes."}, large={"text": "{}"})
    body = asked(response_format={"type": "json_object"})
    outcome = await ask_tiers(tiers("small", "large"), body, strategy=Escalate(), stream=streamed)
    assert tried(outcome) == [("small", FailureClass.SCHEMA), ("large", "answered")]


async def test_only_the_largest_model_streams(script, tiers):
    whole = await ask_tiers(tiers("small", "large"), strategy=Escalate(), validators=VALIDATORS, stream=True)
    assert (isinstance(whole, Answered), whole.tier.name, whole.may_be_kept) == (True, "small", True)
    script(small={"status": 402})
    live = await ask_tiers(tiers("small", "large"), strategy=Escalate(), validators=VALIDATORS, stream=True)
    assert (isinstance(live, Streaming), live.tier.name) == (True, "large")
    assert text_of(await gathered(live.stream.chunks()))


async def test_the_largest_model_is_asked_twice_where_its_failure_says_so(simulator, script, tiers):
    script(small={"status": 500}, large={"status": 500})
    await ask_tiers(tiers("small", "large"), strategy=Escalate())
    assert simulator.calls["by_model"] == {"small-model": 1, "large-model": 2}


async def test_a_refusal_that_the_route_gives_goes_to_no_larger_model(simulator, script, tiers):
    script(small={"refusal": "No."})
    policies = {**POLICIES, FailureClass.REFUSAL: replace(POLICIES[FailureClass.REFUSAL], next_tier=False)}
    outcome = await ask_tiers(tiers("small", "large"), strategy=Escalate(), validators=VALIDATORS, policies=policies)
    assert (outcome.completion.refusal, outcome.may_be_kept) == ("No.", False)
    assert simulator.calls["total"] == 1


@every
async def test_a_buffered_stream_begins_when_its_whole_answer_has_passed(script, tiers, template, strategy):
    script(first={"error_after_tokens": 3}, second={"cut_after_tokens": 3})
    outcome = await ask_tiers([*tiers("first", "second"), template], strategy=strategy, stream=True, is_buffered=True)
    assert isinstance(outcome, Answered)
    assert outcome.tier.name == "sorry"
