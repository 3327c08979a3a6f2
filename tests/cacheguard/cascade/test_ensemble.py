"""Several tiers at once: when they agree, which answer is given, and what follows where they don't."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from upstreams import ask_tiers, asked

from cacheguard.cascade.admission import RESERVE_S
from cacheguard.cascade.outcome import Answered, Failed, PassedOver
from cacheguard.cascade.strategies.ensemble import Ensemble
from cacheguard.errors import RequestError
from cacheguard.failures import FailureClass
from cacheguard.validation import REGISTRY
from embeddings.base import EmbeddingError
from embeddings.batching import Gathering

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALIDATORS = tuple(REGISTRY[name]() for name in ("not_empty", "complete", "not_refusal"))
HANGS = {"connection": "hang"}
MONDAY = {"text": "The branch opens at nine on Monday."}
MONDAY_TOO = {"text": "On Monday the branch opens at nine."}
FEES = {"text": "An instant transfer costs two euros abroad."}
YES, YES_TOO, NO = {"text": '{"open": true}'}, {"text": ' {"open":true}'}, {"text": '{"open": false}'}
BROKEN_FORM = {"type": "json_schema", "json_schema": {"name": "form", "schema": {"$ref": "#/$defs/none"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embed(encoder):
    gathering = Gathering(encoder)
    yield gathering.embed
    await gathering.aclose()


async def gone(texts):
    raise EmbeddingError("the model is gone")


async def ask(tiers, embed, body=None, *, size=3, **plan):
    return await ask_tiers(tiers, body, strategy=Ensemble(size, 0.8, embed), validators=VALIDATORS, **plan)


def tried(outcome):
    return [(attempt.tier, attempt.outcome) for attempt in outcome.tried.attempts]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("first", "second", "third"),
    [(FEES, MONDAY, MONDAY_TOO), (NO, YES, YES_TOO), (YES, MONDAY, MONDAY_TOO), ({"status": 402}, MONDAY, MONDAY_TOO)],
    ids=["prose", "JSON", "both", "one fails"],
)
async def test_where_most_agree_one_of_these_answers_is_given_and_all_calls_are_paid(  # noqa: PLR0917 - a table
    script, tiers, embed, first, second, third, streamed
):
    script(first=first, second=second, third=third)
    outcome = await ask(tiers("first", "second", "third", "fourth"), embed, stream=streamed)
    assert isinstance(outcome, Answered)
    assert outcome.may_be_kept
    assert outcome.tier.name in {"second", "third"}
    assert outcome.completion.text in {second["text"], third["text"]}
    assert [attempt.tier for attempt in outcome.tried.attempts] == ["first", "second", "third"]
    costs = [attempt.cost_usd > 0 for attempt in outcome.tried.attempts]
    assert costs == ["text" in first, True, True]


async def test_where_they_dont_agree_the_tier_behind_them_is_asked(simulator, script, tiers, embed):
    script(first=FEES, second=MONDAY)
    outcome = await ask(tiers("first", "second", "third"), embed, size=2)
    assert (outcome.tier.name, outcome.may_be_kept) == ("third", True)
    assert simulator.calls["total"] == 3


async def test_what_models_contradict_each_other_in_is_never_given(script, tiers, template, embed):
    script(first=YES, second=NO)
    failed = await ask(tiers("first", "second"), embed)
    assert isinstance(failed, Failed)
    assert failed.last.failure is FailureClass.REJECTED
    assert str(failed.error()) == "no tier could answer (first: rejected, second: rejected)"
    assert (await ask([*tiers("first", "second"), template], embed)).tier.name == "sorry"


async def test_half_is_no_majority(script, tiers, embed):
    script(first=YES, second=YES_TOO, third=NO, fourth=NO)
    outcome = await ask(tiers("first", "second", "third", "fourth", "fifth"), embed, size=4, max_attempts=5)
    assert outcome.tier.name == "fifth"


async def test_an_answer_that_fails_a_check_has_no_say(script, tiers, embed):
    script(first={"text": ""}, second={"refusal": "No."}, third=MONDAY)
    outcome = await ask(tiers("first", "second", "third", "fourth"), embed)
    assert tried(outcome)[:3] == [("first", "empty"), ("second", "refusal"), ("third", "rejected")]
    assert outcome.tier.name == "fourth"


async def test_a_tier_of_an_ensemble_is_asked_once(simulator, script, tiers, embed):
    script(first={"status": 500}, second=MONDAY, third=MONDAY_TOO)
    await ask(tiers("first", "second", "third"), embed)
    assert simulator.calls["by_model"]["first-model"] == 1


async def test_a_lone_answer_is_given_unvalidated_when_nothing_better_comes(script, tiers, template, embed):
    script(first={"status": 402}, second=MONDAY, third={"status": 402})
    outcome = await ask([*tiers("first", "second", "third"), template], embed)
    assert (outcome.completion.text, outcome.may_be_kept) == (MONDAY["text"], False)


async def test_answers_that_could_not_be_compared_are_given_unvalidated_when_nothing_better_comes(script, tiers):
    script(first=MONDAY, second=MONDAY_TOO, third={"status": 402})
    outcome = await ask(tiers("first", "second", "third"), gone, size=2)
    assert (outcome.completion.text, outcome.may_be_kept) == (MONDAY["text"], False)
    assert [attempt.tier for attempt in outcome.tried.attempts] == ["first", "second", "third"]


async def test_what_no_other_tier_would_do_better_asks_none_behind_them(simulator, script, tiers, embed):
    script(first={"status": 400}, second={"status": 400}, third={"status": 400})
    outcome = await ask(tiers("first", "second", "third", "fourth"), embed)
    assert (isinstance(outcome, Failed), simulator.calls["total"]) == (True, 3)


async def test_calls_at_the_same_time_count_against_the_most_attempts(simulator, script, tiers, embed):
    script(first=MONDAY, second=MONDAY_TOO)
    outcome = await ask(tiers("first", "second", "third"), embed, max_attempts=2)
    assert outcome.completion.text in {MONDAY["text"], MONDAY_TOO["text"]}
    assert outcome.tried.passed_over == (PassedOver("third", "enough was tried"),)
    assert simulator.calls["total"] == 2


async def test_all_of_them_share_the_deadline(simulator, script, tiers, template, embed):
    script(first=HANGS, second=HANGS)
    outcome = await ask([*tiers("first", "second", "third"), template], embed, size=2, deadline_s=RESERVE_S + 0.05)
    assert outcome.tier.name == "sorry"
    assert tried(outcome)[:2] == [("first", "slow"), ("second", "slow")]
    await simulator.wait_for(in_flight=0)


async def test_a_client_that_leaves_hangs_up_on_all_of_them(simulator, script, tiers, embed):
    script(first=HANGS, second=HANGS, third=HANGS)
    seen = []
    asking = asyncio.create_task(ask(tiers("first", "second", "third"), embed, observe=seen.append))
    await simulator.wait_for(in_flight=3)
    asking.cancel()
    await asyncio.wait([asking])
    assert [(attempt.outcome, attempt.cost_usd > 0) for attempt in seen] == [("abandoned", True)] * 3
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await simulator.wait_for(in_flight=0, cancelled=3)


async def test_a_form_that_turns_out_broken_is_the_clients_fault_and_ends_every_call(simulator, script, tiers, embed):
    script(first={"text": "{}"}, second=HANGS, third=HANGS)
    seen = []
    with pytest.raises(RequestError):
        await ask(tiers("first", "second", "third"), embed, asked(response_format=BROKEN_FORM), observe=seen.append)
    assert len(seen) == 3
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await simulator.wait_for(in_flight=0)


async def test_each_call_is_counted_once_as_what_became_of_its_answer(script, tiers, embed):
    script(first=FEES, second=MONDAY)
    seen = []
    await ask(tiers("first", "second", "third"), embed, size=2, observe=seen.append)
    told = sorted((attempt.tier, attempt.outcome) for attempt in seen)
    assert told == [("first", "rejected"), ("second", "rejected"), ("third", "answered")]


async def test_answers_that_stand_are_counted_even_if_the_client_leaves_before_the_last_is_there(script, tiers, embed):
    script(first=MONDAY, second=HANGS)
    seen = []
    first, second = tiers("first", "second")
    is_there = asyncio.Event()
    first.pace.wrote = lambda *_: is_there.set()
    asking = asyncio.create_task(ask([first, second], embed, size=2, observe=seen.append))
    await is_there.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert {attempt.tier for attempt in seen} == {"first", "second"}
