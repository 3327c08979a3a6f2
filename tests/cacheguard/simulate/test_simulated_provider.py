"""Each kind of misbehaviour, over a real socket, as a plain HTTP client and OpenAI's own client see it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager

import httpx
import openai
import pytest
from servers import serve

from cacheguard.simulate import Answers, Script, simulated_provider

KNOWN = "Card limits change at once, and the app shows the new one."
ONE_HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def url():
    with serve(simulated_provider(Answers([("How do I raise my limit?", KNOWN)]))) as base:
        yield base


@pytest.fixture(scope="module")
def http(url):
    with httpx.Client(base_url=url, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def play(http):
    """Replace the script by these rules."""

    def put(*rules, **rest):
        http.put("/_simulate/script", json={"rules": rules, **rest}).raise_for_status()

    put()
    return put


def body(prompt="How do I raise my limit?", *, stream=False, model="simulated", **rest):
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream, **rest}


def ask(http, prompt="How do I raise my limit?", **rest):
    return http.post("/v1/chat/completions", json=body(prompt, **rest))


def text(response):
    return response.json()["choices"][0]["message"]["content"]


def events(response):
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


@contextmanager
def streamed(http, **rest):
    with http.stream("POST", "/v1/chat/completions", json=body(stream=True, **rest)) as response:
        yield response


def calls(http):
    return http.get("/_simulate/calls").json()


def wait_for(http, **expected):
    """Ask until the counts are these: every question gives the server a turn of its loop."""
    assert any(expected.items() <= calls(http).items() for _ in range(5000)), calls(http)


@asynccontextmanager
async def waiting_clients(url, count):
    """So many clients under way with a question, gone at the end."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        tasks = [asyncio.create_task(client.post("/v1/chat/completions", json=body())) for _ in range(count)]
        while (await client.get("/_simulate/calls")).json()["in_flight"] < count:
            pass
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_known_prompt_gets_its_answer_whatever_its_case_and_blanks(http, play):
    assert text(ask(http, "  how do i RAISE\n my limit? ")) == KNOWN


def test_an_unknown_prompt_gets_a_text_of_its_own_and_always_the_same(http, play):
    first, again, other = (text(ask(http, prompt)) for prompt in ("Why is it blue?", "why is it  blue?", "And?"))
    assert first == again != other
    assert "why is it blue?" in first


def test_the_prompt_is_the_last_user_message_with_its_text_parts_joined(http, play):
    messages = [
        {"role": "system", "content": "You are a bank."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "How do I raise my limit?"}]},
        {"role": "assistant", "content": None},
    ]
    asked = {"model": "simulated", "messages": messages}
    assert text(http.post("/v1/chat/completions", json=asked)) == KNOWN


def test_openais_client_reads_a_plain_answer_and_its_usage(client, play):
    completion = client.chat.completions.create(**body())
    assert completion.choices[0].message.content == KNOWN
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.prompt_tokens == 6
    assert completion.usage.completion_tokens == len(KNOWN.split())
    assert completion.usage.total_tokens == 6 + len(KNOWN.split())


def test_openais_client_reads_a_stream_and_the_usage_it_asked_for(client, play):
    chunks = list(client.chat.completions.create(**body(stream=True, stream_options={"include_usage": True})))
    *answering, usage = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in answering) == KNOWN
    assert answering[-1].choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage.completion_tokens == len(KNOWN.split())
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_a_stream_without_include_usage_has_no_usage(http, play):
    assert "usage" not in ask(http, stream=True).text


def test_models_are_those_of_the_script_and_others_are_answered_too(http, client, play):
    play(models=["large", "small"])
    assert [model.id for model in client.models.list()] == ["large", "small"]
    assert text(ask(http, model="neither")) == KNOWN


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"{", None),
        (b"\xff\xfe\xfa", None),
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": []}', "messages"),
        (b'{"model": "m", "messages": ["hello"]}', "messages"),
    ],
)
def test_a_bad_request_is_refused_in_openais_words(http, play, content, param):
    refused = http.post("/v1/chat/completions", content=content)
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"
    assert refused.json()["error"]["param"] == param
    assert calls(http)["total"] == 0


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", openai.BadRequestError),
        (401, "authentication_error", openai.AuthenticationError),
        (429, "rate_limit_error", openai.RateLimitError),
        (500, "server_error", openai.InternalServerError),
        (529, "server_error", openai.InternalServerError),
    ],
)
def test_an_error_status_has_openais_body(client, play, status, kind, error):
    play({"then": {"status": status, "message": "Enough.", "code": "because"}})
    with pytest.raises(error) as raised:
        client.chat.completions.create(**body())
    assert raised.value.status_code == status
    assert raised.value.body == {"message": "Enough.", "type": kind, "param": None, "code": "because"}


