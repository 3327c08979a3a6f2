"""Every request leaves a trace: its steps, the tiers that were asked and left alone, and what it came to."""

from __future__ import annotations

import asyncio
import json

import pytest
from services import CHAT, LIMIT_AGAIN, PARCEL, id_of
from upstreams import ONE_HOUR_MS

SETTINGS = """
store: {url: "sqlite:///${FOLDER}/cache.db"}
index: {folder: "${FOLDER}/index"}
providers:
  host: {kind: openai, base_url: "${PROVIDER}", api_key: host-key-7f3a}
tiers:
  strong: {provider: host, model: strong-model, price: {input_usd_per_mtok: 1000, output_usd_per_mtok: 2000}}
  cheap: {provider: host, model: cheap-model}
routes:
  default: {tiers: [strong, cheap], cache: {ttl_s: 100, stale_while_revalidate_s: 0, stale_if_error_s: 1000}}
"""
either_way = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def trace_of(asker, response):
    """By its request's id, which every response has."""
    found = asker.get(f"/admin/api/traces/{response.headers['x-request-id']}")
    assert found.status_code == 200, found.text
    return found.json()


def newest(asker, limit=1):
    return asker.get("/admin/api/traces", params={"limit": limit}).json()["traces"]


def passed_over(trace):
    return [passed["tier"] for passed in trace["passed_over"]]


def attempts(trace):
    return [(attempt["tier"], attempt["outcome"], attempt["status"]) for attempt in trace["attempts"]]


def steps(trace):
    return [step["name"] for step in trace["steps"]]


@either_way
def test_a_miss_tells_its_steps_who_answered_and_what_it_cost(asker, stream):
    answer = asker.ask(stream=stream)
    trace = trace_of(asker, answer)
    assert trace["id"] == answer.headers["x-request-id"]
    assert trace["completion_id"] == id_of(answer)
    assert (trace["route"], trace["outcome"], trace["tier"]) == ("default", "miss", "strong")
    assert trace["cache_status"] == "cacheguard; fwd=miss; fwd-status=200; stored"
    assert steps(trace)[:4] == ["exact", "vector", "neighbours", "decide"]
    assert attempts(trace) == [("strong", "answered", None)]
    assert trace["attempts"][0]["model"] == "strong-model"
    assert trace["cost_usd"] == trace["attempts"][0]["cost_usd"] > 0
    assert trace["passed_over"] == []
    assert trace["ms"] >= sum(step["ms"] for step in trace["steps"]) > 0
    assert trace["time"].endswith("+00:00")


@either_way
def test_a_hit_tells_how_near_the_question_was(asker, stream):
    asker.ask()
    exact, near = asker.ask(stream=stream), asker.ask(LIMIT_AGAIN, stream=stream)
    assert trace_of(asker, exact)["outcome"] == "hit-exact"
    assert steps(trace_of(asker, exact)) == ["exact", "decide"]
    trace = trace_of(asker, near)
    assert trace["outcome"] == "hit-semantic"
    assert trace["entry"] == near.headers["x-cacheguard-entry"]
    assert f"{trace['similarity']:.4f}" == near.headers["x-cacheguard-similarity"]
    assert trace["attempts"] == []


def test_a_trace_is_found_by_the_completions_id_too(asker):
    answer = asker.ask()
    assert asker.get(f"/admin/api/traces/{id_of(answer)}").json() == trace_of(asker, answer)


def test_a_clients_own_request_id_finds_it_whatever_it_looks_like(service, asker):
    own = service.asker(X_Request_Id="a/b?c=%20;d")
    own.ask()
    assert asker.get("/admin/api/traces/a%2Fb%3Fc=%2520;d").json()["id"] == "a/b?c=%20;d"


@either_way
def test_all_attempts_are_told_in_their_order(asker, provider, stream):
    provider.play({"when": {"model": "strong-model"}, "then": {"status": 429, "retry_after_s": 170}})
    assert attempts(trace_of(asker, asker.ask(stream=stream))) == [
        ("strong", "rate_limit", 429),
        ("cheap", "answered", None),
    ]


@either_way
def test_a_failed_request_tells_what_was_tried_and_what_it_cost(asker, provider, stream):
    provider.play(
        {"when": {"model": "strong-model"}, "then": {"text": ""}},
        {"when": {"model": "cheap-model"}, "then": {"status": 429, "retry_after_s": 170}},
    )
    failed = asker.ask(stream=stream)
    assert failed.status_code == 503
    assert failed.headers["cache-status"] == "cacheguard; fwd=miss"
    assert failed.headers["x-cacheguard-attempts"] == "2"
    trace = trace_of(asker, failed)
    assert (trace["outcome"], trace["route"]) == ("all_tiers_failed", "default")
    assert attempts(trace) == [("strong", "empty", None), ("cheap", "rate_limit", 429)]
    assert trace["cache_status"] == failed.headers["cache-status"]
    assert float(failed.headers["x-cacheguard-cost-usd"]) == trace["cost_usd"]


