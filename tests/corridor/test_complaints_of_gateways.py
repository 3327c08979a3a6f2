"""What users of other gateways complain of, each as a promise of this one; who complained stands in its docstring."""

from __future__ import annotations

import asyncio
import json

import pytest
from services import LIMIT, PARCEL, ended, events, running, text_of
from upstreams import delta, verbatim

# VERBATIM is filled in: a host that says what it is told, to those who ask as Anthropic's clients do and as OpenAI's.
SETTINGS = """
store: {url: "sqlite:///${FOLDER}/cache.db"}
index: {folder: "${FOLDER}/index"}
providers:
  host: {kind: openai, base_url: "${PROVIDER}", api_key: host-key-7f3a}
  other: {kind: openai, base_url: "${PROVIDER}", api_key: other-key-7f3a}
  anthropic: {kind: anthropic, base_url: VERBATIM, api_key: anthropic-key-7f3a}
  openai: {kind: openai, base_url: VERBATIM/v1}
tiers:
  strong: {provider: host, model: strong-model}
  cheap: {provider: other, model: cheap-model}
  third: {provider: other, model: third-model}
  fourth: {provider: other, model: fourth-model}
  paid: {provider: other, model: paid-model, price: {output_usd_per_mtok: 1.0e+6}}
  claude: {provider: anthropic, model: claude-model}
  gpt: {provider: openai, model: gpt-model}
routes:
  default: {tiers: [strong, cheap]}
  alone: {tiers: [strong]}
  four: {tiers: [strong, cheap, third, fourth]}
  ten-dollars: {tiers: [strong, paid], spending: {limit_usd: 10}}
  claude-first: {tiers: [claude, cheap]}
  claude-last: {tiers: [strong, claude]}
  gpt-first: {tiers: [gpt, cheap]}
  gpt-alone: {tiers: [gpt]}
"""
either_way = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])

SCHEMA = {
    "type": "object",
    "properties": {"limit": {"type": "integer"}},
    "required": ["limit"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
USAGE = {"input_tokens": 6, "output_tokens": 1}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-model", "usage": USAGE}
OPENING = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
TEXT_OPENING = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.fixture(scope="module")
def host():
    with verbatim() as host:
        yield host


@pytest.fixture(scope="module")
def service(host, tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), SETTINGS.replace("VERBATIM", host.url)) as service:
        yield service


def on_route(service, route):
    service.behaves()
    return service.asker(route=route)


def when(model, then, **calls):
    return {"when": {"model": f"{model}-model", "calls": calls}, "then": then}


def said_by_claude(text):
    return {**MESSAGE, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}


def said_by_gpt(finish_reason="stop", **message):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-model", "choices": [choice]}


def tier_of(response):
    assert response.status_code == 200, response.text
    return response.headers["x-cacheguard-tier"]


def attempts(asker, response):
    trace = asker.get(f"/admin/api/traces/{response.headers['x-request-id']}").json()
    return [(attempt["tier"], attempt["outcome"]) for attempt in trace["attempts"]]


def health(asker, name):
    return next(tier for tier in asker.get("/admin/api/tiers").json()["tiers"] if tier["name"] == name)


def finish_of(response):
    """Why the answer ended, streamed or not; None where nothing says so."""
    is_json = response.headers["content-type"].startswith("application/json")
    bodies = [response.json()] if is_json else events(response)
    reasons = [choice["finish_reason"] for body in bodies for choice in body.get("choices", ())]
    return next(filter(None, reasons), None)


@either_way
def test_a_model_that_is_down_is_left_alone_though_its_group_has_no_other(asker, provider, stream):
    """Seen in litellm (40405): a single deployment was never cooled down: 33 calls to a dead model for 11 requests."""
    provider.play(when("strong", {"status": 503}))
    answers = [asker.ask(f"What is {number} squared?", stream=stream) for number in range(11)]
    assert [tier_of(answer) for answer in answers] == ["cheap"] * 11
    assert provider.calls["by_model"] == {"strong-model": 5, "cheap-model": 11}


@pytest.mark.parametrize("hints", [(20, 170), (170, 20)], ids=str)
async def test_a_model_stays_away_as_long_as_the_longest_of_its_hints_says(service, asker, provider, hints):
    """Seen in litellm (40130): of two rate limits at once the second did not count, so that the shorter one held."""
    first, second = ({"status": 429, "retry_after_s": hint} for hint in hints)
    provider.play(when("strong", first, to=1), when("strong", second))
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(asker.body(LIMIT), asker.body(PARCEL)))
        await service.waits_for(lambda: service.waiting == 2)
    assert [tier_of(response) for response in await asking] == ["cheap"] * 2
    assert 160 < health(asker, "strong")["retry_in_s"] <= 170
    assert tier_of(asker.ask("And now?")) == "cheap"
    assert provider.calls["by_model"]["strong-model"] == 2