def test_a_rate_limit_says_when_to_come_back(http, play):
    play({"then": {"status": 429, "type": "tokens", "retry_after_s": 2, "retry_after_ms": 3_600_000.5}})
    limited = ask(http)
    assert limited.headers["retry-after"] == "2"
    assert limited.headers["retry-after-ms"] == "3600000.5"
    assert limited.json()["error"]["type"] == "tokens"


def test_a_reset_closes_the_connection_without_a_response(http, client, play):
    play({"then": {"connection": "reset"}})
    with pytest.raises(httpx.ReadError, match="reset"):
        ask(http)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**body())


async def test_a_hang_answers_nothing_until_the_client_leaves(url, http, play):
    play({"then": {"connection": "hang"}})
    async with waiting_clients(url, 1):
        assert calls(http)["cancelled"] == 0
    wait_for(http, in_flight=0, cancelled=1)


def test_a_cut_stream_breaks_off_after_its_tokens(http, play):
    play({"then": {"cut_after_tokens": 3}})
    parts = []
    with streamed(http) as response, pytest.raises(httpx.RemoteProtocolError):
        parts.extend(response.iter_raw())
    received = b"".join(parts)
    assert received.count(b"data: ") == 1 + 3
    assert b'"limits "' in received
    assert b"[DONE]" not in received


def test_a_cut_plain_answer_ends_within_its_body(http, play):
    play({"then": {"cut_after_tokens": 0}})
    with pytest.raises(httpx.RemoteProtocolError):
        ask(http)


def test_a_stream_without_end_marker_ends_cleanly_and_says_nothing_of_it(http, play):
    play({"then": {"no_end_marker": True}})
    *_, last = events(ask(http, stream=True))
    assert json.loads(last)["choices"][0]["delta"] == {"content": "one."}
    assert '"finish_reason":"' not in ask(http, stream=True).text
    assert ask(http).json()["choices"][0]["finish_reason"] is None


def test_an_error_inside_a_stream_reaches_openais_client_as_an_error(client, play):
    play({"then": {"error_after_tokens": 2, "message": "Overloaded."}})
    received = []
    with pytest.raises(openai.APIError, match="Overloaded"):
        received.extend(client.chat.completions.create(**body(stream=True)))
    with pytest.raises(openai.InternalServerError, match="Overloaded"):
        client.chat.completions.create(**body())


@pytest.mark.parametrize(("kind", "start"), [("html", "<!doctype"), ("broken_json", '{"id"'), ("other_json", "{")])
@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_a_200_that_is_no_completion(http, play, kind, start, stream):
    play({"then": {"garbage": kind}})
    response = ask(http, stream=stream)
    assert response.status_code == 200
    assert response.text.startswith(start)
    assert "choices" not in response.text


@pytest.mark.parametrize("blank", ["", "  \n"])
def test_an_empty_answer_has_a_normal_end(http, client, play, blank):
    play({"then": {"text": blank}})
    assert text(ask(http)) == blank
    chunks = list(client.chat.completions.create(**body(stream=True)))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == blank
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_refusal_stands_in_its_own_field(client, play):
    play({"then": {"refusal": "I can't help with that."}})
    message = client.chat.completions.create(**body()).choices[0].message
    assert (message.content, message.refusal) == (None, "I can't help with that.")
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**body(stream=True))]
    assert "".join(delta.refusal or "" for delta in deltas) == "I can't help with that."
    assert not any(delta.content for delta in deltas)


@pytest.mark.parametrize("stream", [False, True])
def test_a_truncated_answer_says_length(http, play, stream):
    play({"then": {"truncate_after_tokens": 2}})
    response = ask(http, stream=stream)
    assert '"finish_reason":"length"' in response.text
    assert "limits" in response.text
    assert "change" not in response.text


