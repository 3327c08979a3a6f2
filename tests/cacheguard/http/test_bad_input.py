"""Whatever is sent, one clear message comes back in OpenAI's shape, and nothing is lost."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from services import CHAT, LIMIT, cache_status, text_of

MESSAGES = [{"role": "user", "content": LIMIT}]
MB = 1_000_000


def chat(**fields):
    return json.dumps({"model": "m", "messages": MESSAGES, **fields})


def said(content, **rest):
    return chat(messages=[{"role": "user", "content": content, **rest}])


# name: (body, param, part of the message)
BAD = {
    "nothing": ("", None, "not valid JSON"),
    "half a document": ('{"model": "m"', None, "not valid JSON"),
    "form data": ("model=m&messages=x", None, "not valid JSON"),
    "a list": ("[]", None, "an object"),
    "null": ("null", None, "an object"),
    "a number": ("7", None, "an object"),
    "invalid UTF-8": (b'{"model": "\xff", "messages": []}', None, "not valid JSON in UTF-8"),
    "UTF-16": (chat().encode("utf-16"), None, "not valid JSON in UTF-8"),
    "half a surrogate pair": (
        r'{"model": "m", "messages": [{"role": "user", "content": "\ud83d!"}]}',
        None,
        "hex escape",
    ),
    "nested too deep": (f'{{"model": "m", "x": {"[" * 100_000}', None, "recursion limit"),
    "a number too long": (f'{{"model": "m", "messages": [], "seed": {"9" * 5000}}}', None, "number out of range"),
    "a number past all": (chat(temperature=0)[:-2] + "1e999}", "temperature", "finite"),
    "not a number": (chat(temperature=0)[:-2] + "NaN}", "temperature", "finite"),
    "no model": (json.dumps({"messages": MESSAGES}), "model", "Field required"),
    "an empty model": (chat(model=""), "model", "at least 1"),
    "a model that is none": (chat(model=7), "model", "valid string"),
    "no messages": (json.dumps({"model": "m"}), "messages", "Field required"),
    "empty messages": (chat(messages=[]), "messages", "at least 1"),
    "messages that are none": (chat(messages="hello"), "messages", "valid array"),
    "a message that is none": (chat(messages=["hello"]), "messages.0", "an object"),
    "a message without role": (chat(messages=[{"content": "x"}]), "messages.0.role", "Field required"),
    "an unknown role": (chat(messages=[{"role": "boss", "content": "x"}]), "messages.0.role", "'user'"),
    "content that is none": (said(7), "messages.0.content", "valid string"),
    "a part that is none": (said(["x"]), "messages.0.content.0", "an object"),
    "a part without type": (said([{"text": "x"}]), "messages.0.content.0.type", "Field required"),
    "a part of wrong text": (said([{"type": "text", "text": 7}]), "messages.0.content.0.text", "valid string"),
    "stream that is no flag": (chat(stream="yes"), "stream", "valid boolean"),
    "stream as a number": (chat(stream=1), "stream", "valid boolean"),
    "stream options that are none": (chat(stream=True, stream_options="all"), "stream_options", "an object"),
    "usage that is no flag": (
        chat(stream_options={"include_usage": "x"}),
        "stream_options.include_usage",
        "valid boolean",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_refused_by_the_name_of_its_fault(asker, provider, name):
    body, param, message = BAD[name]
    refused = asker.post(CHAT, content=body)
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert message in error["message"]
    assert len(error["message"]) < 200
    assert provider.calls["total"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("DELETE", "/v1/feedback", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/%00/%ff/../..", 404),
    ],
)
def test_an_unknown_path_or_method_is_refused_in_the_same_shape(asker, method, path, status):
    refused = asker._http.request(method, path)
    assert refused.status_code == status
    assert refused.json()["error"]["type"] == "invalid_request_error"
    assert method in refused.json()["error"]["message"]
    assert "detail" not in refused.json()
    assert "x-request-id" in refused.headers


def test_a_body_past_the_limit_is_refused(asker, provider):
    refused = asker.ask("x" * (2 * MB))
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "body_too_large"
    assert "server.max_body_mb" in refused.json()["error"]["message"]
    assert provider.calls["total"] == 0


def test_a_body_past_the_limit_in_chunks_is_refused(asker):
    refused = asker.post(CHAT, content=(b"x" * 100_000 for _ in range(20)))
    assert refused.status_code == 413


def test_feedback_past_the_limit_is_refused(asker):
    assert asker.post("/v1/feedback", content=b"x" * (2 * MB)).status_code == 413


def test_a_body_within_the_limit_is_read(asker):
    assert asker.post(CHAT, content=chat() + " " * (MB - 1000)).status_code == 200


def test_who_sends_everything_before_listening_hears_the_refusal(service):
    url = urlsplit(service.url)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {8 * MB}\r\n\r\n"
    with closing(socket.create_connection((url.hostname, url.port), timeout=30)) as client:
        client.sendall(head.encode() + bytes(8 * MB))
        assert client.recv(64).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "sent", [b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", b"NONSENSE\r\n\r\n"]
)
def test_who_hangs_up_while_sending_harms_nobody(service, asker, sent, capfd):
    url = urlsplit(service.url)
    with closing(socket.create_connection((url.hostname, url.port), timeout=30)) as client:
        client.sendall(sent)
    assert asker.ask().status_code == 200
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_too_long_for_the_model_is_matched_word_for_word_only(asker, provider, stream):
    long = "limit " * 20_000
    first = asker.ask(long, stream=stream)
    assert cache_status(first) == (
        "fwd=miss; fwd-status=200; detail=cut" if stream else "fwd=miss; fwd-status=200; stored; detail=cut"
    )
    assert asker.status(long.upper()) == "hit; ttl=86400; detail=exact"
    assert "detail=cut" in asker.status(long + "card")
    assert provider.calls["total"] == 2


@pytest.mark.parametrize(
    "prompt",
    [
        "\x00",
        "What\x00is this?",
        "\ufeffWhat is this?",
        "\u202eWhat is this?",
        "👩‍👩‍👧‍👦" * 50,
        "e" + "\u0301" * 5000,
        "'; DROP TABLE answers; --",
        "{{prompt}} ${HOME} %s %n",
        "?",
        "…",
        "\u200b",
        "x" * 100_000,
    ],
    ids=lambda prompt: ascii(prompt)[:20],
)
def test_odd_prompts_are_answered_kept_and_found_again(asker, prompt):
    first = asker.ask(prompt)
    assert cache_status(first).startswith("fwd=miss; fwd-status=200; stored")
    again = asker.ask(prompt)
    assert cache_status(again) == "hit; ttl=86400; detail=exact"
    assert text_of(again) == text_of(first)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 10**300},
        {"temperature": 1e308},
        {"metadata": {"a": {"b": {"c": [1, 2, 3]}}}},
        {"max_tokens": -1},
        {"stop": 7},
        {"tools": None},
        {"something_new": 10**300},
        {"user": "\x00"},
        {"stream": None},
        {"stream_options": None},
    ],
    ids=lambda fields: str(fields)[:30],
)
def test_odd_fields_are_the_tiers_to_judge(asker, fields):
    assert asker.ask(**fields).status_code == 200


def test_a_body_needs_no_content_type(asker):
    assert asker.post(CHAT, content=chat(), headers={"Content-Type": "text/plain"}).status_code == 200


@pytest.mark.parametrize(("sent", "kept"), [("abc-1", True), ("x" * 129, False), ("two words", False), ("ü", False)])
def test_a_request_keeps_its_id_where_it_is_sound(asker, sent, kept):
    id_ = asker.get("/healthz", headers={"X-Request-Id": sent.encode()}).headers["x-request-id"]
    assert (id_ == sent) is kept
    assert kept or id_.startswith("req_")
