"""Strategies as a client meets them: who answers, what is kept, and what is said of those that were not asked."""

from __future__ import annotations

import asyncio

import pytest
from services import CHAT, LIMIT, PLACES, cache_status, ended, text_of
from upstreams import ONE_HOUR_MS

SETTINGS = (
    PLACES
    + """
tiers:
  small: {provider: host, model: small-model, price: {input_usd_per_mtok: 10, output_usd_per_mtok: 10}}
  large: {provider: host, model: large-model, price: {input_usd_per_mtok: 90, output_usd_per_mtok: 90}}
  other: {provider: host, model: other-model, price: {input_usd_per_mtok: 50, output_usd_per_mtok: 50}}
  blind: {provider: host, model: blind-model, can: [json_schema, tools]}
  brief: {provider: host, model: brief-model, adapt: {history_turns: 1}}
  here: {provider: host, model: here-model}
  there: {provider: host, model: there-model}
  sorry: {template: "Please call {phone}, {hours}."}
routes:
  default: {tiers: [small, large]}
  weighted: {tiers: [small, large], strategy: {weighted: {small: 1, large: 1}}}
  canary: {tiers: [small, large], strategy: {canary: {tier: large, share: 0.5}}}
  cheapest: {tiers: [large, other, small], strategy: cheapest}
  fastest: {tiers: [here, there], strategy: fastest}
  escalate: {tiers: [small, large], strategy: escalate, validate: [not_empty, length: {min_chars: 20}]}
  hedge: {tiers: [small, large], strategy: {hedge: {after_ms: 1}}}
  ensemble: {tiers: [small, other, large, brief], strategy: ensemble}
  buffered: {tiers: [small, large], stream: buffered, validate: [not_empty, forbidden: {words: [Acme]}]}
  giving: {tiers: [small, large], on_refusal: give}
  passing: {tiers: [small, large], on_content_filter: next}
  template: {tiers: [small, sorry], variables: {phone: "110", hours: day and night}}
  short: {tiers: [small, sorry], variables: {phone: "112", hours: at night}}
  seeing: {tiers: [blind, large]}
  briefly: {tiers: [brief]}
  poor: {tiers: [large, other], max_cost_usd: 0.000001}
  thrifty: {tiers: [large, small], max_cost_usd: 0.01}
  once: {tiers: [small, large, other], max_attempts: 2}
"""
)
HANGS = {"connection": "hang"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/receipt.png"}}
FILTERED = {"finish_reason": "content_filter", "text": "Only so much"}
HISTORY = [
    {"role": "user", "content": "Do you have branches?"},
    {"role": "assistant", "content": "Some."},
    {"role": "user", "content": LIMIT},
]

either_way = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@pytest.fixture
def on(service, asker):
    """Somebody who asks a route, of a provider that behaves."""

    def route(name):
        return service.asker(route=name)

    return route


@pytest.fixture
def script(provider):
    """Scripts what the tier of each name does; the others answer."""

    def play(**then_by_tier):
        provider.play(*({"when": {"model": f"{name}-model"}, "then": then} for name, then in then_by_tier.items()))

    return play


def tier_of(response):
    assert response.status_code == 200, response.text
    return response.headers["x-cacheguard-tier"]


def trace_of(asker, response):
    return asker.get(f"/admin/api/traces/{response.headers['x-request-id']}").json()


def tried(trace):
    return [(attempt["tier"], attempt["outcome"]) for attempt in trace["attempts"]]


@pytest.mark.parametrize("route", ["weighted", "canary"])
def test_conversations_are_shared_out_and_keep_their_tier(on, provider, route):
    asker = on(route)
    prompts = [f"What is fee number {number}?" for number in range(12)]
    first = {prompt: tier_of(asker.ask(prompt, cache_control="no-store")) for prompt in prompts}
    assert set(first.values()) == {"small", "large"}
    for prompt, tier in first.items():
        follow_up = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": "Two euros."},
            {"role": "user", "content": "And abroad?"},
        ]
        assert tier_of(asker.ask(follow_up, cache_control="no-store")) == tier


