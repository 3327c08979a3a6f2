"""Anthropic's messages: what is sent for a chat request, what is read, which class an error has."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from upstreams import asked, gathered, text_of, verbatim

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.anthropic import DEFAULT_MAX_TOKENS, DROPPED, Messages
from cacheguard.providers.base import Call, Finish, Usage
from cacheguard.providers.calling import Host, HttpProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

USAGE = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": None}
QUESTION = {"role": "user", "content": "How do I raise my limit?"}
TRANSLATED = {
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "parallel_tool_calls",
    "response_format",
    "stop",
    "tool_choice",
    "tools",
}
REFUSED = {"function_call", "functions", "n"}

PLACE = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOSED_PLACE = {**PLACE, "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
WEATHER_CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}


@pytest.fixture(scope="module")
def host():
    with verbatim() as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(host):
    provider = HttpProvider(Messages(), Host(host.url, ["sk-1"]))
    yield provider
    await provider.aclose()


@pytest.fixture
def told(host, provider):
    """What comes of an error reply."""

    async def failure(status, error, **headers):
        host.says({"type": "error", "error": error, "request_id": "r"}, status=status, **headers)
        return await failure_of(provider)

    return failure


def message(*content, stop_reason="end_turn", usage=USAGE, **rest):
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return {**body, "stop_reason": stop_reason, "usage": usage, **rest}


def text(words):
    return {"type": "text", "text": words}


def begun(block, index=0):
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index=0, **said):
    return {"type": "content_block_delta", "index": index, "delta": said}


def ended(stop_reason="end_turn", *, usage=USAGE, **rest):
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason, **rest}, "usage": usage}


START = {"type": "message_start", "message": message(stop_reason=None)}
YES = delta(type="text_delta", text="Yes.")
STOP = {"type": "message_stop"}


async def complete(provider, **rest):
    return await provider.complete(Call("claude", asked(**rest)))


async def stream(provider):
    return await gathered(provider.stream(Call("claude", asked())))


async def sent(host, provider, **rest):
    """The body that goes out for a chat request with these fields."""
    host.says(message(text("Yes.")))
    await complete(provider, **rest)
    return host.requests[-1][1]


async def failure_of(provider, *, streamed=False, **rest):
    with pytest.raises(AttemptFailed) as raised:
        await (stream(provider) if streamed else complete(provider, **rest))
    return raised.value


async def test_a_bare_question_is_sent_with_the_limit_that_the_format_demands(host, provider):
    assert await sent(host, provider) == {
        "model": "claude",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": [text(QUESTION["content"])]}],
        "stream": False,
    }
    assert host.addresses[-1] == "v1/messages"
    headers, _ = host.requests[-1]
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sk-1", "2026-10-21")


async def test_every_field_of_openais_request_is_translated_refused_or_dropped_with_a_reason():
    known = set(CompletionCreateParamsBase.__annotations__)
    assert known == TRANSLATED | REFUSED | DROPPED.keys()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"max_tokens": 9, "max_completion_tokens": 8}, {"max_tokens": 8}),
        ({"stop": "\nQ:"}, {"stop_sequences": ["\nQ:"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop": None, "tools": None, "n": 1}, {}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": PLACE}}},
            {"output_config": {"format": {"type": "json_schema", "schema": CLOSED_PLACE}}},
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"system": 'Answer with JSON that fits this JSON Schema, and nothing else:\n{"type": "object"}'},
        ),
        (
            {"response_format": {"type": "json_object"}},
            {"system": "Answer with one JSON object and nothing else."},
        ),
        (
            {"tools": [WEATHER]},
            {"tools": [{"name": "weather", "description": "", "input_schema": {"type": "object"}}]}
            | {"tool_choice": {"type": "auto"}},
        ),
        (dict.fromkeys(DROPPED, "something"), {}),
        ({"some_new_field": 1}, {}),
    ],
    ids=str,
)
async def test_a_field_goes_where_the_format_has_it(host, provider, given, expected):
    bare = await sent(host, provider)
    assert await sent(host, provider, **given) == bare | expected


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": WEATHER}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, {"type": "auto"}),
    ],
    ids=str,
)
async def test_a_choice_of_tools_is_passed_on(host, provider, given, choice):
    assert (await sent(host, provider, tools=[WEATHER], **given))["tool_choice"] == choice


@pytest.mark.parametrize(
    ("function", "taken"),
    [
        ({"parameters": PLACE}, {"input_schema": PLACE}),
        ({"parameters": PLACE, "strict": True}, {"input_schema": CLOSED_PLACE, "strict": True}),
        ({"parameters": {"type": "object"}, "strict": True}, {"input_schema": {"type": "object"}}),
    ],
    ids=["as it is", "strict", "beyond strictness"],
)
async def test_a_tool_keeps_its_description_schema_and_strictness(host, provider, function, taken):
    named = {"name": "weather", "description": "Of a city."}
    (tool,) = (await sent(host, provider, tools=[{"type": "function", "function": named | function}]))["tools"]
    assert tool == named | taken


async def test_instructions_are_gathered_and_turns_alternate(host, provider):
    messages = [
        {"role": "system", "content": "You are a bank."},
        {"role": "user", "content": "Hello"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "there"}, {"type": "text", "text": " "}]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "refusal": "No."},
        QUESTION,
    ]
    body = await sent(host, provider, messages=messages)
    assert body["system"] == "You are a bank.\n\nBe brief."
    assert body["messages"] == [
        {"role": "user", "content": [text("Hello"), text("there")]},
        {"role": "assistant", "content": [text("No.")]},
        {"role": "user", "content": [text(QUESTION["content"])]},
    ]


async def test_calls_of_tools_and_their_results_stand_in_their_turns(host, provider):
    other = {"id": "t2", "type": "function", "function": {"name": "time", "arguments": ""}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [WEATHER_CALL, other]},
        {"role": "tool", "tool_call_id": "t1", "content": "Rain"},
        {"role": "tool", "tool_call_id": "t2", "content": [{"type": "text", "text": "Noon"}]},
        {"role": "user", "content": "And?"},
    ]
    _, called, answered = (await sent(host, provider, messages=messages))["messages"]
    assert called["content"] == [
        text("Let me see."),
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Köln"}},
        {"type": "tool_use", "id": "t2", "name": "time", "input": {}},
    ]
    assert answered["role"] == "user"
    assert answered["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "Rain"},
        {"type": "tool_result", "tool_use_id": "t2", "content": "Noon"},
        text("And?"),
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
            {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        ),
    ],
    ids=["image by address", "image", "document"],
)
async def test_images_and_documents_are_passed_on(host, provider, part, block):
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]
    body = await sent(host, provider, messages=messages)
    assert body["messages"][0]["content"] == [text("What is this?"), block]


def says(part):
    return {"messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize(
    "rest",
    [
        {"n": 2},
        {"functions": [{"name": "weather"}]},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools"}},
        {"response_format": {"type": "grammar"}},
        {"response_format": {"type": "json_schema"}},
        {"messages": [{"role": "function", "name": "f", "content": "x"}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
        {"messages": [QUESTION, {"role": "assistant", "tool_calls": [{"id": "t1"}]}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "[]"}}],
                }
            ]
        },
        says({"type": "image_url"}),
        says({"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}}),
        says({"type": "image_url", "image_url": {"url": "data:text/html;base64,AAAA"}}),
        says({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        says({"type": "file", "file": {"file_id": "file-1"}}),
        says({"type": "something_new"}),
        {"n": "many"},
    ],
    ids=str,
)
async def test_what_the_format_cannot_say_is_a_bad_request_that_is_never_sent(host, provider, rest):
    before = len(host.requests)
    failed = await failure_of(provider, **rest)
    assert (failed.failure, failed.status) == (FailureClass.BAD_REQUEST, None)
    assert len(host.requests) == before


async def test_reasoning_stands_beside_the_text(host, provider):
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    host.says(message(thought, {"type": "redacted_thinking", "data": "…"}, text("Yes, "), text("do.")))
    completion = await complete(provider)
    assert completion.text == "Yes, do."
    assert completion.body["choices"][0]["message"]["reasoning_content"] == "Hm."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("tool_use", Finish.TOOL_CALLS),
        ("pause_turn", Finish.UNKNOWN),
        ("stop", Finish.UNKNOWN),
        (None, Finish.UNKNOWN),
    ],
)
async def test_a_stop_reason_has_its_meaning(host, provider, reason, finish):
    host.says(message(text("Yes."), stop_reason=reason))
    assert (await complete(provider)).finish is finish


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "Too dangerous."}, "Too dangerous."),
        ({"type": "refusal", "explanation": None}, "The model declined to answer."),
        (None, "The model declined to answer."),
    ],
)
async def test_a_refusal_has_words_even_where_the_host_has_none(host, provider, details, words):
    host.says(message(stop_reason="refusal", stop_details=details))
    completion = await complete(provider)
    assert (completion.text, completion.refusal) == ("", words)
    host.streams(START, YES, ended("refusal", stop_details=details), STOP)
    *_, refusal, ending, _ = await stream(provider)
    assert refusal.body["choices"][0]["delta"] == {"refusal": words}
    assert ending.body["choices"][0]["finish_reason"] == "stop"


async def test_a_full_context_window_is_no_answer_but_is_paid_for(host, provider):
    host.says(message(text("Half an"), stop_reason="model_context_window_exceeded"))
    failed = await failure_of(provider)
    assert failed.failure is FailureClass.CONTEXT_LENGTH
    assert (failed.completion.text, failed.completion.usage.output) == ("Half an", 7)
    host.streams(START, YES, ended("model_context_window_exceeded"), STOP)
    assert (await failure_of(provider, streamed=True)).failure is FailureClass.CONTEXT_LENGTH


async def test_what_came_from_the_prompt_cache_or_went_into_it_is_input_too(host, provider):
    usage = {"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 10, "output_tokens": 7}
    host.says(message(text("Yes."), usage=usage))
    assert (await complete(provider)).usage == Usage(input=105, output=7, cached_input=90)


async def test_usage_in_a_stream_is_counted_to_its_end(host, provider):
    start = {"type": "message_start", "message": message(usage={"input_tokens": 5, "output_tokens": 1})}
    host.streams(start, YES, ended(usage={"input_tokens": None, "output_tokens": 7}), STOP)
    assert (await stream(provider))[-1].body["usage"]["total_tokens"] == 12
    host.streams(start, YES, ended(usage=None), STOP)
    assert (await stream(provider))[-1].body["usage"]["total_tokens"] == 6


async def test_calls_of_tools_are_read(host, provider):
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Köln"}}
    host.says(message(text("Let me see."), use, stop_reason="tool_use"))
    completion = await complete(provider)
    assert completion.has_tool_calls
    assert completion.finish is Finish.TOOL_CALLS
    assert ChatCompletion.model_validate(completion.body).choices[0].message.tool_calls[0].id == "t1"
    assert completion.body["choices"][0]["message"]["tool_calls"] == [WEATHER_CALL]


async def test_streamed_calls_of_tools_are_pieced_together_by_openais_rules(host, provider):
    host.streams(
        START,
        begun(text("")),
        delta(type="text_delta", text="Let me see."),
        {"type": "content_block_stop", "index": 0},
        begun({"type": "tool_use", "id": "t1", "name": "weather", "input": {}}, index=1),
        delta(1, type="input_json_delta", partial_json=""),
        delta(1, type="input_json_delta", partial_json='{"city": '),
        delta(1, type="input_json_delta", partial_json='"Köln"}'),
        {"type": "content_block_stop", "index": 1},
        begun({"type": "tool_use", "id": "t2", "name": "time", "input": {}}, index=2),
        {"type": "content_block_stop", "index": 2},
        ended("tool_use"),
        STOP,
    )
    calls = {}
    for chunk in await stream(provider):
        for choice in ChatCompletionChunk.model_validate(chunk.body).choices:
            for piece in choice.delta.tool_calls or ():
                call = calls.setdefault(piece.index, [piece.id, piece.function.name, ""])
                call[2] += piece.function.arguments
    assert calls == {0: ["t1", "weather", '{"city": "Köln"}'], 1: ["t2", "time", "{}"]}


@pytest.mark.parametrize(
    ("event", "speaks"),
    [
        (begun(text("")), None),
        (begun({"type": "thinking", "thinking": ""}), None),
        ({"type": "ping"}, None),
        ({"type": "something_new", "text": "?"}, None),
        (delta(type="signature_delta", signature="s"), None),
        (delta(type="citations_delta", citation={}), None),
        (delta(type="text_delta", text=""), False),
        (delta(type="thinking_delta", thinking=""), False),
        (delta(type="text_delta", text=" "), True),
        (delta(type="thinking_delta", thinking="Hm."), True),
        (begun({"type": "tool_use", "id": "t", "name": "f", "input": {}}), True),
    ],
    ids=str,
)
async def test_only_text_reasoning_and_tools_speak(host, provider, event, speaks):
    host.streams(START, event, ended(), STOP)
    _, *said, _, _ = await stream(provider)
    assert [chunk.speaks for chunk in said] == ([] if speaks is None else [speaks])


async def test_a_line_separator_inside_a_text_does_not_split_it(host, provider):
    said = "one\u2028two\u2029three\x85four"
    event = b"data: " + json.dumps(delta(type="text_delta", text=said), ensure_ascii=False).encode()
    host.streams(START, event, ended(), STOP)
    assert text_of(await stream(provider)) == said


async def test_what_stands_behind_the_end_marker_is_not_read(host, provider):
    host.streams(START, YES, ended(), STOP, delta(type="text_delta", text=" No!"))
    assert text_of(await stream(provider)) == "Yes."


@pytest.mark.parametrize(
    "events",
    [
        (),
        (START,),
        (START, YES),
        (START, YES, ended()),
        (START, YES, STOP),
        (START, YES, ended(None), STOP),
        (START, YES, b"data: [DONE]"),
    ],
    ids=len,
)
async def test_a_stream_that_ends_early_is_cut(host, provider, events):
    host.streams(*events)
    assert (await failure_of(provider, streamed=True)).failure is FailureClass.TRUNCATED


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("overloaded_error", FailureClass.TRANSPORT),
        ("api_error", FailureClass.TRANSPORT),
        ("timeout_error", FailureClass.TRANSPORT),
        ("something_new", FailureClass.TRANSPORT),
        ("rate_limit_error", FailureClass.RATE_LIMIT),
    ],
)
@pytest.mark.parametrize("before", [(START,), (START, YES)], ids=["before a word", "after a word"])
async def test_an_error_inside_a_stream_has_its_class(host, provider, kind, failure, before):
    error = json.dumps({"type": "error", "error": {"type": kind, "message": "Overloaded"}})
    host.streams(*before, b"event: error\ndata: " + error.encode())
    failed = await failure_of(provider, streamed=True)
    assert (failed.failure, failed.status, str(failed)) == (failure, None, "Overloaded")


RATE_LIMIT, QUOTA, TOO_LONG = FailureClass.RATE_LIMIT, FailureClass.QUOTA, FailureClass.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("status", "kind", "words", "failure"),
    [
        (400, "invalid_request_error", "messages: at least one message is required", FailureClass.BAD_REQUEST),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", TOO_LONG),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000", TOO_LONG),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", QUOTA),
        (400, "invalid_request_error", "You have reached your specified API usage limits.", QUOTA),
        (400, "invalid_request_error", "You have reached your specified workspace API usage limits.", QUOTA),
        (401, "authentication_error", "invalid x-api-key", FailureClass.AUTH),
        (402, "billing_error", "Payment failed.", QUOTA),
        (403, "permission_error", "Your API key does not have permission.", FailureClass.AUTH),
        (404, "not_found_error", "model: claude-99", FailureClass.BAD_REQUEST),
        (413, "request_too_large", "Request exceeds the maximum size", TOO_LONG),
        (429, "rate_limit_error", "This request would exceed your account's rate limit.", RATE_LIMIT),
        (429, "rate_limit_error", "You have reached your API usage limits: your organization has crossed …", QUOTA),
        (429, "overloaded_error", "Overloaded", FailureClass.TRANSPORT),
        (500, "api_error", "Internal server error", FailureClass.TRANSPORT),
        (500, "api_error", "prompt is too long", FailureClass.TRANSPORT),
        (504, "timeout_error", "Request timed out", FailureClass.TRANSPORT),
        (529, "overloaded_error", "Overloaded", FailureClass.TRANSPORT),
    ],
)
async def test_an_error_reply_has_its_class(told, status, kind, words, failure):
    failed = await told(status, {"type": kind, "message": words})
    assert (failed.failure, failed.status, str(failed)) == (failure, status, words)
    assert failed.unknown_model == (status == 404)


async def test_a_limit_that_a_wait_lifts_is_a_rate_limit_whatever_it_says(told):
    error = {"type": "rate_limit_error", "message": "You have reached your specified workspace API usage limits."}
    failed = await told(429, error, retry_after="30")
    assert (failed.failure, failed.retry_after_s) == (FailureClass.RATE_LIMIT, 30)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start"},
        {"type": "content_block_delta", "index": 0},
        delta(type="input_json_delta", partial_json="{"),
        delta(type="text_delta"),
        delta(type="text_delta", text=7),
        ended(usage={"output_tokens": "many"}),
        ended(usage={"output_tokens": 1e999}),
        {"no": "type"},
    ],
    ids=str,
)
async def test_an_event_of_another_shape_is_a_failure(host, provider, event):
    host.streams(START, event, ended(usage={}), STOP)
    assert (await failure_of(provider, streamed=True)).failure is FailureClass.TRANSPORT
