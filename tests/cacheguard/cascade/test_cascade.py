"""Tiers in order over real sockets: who is asked, how often, what is given, and what the client is told."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from upstreams import ONE_HOUR_MS, ask_tiers, asked, gathered, text_of

from cacheguard.cascade.admission import RESERVE_S, RETRY_AFTER_S
from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.keys import DEAD_S
from cacheguard.cascade.outcome import Answered, Failed, PassedOver, Streaming
from cacheguard.cascade.plan import MAX_ATTEMPTS
from cacheguard.cascade.retries import SAVED, SHARE
from cacheguard.cascade.tier import Price, Tier
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Finish
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions
from cacheguard.providers.template import TemplateProvider
from cacheguard.validation import REGISTRY
from cacheguard.validation.relevance import Relevance
from embeddings.base import EmbeddingError

# One loop for all tests here: a provider's connections belong to it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

KNOWN = "Card limits change at once, and the app shows the new one."
SORRY = "We can't answer that right now."
PRICE = Price(input_usd_per_mtok=1_000_000, output_usd_per_mtok=10_000_000)
TOKENS_ASKED, TOKENS_SAID = 6, len(KNOWN.split())
COST_USD = TOKENS_ASKED + 10 * TOKENS_SAID
# Long for a test, so that only a clock which must not run can end it.
PATIENT_S = 60
VALIDATORS = tuple(REGISTRY[name]() for name in ("not_empty", "complete", "not_refusal"))

either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


class NoJitter(Random):
    """Every span is drawn at its beginning: back-off takes no time."""

    def uniform(self, a, b):  # noqa: ARG002 - the base class's
        return a


@pytest.fixture
def tiers(provider):
    """Tiers by these names, each with a model of its own: `first` asks `first-model`."""

    def named(*names, timeout_s=PATIENT_S, first_token_timeout_s=PATIENT_S):
        return [Tier(name, provider, f"{name}-model", timeout_s, first_token_timeout_s, price=PRICE) for name in names]

    return named


def template(text=SORRY):
    return Tier("sorry", TemplateProvider(text), "sorry", PATIENT_S, PATIENT_S, is_template=True)


async def ask(tiers, body=None, *, streamed=False, deadline_s=PATIENT_S, cascade=None):
    cascade = cascade or Cascade(NoJitter())
    return await ask_tiers(tiers, body, cascade=cascade, stream=streamed, validators=VALIDATORS, deadline_s=deadline_s)


async def text_given(outcome):
    """What the client gets to read of an outcome."""
    if isinstance(outcome, Streaming):
        return text_of(await gathered(outcome.stream.chunks()))
    return outcome.completion.text


def tried(outcome):
    return [(attempt.tier, attempt.failure) for attempt in outcome.tried.attempts]


@either_way
async def test_the_first_tiers_answer_is_given_and_no_other_is_asked(simulator, script, tiers, streamed):
    outcome = await ask([*tiers("first", "second"), template()], streamed=streamed)
    assert isinstance(outcome, Streaming if streamed else Answered)
    assert await text_given(outcome) == KNOWN
    assert tried(outcome) == [("first", None)]
    assert simulator.calls["by_model"] == {"first-model": 1}


@either_way
async def test_the_fallback_is_asked_with_its_own_models_name_and_everything_else_as_the_client_said(
    simulator, script, tiers, streamed
):
    wish = asked(response_format={"type": "json_object"}, temperature=0, tools=[{"type": "function"}], seed=7)
    script(first={"status": 401}, second={"text": "{}"})
    await ask(tiers("first", "second"), wish, streamed=streamed)
    first, second = simulator.calls["bodies"]
    assert (first["model"], second["model"]) == ("first-model", "second-model")
    assert all(second[field] == wish[field] for field in wish if field != "model")


@pytest.mark.parametrize(
    ("then", "failure", "calls"),
    [
        ({"status": 500}, FailureClass.TRANSPORT, 2),
        ({"status": 529}, FailureClass.TRANSPORT, 2),
        ({"connection": "reset"}, FailureClass.TRANSPORT, 2),
        ({"garbage": "html"}, FailureClass.TRANSPORT, 2),
        ({"garbage": "other_json"}, FailureClass.TRANSPORT, 2),
        ({"cut_after_tokens": 0}, FailureClass.TRANSPORT, 2),
        ({"error_after_tokens": 0}, FailureClass.TRANSPORT, 2),
        ({"status": 429}, FailureClass.RATE_LIMIT, 1),
        ({"status": 429, "retry_after_ms": 1}, FailureClass.RATE_LIMIT, 2),
        ({"status": 429, "retry_after_s": 2}, FailureClass.RATE_LIMIT, 1),
        ({"status": 402}, FailureClass.QUOTA, 1),
        ({"status": 401}, FailureClass.AUTH, 1),
        ({"status": 404}, FailureClass.BAD_REQUEST, 1),
        ({"status": 400, "code": "model_not_found"}, FailureClass.BAD_REQUEST, 1),
        ({"status": 400, "code": "context_length_exceeded"}, FailureClass.CONTEXT_LENGTH, 1),
        ({"text": ""}, FailureClass.EMPTY, 1),
    ],
    ids=str,
)
@either_way
async def test_a_failure_is_followed_by_what_its_class_says_and_the_next_tier_answers(  # noqa: PLR0917 - a table
    simulator, script, tiers, then, failure, calls, streamed
):
    script(first=then)
    outcome = await ask([*tiers("first", "second"), template()], streamed=streamed)
    assert await text_given(outcome) == KNOWN
    assert outcome.tier.name == "second"
    assert tried(outcome) == [("first", failure)] * calls + [("second", None)]
    assert simulator.calls["by_model"] == {"first-model": calls, "second-model": 1}


@pytest.mark.parametrize(
    ("then", "failure"),
    [
        ({"refusal": "I can't help with that."}, FailureClass.REFUSAL),
        ({"text": "I'm sorry, but I can't help with that."}, FailureClass.REFUSAL),
        ({"finish_reason": "something_new"}, FailureClass.TRUNCATED),
        ({"finish_reason": None}, FailureClass.TRUNCATED),
        ({"text": " \n"}, FailureClass.EMPTY),
    ],
    ids=str,
)
async def test_an_answer_that_may_not_be_given_sends_the_question_to_the_next_tier(script, tiers, then, failure):
    script(first=then)
    outcome = await ask(tiers("first", "second"))
    assert tried(outcome) == [("first", failure), ("second", None)]
    assert (outcome.completion.text, outcome.may_be_kept) == (KNOWN, True)


async def test_an_answer_that_could_not_be_checked_is_given_unvalidated_when_nothing_better_comes(script, tiers):
    async def gone(texts):
        raise EmbeddingError("the model is gone")

    unchecked = [Relevance(0.2, gone)]
    given = await ask_tiers(tiers("first"), validators=unchecked)
    assert (given.completion.text, given.may_be_kept) == (KNOWN, False)


@either_way
@pytest.mark.parametrize("status", [400, 422])
async def test_a_bad_request_is_passed_on_to_nobody_not_even_a_template(simulator, script, tiers, streamed, status):
    script(first={"status": status, "message": "messages.0.role: unknown."})
    outcome = await ask([*tiers("first", "second"), template()], streamed=streamed)
    assert isinstance(outcome, Failed)
    assert tried(outcome) == [("first", FailureClass.BAD_REQUEST)]
    assert simulator.calls["total"] == 1
    assert (outcome.error().status, str(outcome.error())) == (400, "messages.0.role: unknown.")


async def test_what_a_content_filter_stopped_goes_to_no_other_tier_and_is_given_unvalidated(script, tiers):
    script(first={"finish_reason": "content_filter", "text": "Only so much"})
    outcome = await ask([*tiers("first", "second"), template()])
    assert tried(outcome) == [("first", FailureClass.CONTENT_FILTER)]
    assert (outcome.completion.text, outcome.may_be_kept) == ("Only so much", False)


async def test_a_refusal_is_given_unvalidated_when_nothing_better_comes(script, tiers):
    script(first={"refusal": "No."}, second={"text": "I'm sorry, I can't help with that."}, third={"status": 402})
    outcome = await ask([*tiers("first", "second", "third"), template()])
    assert isinstance(outcome, Answered)
    assert (outcome.completion.refusal, outcome.tier.name, outcome.may_be_kept) == ("No.", "first", False)


@pytest.mark.parametrize("is_mended", [False, True])
async def test_a_cut_answer_is_asked_for_once_more_with_four_times_the_room(simulator, tiers, is_mended):
    when = {"model": "first-model", **({"calls": {"to": 1}} if is_mended else {})}
    simulator.play({"when": when, "then": {"truncate_after_tokens": 3}})
    outcome = await ask(tiers("first", "second"))
    last = ("first" if is_mended else "second", None)
    cuts = [("first", FailureClass.TRUNCATED)] * (1 if is_mended else 2)
    assert tried(outcome) == [*cuts, last]
    assert [body.get("max_completion_tokens") for body in simulator.calls["bodies"]][:2] == [None, 12]


async def test_a_room_that_only_we_asked_for_and_that_is_refused_is_not_the_clients_fault(simulator, tiers):
    simulator.play(
        {"when": {"calls": {"to": 1}}, "then": {"truncate_after_tokens": 3}},
        {"when": {"model": "first-model"}, "then": {"status": 400, "message": "max_completion_tokens is too large"}},
    )
    outcome = await ask(tiers("first", "second"))
    assert tried(outcome)[1:] == [("first", FailureClass.BAD_REQUEST), ("second", None)]


async def test_a_truncated_answer_is_given_as_truncated_when_nothing_better_comes(script, tiers):
    script(first={"truncate_after_tokens": 3}, second={"status": 402})
    outcome = await ask(tiers("first", "second"))
    assert (outcome.completion.finish, outcome.may_be_kept) == (Finish.LENGTH, False)
    assert outcome.completion.body["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_a_length_that_the_client_asked_for_is_no_truncation(script, tiers, limit):
    script(first={"truncate_after_tokens": 3})
    outcome = await ask(tiers("first", "second"), asked(**{limit: 3}))
    assert (outcome.completion.text, outcome.may_be_kept) == ("Card limits change ", True)
    assert outcome.completion.finish is Finish.LENGTH
    assert outcome.tier.name == "first"


@either_way
async def test_a_template_stands_behind_all_tiers_and_is_never_validated(script, tiers, streamed):
    script(first={"status": 402}, second={"text": ""})
    outcome = await ask([template(), *tiers("first", "second")], streamed=streamed)
    assert isinstance(outcome, Answered)
    assert (outcome.completion.text, outcome.tier.name, outcome.may_be_kept) == (SORRY, "sorry", False)
    assert tried(outcome) == [("first", FailureClass.QUOTA), ("second", FailureClass.EMPTY)]


async def test_a_template_that_no_validator_would_pass_is_given_all_the_same():
    outcome = await ask([template("I'm sorry, I can't help with that.")])
    assert (outcome.may_be_kept, outcome.tried.attempts) == (False, ())


@either_way
async def test_all_tiers_failed_is_said_with_the_soonest_hint(script, tiers, streamed):
    script(first={"status": 429, "retry_after_s": 107}, second={"status": 503, "retry_after_s": 45})
    outcome = await ask(tiers("first", "second"), streamed=streamed)
    assert isinstance(outcome, Failed)
    assert (outcome.retry_after_s, outcome.error().retry_after_s, outcome.error().status) == (45, 45, 503)


async def test_all_tiers_failed_without_a_hint_names_a_time_too(script, tiers):
    script(first={"text": ""})
    assert (await ask(tiers("first"))).retry_after_s == RETRY_AFTER_S


async def test_all_tiers_out_of_money_are_said_to_be_so_for_as_long_as_they_are_left_alone(script, tiers):
    script(first={"status": 402})
    assert (await ask(tiers("first"))).retry_after_s == pytest.approx(DEAD_S, abs=10)


async def test_no_tiers_at_all_fail(script):
    outcome = await ask([])
    assert isinstance(outcome, Failed)
    assert outcome.tried.attempts == ()


@either_way
@pytest.mark.parametrize("count", [2, 3, 5])
async def test_there_are_four_attempts_at_most_however_many_tiers(simulator, script, tiers, count, streamed):
    names = [f"tier{number}" for number in range(count)]
    script(**{name: {"status": 500} for name in names})
    outcome = await ask(tiers(*names), streamed=streamed)
    assert isinstance(outcome, Failed)
    assert len(outcome.tried.attempts) == simulator.calls["total"] == MAX_ATTEMPTS == 4


async def test_no_tier_is_left_out_for_the_sake_of_asking_another_twice(script, tiers):
    script(first={"status": 500}, second={"status": 500})
    outcome = await ask(tiers("first", "second", "third"))
    assert isinstance(outcome, Answered)
    assert [attempt.tier for attempt in outcome.tried.attempts] == ["first", "first", "second", "third"]


async def test_nobody_waits_for_a_fifth_attempt(script, tiers):
    an_hour = {"status": 429, "retry_after_s": 3600}
    script(first={"text": ""}, second={"text": ""}, third={"text": ""}, last=an_hour)
    outcome = await ask(tiers("first", "second", "third", "last"), deadline_s=7200)
    assert len(outcome.tried.attempts) == MAX_ATTEMPTS


@either_way
async def test_a_last_tier_that_is_rate_limited_is_asked_again_when_its_hint_fits(simulator, script, tiers, streamed):
    limited_once = {"when": {"calls": {"to": 1}}, "then": {"status": 429, "retry_after_ms": 20}}
    simulator.play(limited_once)
    outcome = await ask(tiers("first"), streamed=streamed)
    assert await text_given(outcome) == KNOWN
    assert tried(outcome) == [("first", FailureClass.RATE_LIMIT), ("first", None)]


async def test_a_last_tier_that_is_rate_limited_without_a_hint_is_asked_once_more(script, tiers):
    script(first={"status": 429})
    assert tried(await ask(tiers("first"))) == [("first", FailureClass.RATE_LIMIT)] * 2


@either_way
async def test_a_hint_past_the_deadline_is_not_waited_for_but_told_to_the_client(script, tiers, streamed):
    script(first={"status": 429, "retry_after_s": 107})
    outcome = await ask(tiers("first"), streamed=streamed, deadline_s=100)
    assert tried(outcome) == [("first", FailureClass.RATE_LIMIT)]
    assert outcome.error().retry_after_s == 107


async def test_a_transport_failure_that_passes_is_not_noticed(simulator, script, tiers):
    simulator.play({"when": {"calls": {"to": 1}}, "then": {"connection": "reset"}})
    outcome = await ask(tiers("first", "second"))
    assert (outcome.completion.text, outcome.tier.name) == (KNOWN, "first")
    assert tried(outcome) == [("first", FailureClass.TRANSPORT), ("first", None)]


@either_way
async def test_a_tier_past_its_time_out_is_hung_up_on_and_the_next_one_answers(simulator, script, tiers, streamed):
    script(first={"connection": "hang"})
    outcome = await ask([*tiers("first", timeout_s=0.05), *tiers("second")], streamed=streamed)
    assert await text_given(outcome) == KNOWN
    assert tried(outcome) == [("first", FailureClass.SLOW), ("second", None)]
    await simulator.wait_for(in_flight=0)


async def test_a_tier_that_holds_back_its_first_word_is_passed_over(simulator, script, tiers):
    script(first={"first_token_ms": ONE_HOUR_MS})
    outcome = await ask([*tiers("first", first_token_timeout_s=0.05), *tiers("second")], streamed=True)
    assert await text_given(outcome) == KNOWN
    assert tried(outcome) == [("first", FailureClass.SLOW), ("second", None)]
    await simulator.wait_for(in_flight=0)


@either_way
async def test_a_template_comes_in_time_when_the_deadline_is_near(simulator, script, tiers, streamed):
    script(first={"connection": "hang"}, second={"connection": "hang"})
    hour = tiers("first", "second", timeout_s=3600, first_token_timeout_s=3600)
    outcome = await ask([*hour, template()], streamed=streamed, deadline_s=RESERVE_S + 0.05)
    assert outcome.completion.text == SORRY
    assert tried(outcome) == [("first", FailureClass.SLOW)]
    await simulator.wait_for(in_flight=0)


@either_way
async def test_a_deadline_that_leaves_no_time_asks_no_tier(simulator, script, tiers, streamed):
    outcome = await ask([*tiers("first"), template()], streamed=streamed, deadline_s=RESERVE_S)
    assert outcome.completion.text == SORRY
    failed = await ask(tiers("first"), streamed=streamed, deadline_s=0)
    assert (failed.last, failed.error().status) == (None, 503)
    assert "first: no time was left" in str(failed.error())
    assert simulator.calls["total"] == 0


@pytest.mark.parametrize("then", [{"error_after_tokens": 0}, {"cut_after_tokens": 0}], ids=str)
async def test_a_200_with_an_opening_and_then_an_error_is_no_success(script, tiers, then):
    script(first=then | {"message": "Overloaded"})
    outcome = await ask(tiers("first", "second"), streamed=True)
    assert outcome.tier.name == "second"
    chunks = await gathered(outcome.stream.chunks())
    assert text_of(chunks) == KNOWN
    assert {chunk.body["model"] for chunk in chunks} == {"second-model"}


@pytest.mark.parametrize("then", [{"error_after_tokens": 3}, {"cut_after_tokens": 3}, {"no_end_marker": True}], ids=str)
async def test_after_the_first_word_no_other_tier_takes_over(simulator, script, tiers, then):
    script(first=then)
    outcome = await ask([*tiers("first", "second"), template()], streamed=True)
    chunks = []

    async def read():
        async for chunk in outcome.stream.chunks():
            chunks.append(chunk)  # noqa: PERF401 - those before the failure count

    with pytest.raises(AttemptFailed):
        await read()
    assert outcome.tier.name == "first"
    assert KNOWN.startswith(text_of(chunks))
    assert simulator.calls["by_model"] == {"first-model": 1}


async def test_cancelling_a_question_hangs_up_on_the_provider_and_asks_nobody_else(simulator, script, tiers):
    for streamed in (False, True):
        script(first={"connection": "hang"})
        asking = asyncio.create_task(ask([*tiers("first", "second"), template()], streamed=streamed))
        await simulator.wait_for(in_flight=1)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        await simulator.wait_for(total=1, in_flight=0, cancelled=1)


async def test_cost_is_counted_by_tokens_and_price(script, tiers):
    outcome = await ask(tiers("first"))
    assert [attempt.cost_usd for attempt in outcome.tried.attempts] == [COST_USD]


async def test_what_a_failed_attempt_cost_is_counted_too(script, tiers):
    script(first={"refusal": "No, never."}, second={"status": 500})
    outcome = await ask(tiers("first", "second", "third"))
    costs = [attempt.cost_usd for attempt in outcome.tried.attempts]
    assert costs == [TOKENS_ASKED + 10 * 2, 0, 0, COST_USD]
    assert [attempt.status for attempt in outcome.tried.attempts] == [None, 500, 500, None]


async def test_an_empty_streams_cost_is_counted(script, tiers):
    script(first={"text": ""})
    outcome = await ask(tiers("first", "second"), streamed=True)
    assert [attempt.cost_usd for attempt in outcome.tried.attempts] == [TOKENS_ASKED, 0]


async def test_a_streams_usage_is_known_at_its_end(script, tiers):
    outcome = await ask(tiers("first"), streamed=True)
    await gathered(outcome.stream.chunks())
    assert outcome.tier.price.cost_usd(outcome.stream.completion().usage) == COST_USD


async def test_one_cascade_gives_every_question_its_own_answer(simulator, script, tiers):
    cascade = Cascade(NoJitter())
    prompts = [f"Question {number}?" for number in range(20)]
    outcomes = await asyncio.gather(*(ask(tiers("first"), asked(prompt), cascade=cascade) for prompt in prompts))
    for prompt, outcome in zip(prompts, outcomes, strict=True):
        assert f"«{prompt.casefold()}»" in outcome.completion.text
        assert tried(outcome) == [("first", None)]


async def test_the_clients_own_body_is_left_as_it_was(script, tiers):
    body = asked(stream=True, stream_options={"include_usage": False})
    await ask(tiers("first"), body)
    assert body == asked(stream=True, stream_options={"include_usage": False})


@either_way
@pytest.mark.parametrize(
    "then",
    [
        {"status": 401, "message": "Incorrect API key provided: sk-secret."},
        {"status": 403, "message": "The key sk-secret may not use this model."},
        {"status": 400, "code": "invalid_api_key", "message": "Incorrect API key provided: sk-secret."},
        {"status": 402, "message": "The account of sk-secret is empty."},
        {"status": 404, "message": "sk-secret has no access to this model."},
        {"status": 500, "message": "Bearer sk-secret"},
    ],
    ids=str,
)
async def test_a_key_that_the_provider_echoes_never_reaches_the_client(script, tiers, then, streamed):
    script(first=then)
    outcome = await ask(tiers("first"), streamed=streamed)
    assert "sk-secret" in str(outcome.last)
    error = outcome.error()
    assert (error.status, error.code) == (503, "all_tiers_failed")
    assert "secret" not in f"{error} {error!r} {vars(error)} {error.__cause__}"


async def test_a_key_with_a_line_break_in_it_never_reaches_the_client(simulator):
    provider = HttpProvider(ChatCompletions(), Host(simulator.base_url, ["sk-secret\n"]))
    outcome = await ask([Tier("first", provider, "m", PATIENT_S, PATIENT_S)])
    await provider.aclose()
    assert str(outcome.error()) == "no tier could answer (first: transport, first: transport)"


async def test_a_prompt_that_is_too_long_for_every_tier_is_told_in_the_providers_words(script, tiers):
    too_long = {"status": 400, "code": "context_length_exceeded", "message": "8192 tokens at most."}
    script(first=too_long, second=too_long)
    error = (await ask(tiers("first", "second"))).error()
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert str(error) == "8192 tokens at most."


async def test_a_prompt_that_a_content_filter_turned_down_is_told_in_the_providers_words(script, tiers):
    script(first={"status": 400, "code": "content_filter", "message": "The prompt was filtered."})
    error = (await ask([*tiers("first", "second"), template()])).error()
    assert (error.status, error.code, str(error)) == (400, "content_filter", "The prompt was filtered.")


@either_way
async def test_a_single_tier_that_is_down_is_left_alone_and_probed(simulator, script, tiers, streamed):
    """Other gateways never cool the last deployment down, and hammer it instead."""
    [only] = tiers("only")
    script(only={"status": 500})
    for _ in range(10):
        await ask([only], streamed=streamed)
    assert simulator.calls["total"] < 10
    failed = await ask([only], streamed=streamed)
    assert failed.tried.passed_over == (PassedOver("only", "left alone to recover"),)
    assert failed.tried.attempts == ()
    assert 0 < failed.retry_after_s <= 6
    assert "only: left alone to recover" in str(failed.error())


@either_way
async def test_a_tier_that_is_left_alone_costs_the_next_no_time(simulator, script, tiers, streamed):
    sick, well = tiers("sick", "well")
    script(sick={"status": 500})
    for _ in range(5):
        await ask([sick, well], streamed=streamed)
    outcome = await ask([sick, well], streamed=streamed)
    assert [attempt.tier for attempt in outcome.tried.attempts] == ["well"]


async def test_a_stream_that_breaks_off_after_its_beginning_is_no_success(script, tiers):
    """Elsewhere a 200 that began to speak counts as one."""
    [only] = tiers("only")
    script(only={"cut_after_tokens": 3})
    for _ in range(5):
        outcome = await ask([only], streamed=True)
        with pytest.raises(AttemptFailed):
            await gathered(outcome.stream.chunks())
    assert isinstance(await ask([only], streamed=True), Failed)


async def test_a_rate_limited_tier_is_left_alone_as_long_as_it_asked(simulator, script, tiers):
    first, second = tiers("first", "second")
    script(first={"status": 429, "retry_after_s": 107})
    await ask([first, second])
    before = simulator.calls["total"]
    outcome = await ask([first, second])
    assert [attempt.tier for attempt in outcome.tried.attempts] == ["second"]
    assert simulator.calls["total"] == before + 1
    assert first.health.retry_at("") - asyncio.get_running_loop().time() > 100


async def test_retries_overall_are_a_tenth_of_the_traffic(simulator, script, tiers):
    """Elsewhere retries times fallbacks multiply on a sick provider."""
    script(sick={"status": 500})
    cascade, requests = Cascade(NoJitter()), 60
    for _ in range(requests):
        [sick, well] = tiers("sick", "well")  # breakers of their own, which never have enough calls to open
        await ask([sick, well], cascade=cascade)
    sick_calls = simulator.calls["by_model"]["sick-model"]
    assert requests < sick_calls <= requests + SAVED + SHARE * requests