@either_way
def test_a_tier_whose_turn_it_is_and_that_fails_is_followed_by_the_other(on, script, stream):
    script(small={"text": ""})
    assert {tier_of(on("weighted").ask(f"Question {n}?", stream=stream)) for n in range(6)} == {"large"}


def test_the_cheapest_tier_answers_most_questions(on):
    asker = on("cheapest")
    # The others are tried out by a few per cent: that these are more than half is less likely than one in 10^13.
    tiers = [tier_of(asker.ask(f"Question {number}?")) for number in range(20)]
    assert tiers.count("small") > 5


def test_the_fastest_tier_is_found_by_asking_them_all(on, provider):
    asker = on("fastest")
    for number in range(20):
        asker.ask(f"Question {number}?")
    assert provider.calls["by_model"].keys() == {"here-model", "there-model"}


@either_way
def test_what_the_small_model_says_wrong_the_large_one_answers_unseen(on, script, stream):
    script(small={"text": "No idea."}, large={"text": "Open the card settings and raise it."})
    asker = on("escalate")
    answer = asker.ask(stream=stream)
    assert (tier_of(answer), text_of(answer)) == ("large", "Open the card settings and raise it.")
    assert answer.headers["x-cacheguard-attempts"] == "2"
    assert "hit" in asker.status()


@either_way
def test_a_silent_tier_is_overtaken_and_its_cost_is_told(on, provider, script, stream):
    script(small={"first_token_ms": ONE_HOUR_MS} if stream else HANGS)
    asker = on("hedge")
    answer = asker.ask(stream=stream)
    assert (tier_of(answer), bool(text_of(answer))) == ("large", True)
    trace = trace_of(asker, answer)
    assert tried(trace) == [("small", "abandoned"), ("large", "answered")]
    assert all(attempt["cost_usd"] > 0 for attempt in trace["attempts"])
    assert "hit" in asker.status()


async def test_a_client_that_leaves_a_race_ends_both_calls(on, provider, script):
    script(small=HANGS, large=HANGS)
    asker = on("hedge")
    async with asker.at_once() as http:
        asking = asyncio.create_task(http.post(CHAT, json=asker.body()))
        await provider.wait_for(in_flight=2)
        asking.cancel()
        await asyncio.wait([asking])
        await provider.wait_for(in_flight=0, cancelled=2)


@either_way
def test_an_ensemble_gives_what_most_of_its_models_say(on, provider, script, stream):
    script(small={"text": '{"eur": 3}'}, other={"text": '{"eur": 2}'}, large={"text": '{"eur":2}'})
    asker = on("ensemble")
    answer = asker.ask(stream=stream)
    assert tier_of(answer) in {"other", "large"}
    assert text_of(answer).replace(" ", "") == '{"eur":2}'
    assert [attempt["tier"] for attempt in trace_of(asker, answer)["attempts"]] == ["small", "other", "large"]
    assert "hit" in asker.status()


def test_prose_is_compared_by_the_services_own_model(on, script):
    same, again = "Limits are raised in the app.", "You can raise limits in the app."
    script(small={"text": "Our cafeteria serves soup."}, other={"text": same}, large={"text": again})
    assert tier_of(on("ensemble").ask()) in {"other", "large"}


def test_where_models_contradict_each_other_the_tier_behind_them_answers(on, script):
    script(**{name: {"text": f'{{"eur": {place}}}'} for place, name in enumerate(("small", "other", "large"))})
    answer = on("ensemble").ask()
    assert (tier_of(answer), answer.headers["x-cacheguard-attempts"]) == ("brief", "4")


