"""Anthropic's and Gemini's formats as the simulated provider writes them, seen by a plain HTTP client."""

from __future__ import annotations

import json

import httpx
import pytest
from servers import serve

from cacheguard.simulate import Answers, simulated_provider

KNOWN = "Card limits change at once."
PROMPT = "How do I raise my limit?"
MODEL = "/v1beta/models/gemini-large:"
WORDS = ["Card ", "limits ", "change ", "at ", "once."]


@pytest.fixture(scope="module")
def http():
    with (
        serve(simulated_provider(Answers([(PROMPT, KNOWN)]))) as url,
        httpx.Client(base_url=url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def play(http):
    """Replace the script by one rule for every call."""

    def put(**then):
        http.put("/_simulate/script", json={"rules": [{"then": then}]}).raise_for_status()

    put()
    return put


def messages(http, **rest):
    asked = {"role": "user", "content": [{"type": "text", "text": PROMPT}]}
    return http.post(
        "/v1/messages",
        json={"model": "claude-large", "max_tokens": 9, "system": "You are a bank.", "messages": [asked], **rest},
    )


def generate(http, *, stream=False):
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    system = {"parts": [{"text": "You are a bank."}]}
    asked = {"role": "user", "parts": [{"text": PROMPT}]}
    return http.post(MODEL + method, json={"systemInstruction": system, "contents": [asked]})


def events(response):
    """The events of a stream as (name, data)."""
    for event in response.text.split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in event.split("\n"))
        yield lines.get("event"), json.loads(lines["data"])


def test_a_message_has_anthropics_shape(http, play):
    body = messages(http).json()
    assert body.pop("id").startswith("msg_")
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "claude-large",
        "content": [{"type": "text", "text": KNOWN}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 4 + 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 5,
        },
    }