@pytest.mark.parametrize("reason", ["content_filter", "something_new", None])
@pytest.mark.parametrize("stream", [False, True])
def test_a_finish_reason_is_whatever_the_script_says(http, play, reason, stream):
    play({"then": {"finish_reason": reason}})
    response = ask(http, stream=stream)
    last = json.loads(events(response)[-2]) if stream else response.json()
    assert last["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(("pause", "arrived"), [("first_token_ms", 1), ("between_tokens_ms", 2)])
def test_a_pause_in_a_stream_lets_through_only_what_lies_before_it(http, play, pause, arrived):
    play({"then": {pause: ONE_HOUR_MS}})
    with streamed(http) as response:
        events = response.iter_lines()
        received = [line for line in (next(events) for _ in range(2 * arrived)) if line]
        assert len(received) == arrived
        assert calls(http)["in_flight"] == 1


@pytest.mark.parametrize("pause", ["latency_ms", "first_token_ms", "between_tokens_ms"])
def test_a_plain_answer_waits_for_all_pauses_of_its_stream(http, play, pause):
    play({"then": {pause: ONE_HOUR_MS}})
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body(), timeout=0.05)


def test_short_pauses_end(http, play):
    play({"then": {"latency_ms": 1, "first_token_ms": {"median": 1, "p99": 2}, "between_tokens_ms": 0.1}})
    assert text(ask(http)) == KNOWN
    assert events(ask(http, stream=True))[-1] == "[DONE]"


def test_a_client_that_leaves_in_the_middle_is_counted_as_cancelled(http, play):
    play({"then": {"between_tokens_ms": ONE_HOUR_MS}})
    with streamed(http) as response:
        parts = response.iter_raw()
        next(parts)
        wait_for(http, in_flight=1, cancelled=0)
    wait_for(http, in_flight=0, cancelled=1)


def test_calls_are_counted_by_model_with_their_bodies(http, play):
    ask(http, "one", model="large")
    ask(http, "two", model="small")
    ask(http, "three", model="small")
    seen = calls(http)
    assert (seen["total"], seen["by_model"]) == (3, {"large": 1, "small": 2})
    assert [asked["messages"][0]["content"] for asked in seen["bodies"]] == ["one", "two", "three"]
    assert http.post("/_simulate/reset").status_code == 204
    assert calls(http) == {
        "total": 0,
        "by_model": {},
        "in_flight": 0,
        "peak": 0,
        "cancelled": 0,
        "bodies": [],
    }


async def test_the_peak_is_how_many_calls_were_in_flight_at_once(url, http, play):
    play({"then": {"connection": "hang"}})
    async with waiting_clients(url, 4):
        pass
    wait_for(http, in_flight=0, peak=4, total=4)


def test_a_script_can_be_replaced_as_yaml_and_a_wrong_one_changes_nothing(http, play):
    http.put("/_simulate/script", content="rules:\n- then: {text: from YAML}\n")
    assert text(ask(http)) == "from YAML"
    refused = http.put("/_simulate/script", json={"rules": [{"then": {"latency": 3}}]})
    assert refused.status_code == 400
    assert "the body: rules.0.then.latency: no such key; known: latency_ms" in refused.json()["error"]["message"]
    assert text(ask(http)) == "from YAML"


def test_a_reset_lets_the_script_begin_anew(http, play):
    play({"when": {"calls": {"to": 1}}, "then": {"status": 500}})
    assert [ask(http).status_code for _ in range(2)] == [500, 200]
    http.post("/_simulate/reset")
    assert [ask(http).status_code for _ in range(2)] == [500, 200]


def test_a_provider_starts_with_the_script_it_is_given():
    script = Script.model_validate({"rules": [{"then": {"text": "scripted"}}]})
    with serve(simulated_provider(Answers(), script)) as base, httpx.Client(base_url=base) as http:
        assert text(ask(http)) == "scripted"


def test_a_prompt_that_no_encoding_can_hold_is_answered(http, play):
    raw = b'{"model": "m", "messages": [{"role": "user", "content": "half a pair: \\ud83d"}]}'
    assert "half a pair" in text(http.post("/v1/chat/completions", content=raw))