def test_the_newest_hint_is_the_one_that_counts(service):
    """Seen in litellm (20722): waits went by the first hint alone, so 107 s that were asked for became 9."""
    asker = on_route(service, "alone")
    first, second = {"status": 429, "retry_after_ms": 10}, {"status": 429, "retry_after_s": 107}
    service.provider.play(when("strong", first, to=1), when("strong", second))
    assert asker.ask().headers["retry-after"] == "107"
    assert 100 < int(asker.ask(PARCEL).headers["retry-after"]) <= 107
    assert service.provider.calls["total"] == 2


@either_way
def test_clients_are_told_when_to_come_back_though_no_model_was_asked(asker, provider, stream):
    """Seen in litellm (27823): while all deployments were cooling down, no Retry-After told clients how long."""
    provider.play({"status": 429, "retry_after_s": 170})
    for prompt in (LIMIT, PARCEL):
        refused = asker.ask(prompt, stream=stream)
        assert refused.status_code == 503
        assert 160 < int(refused.headers["retry-after"]) <= 170
    assert provider.calls["total"] == 2


@pytest.mark.parametrize("said", [(), (OPENING,), (OPENING, TEXT_OPENING)], ids=["alone", "opening", "text opening"])
def test_an_overload_inside_a_stream_fails_over_unseen(service, host, said):
    """Seen in litellm (6957, 5512): an overloaded_error inside a 200 went to the client, and no fallback was asked."""
    asker = on_route(service, "claude-first")
    host.streams(*said, OVERLOADED)
    answer = asker.ask(stream=True)
    assert tier_of(answer) == "cheap"
    assert ended(answer)
    assert "verloaded" not in answer.text
    assert asker.status() == "hit; ttl=86400; detail=exact"


def test_an_opening_and_then_an_error_is_no_success(service, host):
    """Seen in litellm (38610): a 200 with message_start and then an error was counted as a success."""
    asker = on_route(service, "claude-first")
    host.streams(OPENING, OVERLOADED)

    def counted(outcome):
        labels = {"route": "claude-first", "tier": "claude", "outcome": outcome}
        return service.metric("cacheguard_attempts_total", **labels)

    before = counted("answered"), counted("transport")
    answer = asker.ask(stream=True)
    assert attempts(asker, answer) == [("claude", "transport"), ("claude", "transport"), ("cheap", "answered")]
    assert (counted("answered"), counted("transport")) == (before[0], before[1] + 2)
    votes = health(asker, "claude")["last_minute"]
    assert (votes["well"], votes["transport"]) == (0, 2)


def test_an_end_without_a_reason_is_not_taken_for_a_good_one(asker, provider):
    """Seen in litellm (40260): a stream that was cut by a clean end of file got a finish_reason of stop."""
    provider.play(when("strong", {"no_end_marker": True}, to=1))
    cut = asker.ask(stream=True)
    assert events(cut)[-1]["error"]["code"] == "stream_broken"
    assert finish_of(cut) is None
    assert not ended(cut)
    assert attempts(asker, cut) == [("strong", "truncated")]
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


def test_an_error_behind_the_first_chunk_fails_over_like_one_before_it(asker, provider):
    """Seen in bifrost (5395): the first chunk settled it, and a spent quota told in the second became an error."""
    provider.play(when("strong", {"error_after_tokens": 0, "code": "insufficient_quota"}))
    answer = asker.ask(stream=True)
    assert attempts(asker, answer) == [("strong", "quota"), ("cheap", "answered")]
    assert ended(answer)
    assert "error" not in answer.text


def test_two_models_words_never_stand_in_one_answer(asker, provider):
    """Seen in caracal (344): behind the words of a model that broke off came the whole answer of the next."""
    provider.play(when("strong", {"text": "These are the words of one.", "cut_after_tokens": 3}))
    broken = asker.ask(stream=True)
    assert text_of(broken) == "These are the "
    assert events(broken)[-1]["error"]["code"] == "stream_broken"
    assert provider.calls["by_model"] == {"strong-model": 1}