def test_a_stream_of_messages_has_anthropics_events_in_their_order(http, play):
    said = list(events(messages(http, stream=True)))
    assert all(name == data["type"] for name, data in said)
    assert [name for name, _ in said] == [
        "message_start",
        "ping",
        "content_block_start",
        *["content_block_delta"] * 5,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [data["delta"]["text"] for _, data in said if "text" in data.get("delta", {})] == WORDS
    assert said[0][1]["message"]["stop_reason"] is None
    assert said[-2][1]["delta"]["stop_reason"] == "end_turn"
    assert said[-2][1]["usage"] == {"output_tokens": 5}


def test_content_has_geminis_shape(http, play):
    body = generate(http).json()
    assert body.pop("responseId")
    assert body == {
        "candidates": [
            {"content": {"parts": [{"text": KNOWN}], "role": "model"}, "index": 0, "finishReason": "STOP"},
        ],
        "modelVersion": "gemini-large",
        "usageMetadata": {"promptTokenCount": 4 + 6, "candidatesTokenCount": 5, "totalTokenCount": 15},
    }


def test_a_stream_of_content_is_whole_shapes_of_which_the_last_one_says_why_it_ends(http, play):
    candidates = [data["candidates"][0] for _, data in events(generate(http, stream=True))]
    assert [candidate["content"]["parts"][0]["text"] for candidate in candidates] == [*WORDS, ""]
    assert [candidate.get("finishReason") for candidate in candidates] == [None] * 5 + ["STOP"]


def test_content_is_generated_in_every_version(http, play):
    asked = {"contents": [{"parts": [{"text": PROMPT}]}]}
    for version in ("v1", "v1beta"):
        body = http.post(f"/{version}/models/gemini-large:generateContent", json=asked).json()
        assert body["candidates"][0]["content"]["parts"] == [{"text": KNOWN}]


@pytest.mark.parametrize(
    ("said", "anthropics", "geminis"),
    [
        ("length", "max_tokens", "MAX_TOKENS"),
        ("content_filter", "refusal", "SAFETY"),
        ("tool_calls", "tool_use", "STOP"),
        ("pause_turn", "pause_turn", "pause_turn"),
    ],
)
def test_a_finish_is_said_in_each_formats_word(http, play, said, anthropics, geminis):
    play(finish_reason=said)
    assert messages(http).json()["stop_reason"] == anthropics
    assert generate(http).json()["candidates"][0]["finishReason"] == geminis


def test_no_finish_at_all_is_null_or_missing(http, play):
    play(finish_reason=None)
    assert messages(http).json()["stop_reason"] is None
    assert "finishReason" not in generate(http).json()["candidates"][0]


def test_a_refusal_stands_beside_anthropics_stop_reason_and_the_answer_is_empty(http, play):
    play(refusal="I can't help with that.")
    refused = messages(http).json()
    assert (refused["content"], refused["stop_reason"]) == ([], "refusal")
    assert refused["stop_details"]["explanation"] == "I can't help with that."
    *_, ending, _ = events(messages(http, stream=True))
    assert ending[1]["delta"]["stop_details"]["explanation"] == "I can't help with that."


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_a_prompt_that_gemini_blocks(http, play, stream):
    play(refusal="I can't help with that.")
    response = generate(http, stream=stream)
    refused = next(events(response))[1] if stream else response.json()
    assert refused["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in refused


@pytest.mark.parametrize(
    ("status", "anthropics", "geminis"),
    [
        (400, "invalid_request_error", "INVALID_ARGUMENT"),
        (401, "authentication_error", "UNAUTHENTICATED"),
        (402, "billing_error", "UNKNOWN"),
        (403, "permission_error", "PERMISSION_DENIED"),
        (404, "not_found_error", "NOT_FOUND"),
        (413, "request_too_large", "UNKNOWN"),
        (429, "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (500, "api_error", "INTERNAL"),
        (503, "api_error", "UNAVAILABLE"),
        (504, "timeout_error", "DEADLINE_EXCEEDED"),
        (529, "overloaded_error", "UNKNOWN"),
    ],
)
def test_an_error_status_has_each_formats_body(http, play, status, anthropics, geminis):
    play(status=status, message="Enough.")
    refused = messages(http)
    assert refused.status_code == status
    assert refused.json()["error"] == {"type": anthropics, "message": "Enough."}
    assert refused.json()["type"] == "error"
    refused = generate(http)
    assert refused.status_code == status
    assert refused.json() == {"error": {"code": status, "message": "Enough.", "status": geminis}}


def test_a_hint_stands_in_anthropics_headers_and_in_geminis_body(http, play):
    play(status=429, retry_after_s=7, code="GenerateRequestsPerDay")
    limited = messages(http)
    assert limited.headers["retry-after"] == "7"
    assert limited.json()["error"]["details"] == {"error_code": "GenerateRequestsPerDay"}
    limited = generate(http)
    assert "retry-after" not in limited.headers
    quota, hint = limited.json()["error"]["details"]
    assert quota["violations"] == [{"quotaId": "GenerateRequestsPerDay"}]
    assert hint["retryDelay"] == "7s"


def test_a_code_is_the_reason_of_geminis_other_errors(http, play):
    play(status=400, code="API_KEY_INVALID")
    assert generate(http).json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_an_error_inside_a_stream_is_an_event_of_its_own(http, play):
    play(error_after_tokens=1, type="overloaded_error", message="Overloaded")
    name, error = list(events(messages(http, stream=True)))[-1]
    assert (name, error["error"]) == ("error", {"type": "overloaded_error", "message": "Overloaded"})
    play(error_after_tokens=1, type="UNAVAILABLE")
    _, error = list(events(generate(http, stream=True)))[-1]
    assert error["error"]["status"] == "UNAVAILABLE"


def test_a_stream_without_end_marker_ends_cleanly_and_says_nothing_of_it(http, play):
    play(no_end_marker=True)
    assert [name for name, _ in events(messages(http, stream=True))][-1] == "content_block_stop"
    assert "finishReason" not in generate(http, stream=True).text


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/messages", {}, "model: Field required"),
        ("/v1/messages", {"model": "m"}, "max_tokens: Field required"),
        ("/v1/messages", {"model": "m", "max_tokens": 1, "messages": ["x"]}, "messages: at least one"),
        (MODEL + "generateContent", {}, "contents is not specified"),
        (MODEL + "generateContent", {"contents": ["x"]}, "contents is not specified"),
        (MODEL + "countTokens", {"contents": [{}]}, "no such method: countTokens"),
    ],
)
def test_a_bad_request_is_refused_in_the_formats_words(http, play, path, body, message):
    refused = http.post(path, json=body)
    assert refused.status_code == 400
    assert message in refused.json()["error"]["message"]