@either_way
def test_tiers_that_were_left_alone_are_named(asker, provider, stream):
    provider.play({"when": {"model": "strong-model"}, "then": {"status": 429, "retry_after_s": 170}})
    asker.ask()
    answered = trace_of(asker, asker.ask(PARCEL, stream=stream))
    assert (attempts(answered), passed_over(answered)) == ([("cheap", "answered", None)], ["strong"])
    provider.play({"status": 429, "retry_after_s": 170})
    failed = trace_of(asker, asker.ask("And now?", stream=stream))
    assert (attempts(failed), passed_over(failed)) == ([("cheap", "rate_limit", 429)], ["strong"])


def test_a_stale_answer_tells_which_tiers_failed_before(service, asker, provider):
    asker.ask()
    service.clock.passes(200)
    provider.play({"status": 401})
    stale = asker.ask()
    trace = trace_of(asker, stale)
    assert (trace["outcome"], attempts(trace)) == ("hit-exact-stale", [("strong", "auth", 401)])
    assert passed_over(trace) == ["cheap"]
    assert stale.headers["x-cacheguard-attempts"] == "1"


@pytest.mark.parametrize("then", [{"cut_after_tokens": 3}, {"error_after_tokens": 3}])
def test_a_stream_that_breaks_tells_so_at_its_end(asker, provider, then):
    provider.play(then)
    trace = trace_of(asker, asker.ask(stream=True))
    assert trace["outcome"] == "stream_broken"
    assert attempts(trace) == [("strong", "transport", None)]
    assert trace["ms"] > 0


async def test_a_stream_under_way_is_there_already_and_one_that_is_left_says_so(service, asker, provider):
    provider.play({"between_tokens_ms": ONE_HOUR_MS})
    async with asker.at_once() as http, http.stream("POST", CHAT, json=asker.body(stream=True)) as response:
        lines = response.aiter_lines()  # whoever drops it hangs up
        await anext(lines)
        under_way = await asyncio.to_thread(trace_of, asker, response)
    assert (under_way["outcome"], under_way["ms"]) == ("miss", None)
    await service.waits_for(lambda: trace_of(asker, response)["ms"])
    assert trace_of(asker, response)["outcome"] == "client_gone"
    await provider.wait_for(in_flight=0, cancelled=1)


@either_way
async def test_a_client_that_leaves_before_the_first_word_is_told_of_too(service, asker, provider, stream):
    provider.play({"latency_ms": ONE_HOUR_MS})
    async with asker.at_once() as http:
        asking = asyncio.create_task(http.post(CHAT, json=asker.body(stream=stream)))
        await provider.wait_for(in_flight=1)
        asking.cancel()
        await asyncio.wait([asking])
    await service.waits_for(lambda: newest(asker)[0]["ms"])
    assert newest(asker)[0]["outcome"] == "client_gone"


def test_what_never_reaches_a_tier_says_why(asker):
    asked_for = asker.ask(cache_control="only-if-cached")
    assert asked_for.headers["cache-status"] == "cacheguard; detail=only-if-cached"
    assert trace_of(asker, asked_for)["outcome"] == "not_in_cache"
    unknown = asker.post(CHAT, json=asker.body(), headers={"X-CacheGuard-Route": "nope"})
    assert trace_of(asker, unknown)["outcome"] == "route_not_found"
    assert "cache-status" not in unknown.headers


def test_a_request_past_the_cache_says_so(asker):
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    assert (
        trace_of(asker, asker.ask(tools=tools))["cache_status"]
        == "cacheguard; fwd=bypass; fwd-status=200; detail=tools"
    )


def test_the_list_begins_with_the_newest(asker):
    answers = [asker.ask(f"What is {number} squared?") for number in range(3)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [trace["id"] for trace in newest(asker, 3)] == ids[::-1]
    assert newest(asker, 0) == []


@pytest.mark.parametrize("limit", ["all", "-1", "1.5", "", "9" * 5000])
def test_a_limit_that_is_none_is_refused(asker, limit):
    refused = asker.get("/admin/api/traces", params={"limit": limit})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "limit"


def test_an_unknown_id_is_refused(asker):
    unknown = asker.get("/admin/api/traces/req_nobodys")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "trace_not_found"


def test_no_text_stands_in_a_trace(asker, provider):
    provider.play({"text": "ANSWERMARK"})
    asker.ask("How is PROMPTMARK?")
    asker.ask("How is PROMPTMARK?", stream=True)
    provider.play({"status": 400, "message": "PROMPTMARK is too long"})
    asker.ask("Who is PROMPTMARK?")
    shown = json.dumps(newest(asker, 3))
    assert "bad_request" in shown
    assert "MARK" not in shown