@pytest.mark.parametrize("content", ["", " \n", None], ids=repr)
@pytest.mark.parametrize("beside", [{}, {"reasoning_content": "Let's see."}], ids=["alone", "reasoning"])
def test_an_answer_that_says_nothing_is_none(service, host, content, beside):
    """Seen in litellm (38199, 10144): an empty 200, or one with reasoning alone, was given as a success."""
    asker = on_route(service, "gpt-first")
    host.says(said_by_gpt(content=content, **beside))
    answer = asker.ask()
    assert attempts(asker, answer) == [("gpt", "empty"), ("cheap", "answered")]
    assert text_of(answer) != ""


def test_a_stream_that_says_nothing_is_none_either(asker, provider):
    """Seen in litellm (38199, 10144)."""
    provider.play(when("strong", {"text": ""}))
    assert attempts(asker, asker.ask(stream=True)) == [("strong", "empty"), ("cheap", "answered")]


def test_each_model_is_asked_by_its_own_name(service, host):
    """Seen in agentmemory (778): a fallback at another provider was asked for the first one's model, and had none."""
    asker = on_route(service, "claude-last")
    service.provider.play({"status": 429, "retry_after_s": 170})
    host.says(said_by_claude("In the app."))
    assert text_of(asker.ask(model="gpt-4o")) == "In the app."
    assert service.provider.calls["by_model"] == {"strong-model": 1}
    assert host.requests[-1][1]["model"] == "claude-model"


def test_a_free_models_paid_fallback_keeps_to_the_budget(service):
    """Seen in litellm (41344): the budget was looked at for the free model, and its fallback spent without end."""
    asker = on_route(service, "ten-dollars")
    five_dollars = {"text": "One two three four five."}
    service.provider.play(when("strong", {"status": 429}), when("paid", five_dollars))
    asked = [asker.ask(f"What is {number} squared?", max_tokens=5) for number in range(4)]
    assert [answer.status_code for answer in asked] == [200, 200, 503, 503]
    assert "paid: the monthly spending limit of route 'ten-dollars'" in asked[-1].json()["error"]["message"]
    assert service.provider.calls["by_model"]["paid-model"] == 2
    service.provider.play()
    assert tier_of(asker.ask(PARCEL, max_tokens=5)) == "strong"


def test_the_form_that_was_asked_for_holds_on_a_fallback_that_speaks_another_api(service, host):
    """Seen in litellm (16061): with a tool_choice of none, a fallback to another API gave no JSON."""
    asker = on_route(service, "claude-last")
    service.provider.play({"status": 503})
    asked = {"response_format": FORM, "tools": [], "tool_choice": "none"}
    host.says(said_by_claude('{"limit": 5}'))
    assert json.loads(text_of(asker.ask(LIMIT, **asked))) == {"limit": 5}
    assert host.requests[-1][1]["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    host.says(said_by_claude("Five."))
    assert asker.ask(PARCEL, **asked).status_code == 503


@either_way
@pytest.mark.parametrize("limit", [{}, {"max_completion_tokens": 16}], ids=["its own", "the client's"])
@pytest.mark.parametrize("text", ["", "In the"], ids=["before a word", "behind some"])
def test_an_answer_that_was_cut_is_given_as_such(service, host, text, limit, stream):
    """Seen in litellm (37710): where reasoning used up the limit, clients got a 500, or in a stream a stop."""
    asker = on_route(service, "gpt-alone")
    if stream:
        host.streams(delta(role="assistant", content=text), delta("length"), b"data: [DONE]")
    else:
        host.says(said_by_gpt("length", content=text))
    cut = asker.ask(stream=stream, **limit)
    assert cut.status_code == 200, cut.text
    assert (text_of(cut), finish_of(cut)) == (text, "length")
    host.says(said_by_gpt(content="In the app."))
    assert asker.status(**limit) == "fwd=miss; fwd-status=200; stored"


@either_way
def test_retries_and_fallbacks_together_are_four_calls(service, stream):
    """Seen in bifrost: retries were multiplied by fallbacks, to twelve calls for one request."""
    asker = on_route(service, "four")
    service.provider.play({"status": 500})
    failed = asker.ask(stream=stream)
    assert (failed.status_code, failed.headers["x-cacheguard-attempts"]) == (503, "4")
    assert service.provider.calls["by_model"] == {f"{name}-model": 1 for name in ("strong", "cheap", "third", "fourth")}
