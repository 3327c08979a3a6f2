"""What no earlier answer can answer passes the cache by: unchanged both ways, and never stored."""

from __future__ import annotations

import pytest
from services import LIMIT, PLACES, cache_status, ended, events, running
from upstreams import delta, verbatim

TOOLS = [{"type": "function", "function": {"name": "balance", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "balance", "arguments": '{"of": "me"}'}}
PICTURE = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
]
USER = {"role": "user", "content": LIMIT}
SAID = {"role": "assistant", "content": "In the app."}
BYPASSES = [
    ({"tools": TOOLS}, "tools"),
    ({"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True}, "tools"),
    ({"functions": [{"name": "f"}]}, "tools"),
    ({"n": 2}, "choices"),
    ({"logprobs": True}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 3}, "logprobs"),
    ({"web_search_options": {}}, "web-search"),
    ({"audio": {"voice": "a", "format": "mp3"}}, "audio"),
    ({"messages": [{"role": "user", "content": PICTURE}]}, "media"),
    ({"messages": [USER, SAID]}, "last-turn"),
    ({"messages": [{"role": "system", "content": "You are a bank."}]}, "last-turn"),
    (
        {
            "messages": [
                USER,
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "7"},
            ]
        },
        "tools",
    ),
    ({"messages": [{"role": "user", "content": "  \n"}]}, "blank"),
    ({"messages": [{"role": "user", "content": ""}]}, "blank"),
    ({"messages": [{"role": "user", "content": []}]}, "blank"),
]


@pytest.fixture(scope="module")
def host():
    with verbatim() as host:
        yield host


@pytest.fixture(scope="module")
def service(host, tmp_path_factory):
    tiers = "\ntiers: {strong: {provider: verbatim, model: strong-model}}\n"
    places = PLACES + f"  verbatim: {{kind: openai, base_url: '{host.base_url}'}}"
    with running(tmp_path_factory.mktemp("service"), places + tiers) as service:
        yield service


def completion(finish_reason="stop", **message):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


@pytest.mark.parametrize(
    ("fields", "reason"), BYPASSES, ids=[f"{reason} {list(fields)}" for fields, reason in BYPASSES]
)
def test_it_goes_to_the_tier_as_it_came_every_time(asker, host, fields, reason):
    host.says(completion(content="Fine."))
    body = {**asker.body(), **fields}
    for _ in range(2):
        host.requests.clear()
        answer = asker.post("/v1/chat/completions", json=body)
        assert cache_status(answer) == f"fwd=bypass; fwd-status=200; detail={reason}"
        ((_, received),) = host.requests
        assert received == {**body, "model": "strong-model", "stream": False}
    assert "x-cacheguard-entry" not in answer.headers


@pytest.mark.parametrize(
    "field", [{"tools": []}, {"n": 1}, {"logprobs": False}, {"tool_choice": "none"}, {"n": None}], ids=str
)
def test_saying_the_default_is_saying_nothing(asker, host, field):
    host.says(completion(content="Fine."))
    assert asker.status() == "fwd=miss; fwd-status=200; stored"
    assert asker.status(**field) == "hit; ttl=86400; detail=exact"


def test_tool_calls_come_back_intact(asker, host):
    said = completion("tool_calls", content=None, tool_calls=[CALL])
    host.says(said)
    answer = asker.ask(tools=TOOLS)
    assert answer.json() == {**said, "id": answer.json()["id"]}
    with asker.openai as client:
        asked = {"model": "default", "messages": [USER], "tools": TOOLS, "extra_body": asker.aside}
        (call,) = client.chat.completions.create(**asked).choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("balance", '{"of": "me"}')


def test_streamed_tool_calls_come_back_intact(asker, host):
    chunks = [
        delta(role="assistant", content=None),
        delta(
            tool_calls=[
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "balance", "arguments": ""}}
            ]
        ),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"of": '}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '"me"}'}}]),
        delta("tool_calls"),
    ]
    host.streams(*chunks, b"data: [DONE]")
    streamed = asker.ask(tools=TOOLS, stream=True)
    assert cache_status(streamed) == "fwd=bypass; fwd-status=200; detail=tools"
    assert [{**event, "id": "chatcmpl-1"} for event in events(streamed)] == chunks
    assert ended(streamed)


def test_a_model_that_calls_tools_unasked_is_not_stored(asker, host):
    host.says(completion("tool_calls", content=None, tool_calls=[CALL]))
    assert [asker.status() for _ in range(2)] == ["fwd=miss; fwd-status=200"] * 2


def test_several_choices_all_come_back(asker, host):
    said = completion(content="One.")
    said["choices"].append({**said["choices"][0], "index": 1, "message": {"role": "assistant", "content": "Two."}})
    host.says(said)
    assert [choice["message"]["content"] for choice in asker.ask(n=2).json()["choices"]] == ["One.", "Two."]


def test_fields_that_nobody_knows_reach_the_tier(asker, host):
    host.says(completion(content="Fine."))
    host.requests.clear()
    asker.ask(something_new={"deep": [1, 2.5, None, "ä"]}, temperature=0.3)
    ((_, received),) = host.requests
    assert received["something_new"] == {"deep": [1, 2.5, None, "ä"]}
    assert received["temperature"] == 0.3