@pytest.mark.parametrize(
    "then", [{"text": "An Acme card."}, {"cut_after_tokens": 3}, {"error_after_tokens": 3}], ids=str
)
def test_a_buffered_stream_whose_answer_fails_falls_over_to_the_next_tier_unseen(on, script, then):
    script(small=then, large={"text": "Open the card settings."})
    asker = on("buffered")
    answer = asker.ask(stream=True)
    assert (text_of(answer), ended(answer), tier_of(answer)) == ("Open the card settings.", True, "large")
    assert "hit" in asker.status(stream=True)


@either_way
def test_a_buffered_stream_that_nobody_can_fill_is_an_error_and_no_stream(on, script, stream):
    script(small={"text": "An Acme card."}, large={"text": "Acme again."})
    answer = on("buffered").ask(stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "all_tiers_failed")


def test_a_refusal_goes_to_the_next_tier_or_is_given_as_the_route_says(on, provider, script):
    script(small={"refusal": "No, never."})
    assert tier_of(on("default").ask()) == "large"
    giving = on("giving")
    answer = giving.ask()
    assert answer.json()["choices"][0]["message"]["refusal"] == "No, never."
    assert (tier_of(answer), answer.headers["x-cacheguard-attempts"]) == ("small", "1")
    assert "stored" not in cache_status(answer)


def test_what_a_filter_stopped_is_given_or_goes_to_the_next_tier_as_the_route_says(on, script):
    script(small=FILTERED)
    given = on("default").ask()
    assert (tier_of(given), given.json()["choices"][0]["finish_reason"]) == ("small", "content_filter")
    assert tier_of(on("passing").ask()) == "large"
    script(small=FILTERED, large={"status": 402})
    assert text_of(on("passing").ask()) == "Only so much"


@either_way
def test_a_template_says_what_its_route_says(on, provider, stream):
    provider.play({"status": 402})
    answer = on("template").ask(stream=stream)
    assert (tier_of(answer), text_of(answer)) == ("sorry", "Please call 110, day and night.")
    assert text_of(on("short").ask(stream=stream)) == "Please call 112, at night."


@either_way
def test_a_picture_is_sent_only_to_a_model_that_reads_it(on, provider, stream):
    asker = on("seeing")
    turn = {"role": "user", "content": [{"type": "text", "text": "What does this receipt say?"}, PICTURE]}
    answer = asker.ask([turn], stream=stream)
    assert tier_of(answer) == "large"
    assert trace_of(asker, answer)["passed_over"] == [{"tier": "blind", "why": "reads no images"}]
    assert provider.calls["by_model"] == {"large-model": 1}


def test_an_answer_to_a_shortened_history_is_given_and_not_kept(on, provider):
    asker = on("briefly")
    assert tier_of(asker.ask(HISTORY)) == "brief"
    assert provider.calls["bodies"][0]["messages"] == HISTORY[-1:]
    assert asker.status(HISTORY) == "fwd=miss; fwd-status=200"
    assert "stored" in asker.status(HISTORY[-1:])


def test_a_request_that_no_tier_may_be_paid_for_is_refused_with_the_reason(on, provider):
    answer = on("poor").ask(max_tokens=1000)
    assert answer.status_code != 200
    assert "cost" in answer.json()["error"]["message"]
    assert provider.calls["total"] == 0


def test_a_tier_that_is_too_dear_for_one_request_is_passed_over(on, provider):
    asker = on("thrifty")
    answer = asker.ask(max_tokens=300)
    assert tier_of(answer) == "small"
    assert trace_of(asker, answer)["passed_over"] == [{"tier": "large", "why": "the request's cost budget"}]


@either_way
def test_a_route_says_how_many_calls_one_answer_may_take(on, provider, stream):
    provider.play({"text": ""})
    answer = on("once").ask(stream=stream)
    assert (answer.status_code, answer.headers["x-cacheguard-attempts"]) == (503, "2")
    assert "other: enough was tried" in answer.json()["error"]["message"]
