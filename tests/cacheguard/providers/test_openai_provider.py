"""OpenAI's wire format over real sockets: what came is read, what failed has its class."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from upstreams import asked, delta, gathered, simulated, text_of, verbatim

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Finish, Usage
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions

KNOWN = "Card limits change at once, and the app shows the new one."
DONE = b"data: [DONE]"
STOP = delta("stop")

# One loop for all tests here: a provider's connections belong to it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

TRANSPORT, TRUNCATED, BAD_REQUEST = FailureClass.TRANSPORT, FailureClass.TRUNCATED, FailureClass.BAD_REQUEST


@pytest.fixture(scope="module")
def host():
    with simulated(("How do I raise my limit?", KNOWN)) as host:
        yield host


@pytest.fixture(scope="module")
def plain_host():
    with verbatim() as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened():
    """Opens providers, one for each way to open it, closed at the end."""
    providers = {}

    def open_provider(base_url, *, lenient=False, **rest):
        key = (base_url, lenient, str(rest))
        if key not in providers:
            wire = ChatCompletions(missing_finish_is_stop=lenient)
            providers[key] = HttpProvider(wire, Host(base_url, **rest))
        return providers[key]

    yield open_provider
    for provider in providers.values():
        await provider.aclose()


@pytest.fixture
def provider(host, opened):
    host.play()
    return opened(host.base_url)


@pytest.fixture
def verbatim_provider(plain_host, opened):
    return opened(plain_host.base_url)


def call(**rest):
    return Call("gpt", asked(**rest))


async def complete(provider, **rest):
    return await provider.complete(call(**rest))


async def stream(provider, **rest):
    return await gathered(provider.stream(call(**rest)))


async def failure_of(provider, *, streamed):
    with pytest.raises(AttemptFailed) as raised:
        await (stream if streamed else complete)(provider)
    return raised.value


either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@either_way
async def test_the_model_is_asked_by_its_own_name_and_the_rest_is_passed_through(host, provider, streamed):
    wish = {"response_format": {"type": "json_object"}, "temperature": 0.5, "some_new_field": [1]}
    await (stream if streamed else complete)(provider, **wish, stream_options={"include_usage": False})
    options = {"stream_options": {"include_usage": True}} if streamed else {}
    assert host.calls["bodies"] == [asked(**wish) | {"model": "gpt", "stream": streamed} | options]


@pytest.mark.parametrize(
    ("then", "failure"),
    [
        ({"status": 400, "code": "context_length_exceeded"}, FailureClass.CONTEXT_LENGTH),
        ({"status": 400, "message": "This model's maximum context length is 8192."}, FailureClass.CONTEXT_LENGTH),
        ({"status": 400, "message": "exceeds the available context size"}, FailureClass.CONTEXT_LENGTH),
        ({"status": 400, "code": "content_filter"}, FailureClass.CONTENT_FILTER),
        ({"status": 400, "code": "content_policy_violation"}, FailureClass.CONTENT_FILTER),
        ({"status": 400, "code": "model_not_found"}, BAD_REQUEST),
        ({"status": 400, "code": "invalid_api_key"}, FailureClass.AUTH),
        ({"status": 429, "code": "insufficient_quota"}, FailureClass.QUOTA),
        ({"status": 429, "type": "insufficient_quota"}, FailureClass.QUOTA),
        ({"status": 400, "code": "billing_hard_limit_reached"}, FailureClass.QUOTA),
        ({"status": 403, "code": "rate_limit_exceeded"}, FailureClass.RATE_LIMIT),
        ({"status": 500, "message": "maximum context length"}, TRANSPORT),
    ],
    ids=str,
)
@either_way
async def test_an_error_reply_has_its_class(host, provider, then, failure, streamed):
    host.play(then)
    failed = await failure_of(provider, streamed=streamed)
    assert (failed.failure, failed.status, failed.retry_after_s) == (failure, then["status"], None)
    assert str(failed) == then.get("message", "The simulated provider was told to fail.")
    assert failed.unknown_model == (then["status"] == 404 or then.get("code") == "model_not_found")
    assert failed.completion is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\xfa",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": ["parts"]}}]}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": "free"}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": {"all": 3}}}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1e999}}',
        b'{"choices": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda content: content[:70].decode("latin-1"),
)
@pytest.mark.parametrize("lenient", [False, True])
async def test_a_200_that_is_no_completion_is_a_failure(plain_host, opened, content, lenient):
    plain_host.says(content)
    provider = opened(plain_host.base_url, lenient=lenient)
    assert (await failure_of(provider, streamed=False)).failure is TRANSPORT


@pytest.mark.parametrize(
    "event",
    [
        b"data: half a {",
        b"data: []",
        b"data: {}",
        b'data: {"choices": [7]}',
        b'data: {"choices": [{"delta": "text"}]}',
        b'data: {"choices": [{"delta": {"content": ["parts"]}}]}',
        b'data: {"choices": [{"delta": {"refusal": 1}}]}',
        b'data: {"choices": [], "usage": "free"}',
        b"data: " + b"[" * 100_000,
    ],
    ids=lambda event: event[:70].decode(),
)
async def test_an_event_that_is_no_chunk_is_a_failure(plain_host, verbatim_provider, event):
    plain_host.streams(delta(content="Yes."), event, STOP, DONE)
    assert (await failure_of(verbatim_provider, streamed=True)).failure is TRANSPORT


ERRORS_INSIDE_A_200 = pytest.mark.parametrize(
    ("error", "failure", "status"),
    [
        ({"message": "Overloaded"}, TRANSPORT, None),
        ({"message": "You are out of money", "code": "insufficient_quota"}, FailureClass.QUOTA, None),
        ("upstream went away", TRANSPORT, None),
        ({"message": "Slow down", "code": 429}, FailureClass.RATE_LIMIT, 429),
        ({"message": "Slow down", "code": "429"}, FailureClass.RATE_LIMIT, 429),
        ({"message": "Buy credits", "code": 402}, FailureClass.QUOTA, 402),
        ({"message": "Upstream is down", "code": 502}, TRANSPORT, 502),
        ({"message": "No status", "code": 7}, TRANSPORT, None),
    ],
)


@ERRORS_INSIDE_A_200
async def test_an_error_object_inside_a_200_is_the_error_it_is(plain_host, verbatim_provider, error, failure, status):
    for streamed in (False, True):
        if streamed:
            plain_host.streams(delta(role="assistant"), {"error": error})
        else:
            plain_host.says({"error": error})
        failed = await failure_of(verbatim_provider, streamed=streamed)
        assert (failed.failure, failed.status) == (failure, status)


@ERRORS_INSIDE_A_200
async def test_an_error_inside_a_choice_that_was_begun_is_one_too(
    plain_host, verbatim_provider, error, failure, status
):
    broken = {"index": 0, "finish_reason": "error", "error": error}
    plain_host.says({"choices": [{**broken, "message": {"content": "Half an"}}]})
    failed = await failure_of(verbatim_provider, streamed=False)
    assert (failed.failure, failed.status) == (failure, status)
    plain_host.streams(delta(content="Half an"), {"choices": [{**broken, "delta": {"content": ""}}]}, DONE)
    failed = await failure_of(verbatim_provider, streamed=True)
    assert (failed.failure, failed.status) == (failure, status)


@pytest.mark.parametrize(
    "aside",
    [
        {"choices": [{"index": 0, "finish_reason": None, "content_filter_results": {"hate": {"filtered": False}}}]},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {"choices": None, "usage": {"prompt_tokens": 3}},
        {"usage": {"prompt_tokens": 3}},
        {"object": "chat.completion.chunk"},
    ],
    ids=str,
)
async def test_what_hosts_say_aside_in_a_stream_is_told_as_openai_would(plain_host, verbatim_provider, aside):
    plain_host.streams(delta(content="Yes."), aside, STOP, DONE)
    chunks = await stream(verbatim_provider)
    assert text_of(chunks) == "Yes."
    assert [chunk.speaks for chunk in chunks] == [True, False, False]
    assert all(choice["delta"] == {} for choice in chunks[1].body["choices"])


@either_way
async def test_an_error_field_of_null_is_no_error(plain_host, verbatim_provider, streamed):
    if streamed:
        plain_host.streams(delta(content="Yes.") | {"error": None}, STOP, DONE)
        assert text_of(await stream(verbatim_provider)) == "Yes."
    else:
        plain_host.says({"error": None, "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]})
        assert (await complete(verbatim_provider)).text == "Yes."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("tool_calls", Finish.TOOL_CALLS),
        ("function_call", Finish.TOOL_CALLS),
        ("content_filter", Finish.CONTENT_FILTER),
        ("STOP", Finish.UNKNOWN),
        ("eos", Finish.UNKNOWN),
        ("", Finish.UNKNOWN),
        (None, Finish.UNKNOWN),
    ],
)
async def test_an_unknown_finish_reason_is_never_stop(host, provider, reason, finish):
    host.play({"finish_reason": reason})
    assert (await complete(provider)).finish is finish


async def test_a_host_without_finish_reasons_may_be_declared_one(host, opened):
    host.play({"finish_reason": None})
    lenient = opened(host.base_url, lenient=True)
    assert (await complete(lenient)).finish is Finish.STOP
    chunks = await stream(lenient)
    assert text_of(chunks) == KNOWN
    assert chunks[-1].body["choices"][0]["finish_reason"] == "stop"
    assert not chunks[-1].speaks


@pytest.mark.parametrize("reason", ["length", "something_new"])
async def test_a_finish_reason_that_came_stays_what_it_is_at_a_lenient_host(host, opened, reason):
    host.play({"finish_reason": reason})
    lenient = opened(host.base_url, lenient=True)
    assert (await complete(lenient)).body["choices"][0]["finish_reason"] == reason
    reasons = {c["finish_reason"] for chunk in await stream(lenient) for c in chunk.body["choices"]}
    assert reasons == {None, reason}


async def test_a_clean_end_of_file_without_end_marker_is_never_stop_at_a_lenient_host_either(host, opened):
    host.play({"no_end_marker": True})
    lenient = opened(host.base_url, lenient=True)
    assert (await failure_of(lenient, streamed=True)).failure is TRUNCATED


async def test_a_finish_reason_without_end_marker_is_cut(plain_host, verbatim_provider):
    plain_host.streams(delta(content="Yes."), STOP)
    assert (await failure_of(verbatim_provider, streamed=True)).failure is TRUNCATED


async def test_what_stands_behind_the_end_marker_is_not_read(plain_host, verbatim_provider):
    plain_host.streams(delta(content="Yes."), STOP, DONE, delta(content=" No!"))
    assert text_of(await stream(verbatim_provider)) == "Yes."


async def test_a_line_separator_inside_a_text_does_not_split_it(plain_host, verbatim_provider):
    said = "one\u2028two\u2029three\x85four"
    event = b"data: " + json.dumps(delta(content=said), ensure_ascii=False).encode()
    plain_host.streams(event, STOP, DONE)
    assert text_of(await stream(verbatim_provider)) == said


@pytest.mark.parametrize(
    "noise", [b": keep-alive", b"retry: 3000", b"id: 7", b"event: ping", b"data:", b"data"], ids=bytes.decode
)
async def test_events_without_data_are_passed_over(plain_host, verbatim_provider, noise):
    plain_host.streams(noise, delta(content="Yes."), noise, STOP, noise, DONE)
    assert text_of(await stream(verbatim_provider)) == "Yes."


async def test_lines_may_end_in_carriage_returns(plain_host, verbatim_provider):
    lines = [b"data: " + json.dumps(event).encode() for event in (delta(content="Yes."), STOP)]
    plain_host.says(b"\r\n\r\n".join([*lines, DONE, b""]), kind="text/event-stream")
    assert text_of(await stream(verbatim_provider)) == "Yes."


@pytest.mark.parametrize(
    ("said", "speaks"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": "", "refusal": None}, False),
        ({"tool_calls": []}, False),
        ({}, False),
        ({"content": " "}, True),
        ({"refusal": "No."}, False),
        ({"reasoning_content": "Hm."}, True),
        ({"reasoning": "Hm."}, True),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}, True),
        ({"function_call": {"name": "f"}}, True),
    ],
    ids=str,
)
async def test_a_chunk_speaks_once_it_says_anything_at_all(plain_host, verbatim_provider, said, speaks):
    plain_host.streams(delta(**said), STOP, DONE)
    chunk, _ = await stream(verbatim_provider)
    assert chunk.speaks is speaks


async def test_tool_calls_are_seen(plain_host, verbatim_provider):
    message = {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]}
    plain_host.says({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    completion = await complete(verbatim_provider)
    assert completion.has_tool_calls
    assert completion.finish is Finish.TOOL_CALLS


async def test_cached_tokens_are_part_of_the_input(plain_host, verbatim_provider):
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 90}}
    plain_host.says({"choices": [{"message": {"content": "Yes."}}], "usage": usage})
    assert (await complete(verbatim_provider)).usage == Usage(input=100, output=7, cached_input=90)


async def test_usage_that_is_left_out_counts_as_nothing(plain_host, verbatim_provider):
    plain_host.says({"choices": [{"message": {"content": "Yes."}}], "usage": {"prompt_tokens": None}})
    assert (await complete(verbatim_provider)).usage == Usage()
