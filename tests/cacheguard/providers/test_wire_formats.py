"""What every wire format promises, however it looks: the same answers, the same classes of failure."""

from __future__ import annotations

import socket
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from upstreams import ONE_HOUR_MS, asked, gathered, simulated, text_of, verbatim

from cacheguard.cascade.price import Price
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Finish, Usage
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.chat_shape import Joining
from cacheguard.providers.openai import ChatCompletions
from cacheguard.settings import Provider
from cacheguard.wiring import make_provider

KNOWN = "Card limits change at once, and the app shows the new one."
KEY_HEADERS = {
    "openai": ("authorization", "Bearer sk-1"),
    "anthropic": ("x-api-key", "sk-1"),
    "gemini": ("x-goog-api-key", "sk-1"),
}

# One loop for all tests here: a provider's connections belong to it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

TRANSPORT, TRUNCATED, BAD_REQUEST = FailureClass.TRANSPORT, FailureClass.TRUNCATED, FailureClass.BAD_REQUEST

either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@pytest.fixture(scope="module")
def host():
    with simulated(("How do I raise my limit?", KNOWN)) as host:
        yield host


@pytest.fixture(scope="module")
def plain_host():
    with verbatim() as host:
        yield host


@pytest.fixture(scope="module", params=KEY_HEADERS)
def kind(request):
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened():
    """Opens providers as the service does, closed at the end."""
    providers = []

    def open_provider(kind, url, **settings):
        base_url = f"{url}/v1" if kind == "openai" else url
        settings = Provider.model_validate({"kind": kind, "base_url": base_url, **settings})
        providers.append(make_provider(settings))
        return providers[-1]

    yield open_provider
    for provider in providers:
        await provider.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened_once(kind, host, opened):
    return opened(kind, host.url)


@pytest.fixture
def provider(host, opened_once):
    host.play()
    return opened_once


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def verbatim_provider(kind, plain_host, opened):
    return opened(kind, plain_host.url)


def call(**rest):
    return Call("large-model", asked(**rest))


async def stream(provider, **rest):
    return await gathered(provider.stream(call(**rest)))


async def answer(provider, *, streamed, **rest):
    """The completion, whichever way it came."""
    if not streamed:
        return await provider.complete(call(**rest))
    joined = Joining()
    for chunk in await stream(provider, **rest):
        joined.add(chunk)
    return joined.completion()


async def failure_of(provider, *, streamed, **rest):
    with pytest.raises(AttemptFailed) as raised:
        await answer(provider, streamed=streamed, **rest)
    return raised.value


@either_way
async def test_an_answer_is_read_whole_with_its_usage(provider, streamed):
    completion = await answer(provider, streamed=streamed)
    assert (completion.text, completion.finish, completion.model) == (KNOWN, Finish.STOP, "large-model")
    assert completion.usage == Usage(input=6, output=len(KNOWN.split()))
    assert Price(1e6, 2e6).cost_usd(completion.usage) == 6 + 2 * len(KNOWN.split())
    assert not completion.refusal
    assert not completion.has_tool_calls


async def test_openais_client_takes_the_body_for_its_own(provider):
    read = ChatCompletion.model_validate((await provider.complete(call())).body, strict=True)
    assert read.choices[0].message.content == KNOWN
    assert read.choices[0].finish_reason == "stop"
    assert read.usage.total_tokens == 6 + len(KNOWN.split())


async def test_openais_client_takes_the_chunks_for_its_own(provider):
    chunks = [ChatCompletionChunk.model_validate(chunk.body) for chunk in await stream(provider)]
    *answering, ending, usage = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in answering) == KNOWN
    assert answering[0].choices[0].delta.role == "assistant"
    assert ending.choices[0].finish_reason == "stop"
    assert (usage.choices, usage.usage.completion_tokens) == ([], len(KNOWN.split()))
    assert len({(chunk.id, chunk.model, chunk.created) for chunk in chunks}) == 1


async def test_only_words_speak(provider):
    opening, *saying, ending, usage = await stream(provider)
    assert [chunk.speaks for chunk in (opening, ending, usage)] == [False] * 3
    assert all(chunk.speaks for chunk in saying)
    assert text_of(saying) == KNOWN


@either_way
async def test_the_model_is_asked_by_its_own_name_and_instructions_are_passed_on(host, provider, streamed):
    messages = [{"role": "system", "content": "You are a bank."}, *asked()["messages"]]
    completion = await answer(provider, streamed=streamed, messages=messages)
    assert completion.usage.input == 4 + 6
    assert host.calls["by_model"] == {"large-model": 1}


@either_way
@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, BAD_REQUEST),
        (401, FailureClass.AUTH),
        (402, FailureClass.QUOTA),
        (403, FailureClass.AUTH),
        (404, BAD_REQUEST),
        (405, TRANSPORT),
        (408, TRANSPORT),
        (413, FailureClass.CONTEXT_LENGTH),
        (422, BAD_REQUEST),
        (429, FailureClass.RATE_LIMIT),
        (500, TRANSPORT),
        (503, TRANSPORT),
        (504, TRANSPORT),
        (529, TRANSPORT),
    ],
)
async def test_an_error_status_has_its_class(host, provider, status, failure, streamed):
    host.play({"status": status, "message": "Enough."})
    failed = await failure_of(provider, streamed=streamed)
    assert (failed.failure, failed.status, failed.retry_after_s, str(failed)) == (failure, status, None, "Enough.")
    assert failed.unknown_model == (status == 404)


@either_way
@pytest.mark.parametrize(("hint", "seconds"), [({"retry_after_s": 107}, 107), ({"retry_after_ms": 1500}, 1.5)])
async def test_a_full_house_has_the_hosts_hint_in_seconds(host, provider, hint, seconds, streamed):
    for status, failure in ((429, FailureClass.RATE_LIMIT), (503, TRANSPORT)):
        host.play({"status": status, **hint})
        failed = await failure_of(provider, streamed=streamed)
        assert (failed.failure, failed.retry_after_s) == (failure, seconds)


@pytest.mark.parametrize(
    ("then", "streamed", "failure"),
    [
        ({"connection": "reset"}, False, TRANSPORT),
        ({"connection": "reset"}, True, TRANSPORT),
        ({"garbage": "html"}, False, TRANSPORT),
        ({"garbage": "html"}, True, TRANSPORT),
        ({"garbage": "broken_json"}, False, TRANSPORT),
        ({"garbage": "broken_json"}, True, TRANSPORT),
        ({"garbage": "other_json"}, False, TRANSPORT),
        ({"garbage": "other_json"}, True, TRANSPORT),
        ({"cut_after_tokens": 3}, False, TRANSPORT),
        ({"cut_after_tokens": 3}, True, TRANSPORT),
        ({"error_after_tokens": 0}, False, TRANSPORT),
        ({"error_after_tokens": 0}, True, TRANSPORT),
        ({"error_after_tokens": 3}, True, TRANSPORT),
        ({"no_end_marker": True}, True, TRUNCATED),
        ({"no_end_marker": True, "text": ""}, True, TRUNCATED),
        ({"finish_reason": None}, True, TRUNCATED),
    ],
    ids=str,
)
async def test_an_accident_has_its_class(host, provider, then, streamed, failure):
    host.play(then)
    assert (await failure_of(provider, streamed=streamed)).failure is failure


@either_way
@pytest.mark.parametrize(
    ("said", "finish"),
    [("stop", Finish.STOP), ("length", Finish.LENGTH), ("something_new", Finish.UNKNOWN), ("STOPPED", Finish.UNKNOWN)],
)
async def test_an_end_that_is_not_known_is_never_taken_for_a_good_one(host, provider, said, finish, streamed):
    host.play({"finish_reason": said})
    assert (await answer(provider, streamed=streamed)).finish is finish


async def test_a_plain_answer_that_does_not_say_why_it_ends_is_not_complete(host, provider):
    host.play({"no_end_marker": True})
    assert (await provider.complete(call())).finish is Finish.UNKNOWN


@either_way
async def test_a_truncated_answer_says_so(host, provider, streamed):
    host.play({"truncate_after_tokens": 2})
    completion = await answer(provider, streamed=streamed)
    assert (completion.text, completion.finish) == ("Card limits ", Finish.LENGTH)


@either_way
async def test_an_empty_answer_is_an_answer_that_nothing_speaks(host, provider, streamed):
    host.play({"text": ""})
    completion = await answer(provider, streamed=streamed)
    assert (completion.text, completion.finish, completion.refusal) == ("", Finish.STOP, "")
    assert not any(chunk.speaks for chunk in await stream(provider))


@either_way
async def test_a_refusal_is_no_answer(host, provider, kind, streamed):
    host.play({"refusal": "I can't help with that."})
    completion = await answer(provider, streamed=streamed)
    assert completion.text == ""
    if kind == "gemini":  # it blocks the prompt, without words
        assert completion.finish is Finish.CONTENT_FILTER
    else:
        assert completion.refusal == "I can't help with that."


@pytest.mark.parametrize("kind", ["anthropic", "gemini"], scope="module")
async def test_a_streamed_refusal_that_comes_alone_leaves_the_way_to_another_tier_open(host, provider):
    host.play({"refusal": "I can't help with that."})
    assert not any(chunk.speaks for chunk in await stream(provider))


async def test_leaving_a_stream_in_the_middle_hangs_up(host, provider):
    host.play({"between_tokens_ms": ONE_HOUR_MS})
    async with aclosing(provider.stream(call())) as chunks:
        assert (await anext(chunks)).speaks is False
        assert (await anext(chunks)).speaks is True
        await host.wait_for(in_flight=1, cancelled=0)
    await host.wait_for(in_flight=0, cancelled=1)


async def test_a_provider_is_usable_after_every_failure(host, provider):
    for then in ({"connection": "reset"}, {"cut_after_tokens": 2}, {"garbage": "html"}, {"status": 500}):
        host.play(then)
        for streamed in (False, True):
            await failure_of(provider, streamed=streamed)
    host.play()
    assert (await provider.complete(call())).text == KNOWN


@either_way
async def test_the_key_goes_into_a_header_and_nowhere_else(plain_host, opened, kind, streamed):
    plain_host.says(b"", status=500)
    provider = opened(kind, plain_host.url, api_key="sk-1", headers={"X-Project": "p1"})
    await failure_of(provider, streamed=streamed)
    headers, body = plain_host.requests[-1]
    name, value = KEY_HEADERS[kind]
    assert (headers[name], headers["x-project"]) == (value, "p1")
    assert "sk-1" not in plain_host.addresses[-1]
    assert "sk-1" not in str(body)


@either_way
async def test_each_call_shows_the_key_whose_number_it_has(plain_host, opened, kind, streamed):
    plain_host.says(b"", status=500)
    provider = opened(kind, plain_host.url, api_keys=["sk-0", "sk-1"])
    for key in (1, 0):
        numbered = Call("large-model", asked(), key)
        with pytest.raises(AttemptFailed):
            await (gathered(provider.stream(numbered)) if streamed else provider.complete(numbered))
    name, _ = KEY_HEADERS[kind]
    assert [headers[name][-4:] for headers, _ in plain_host.requests[-2:]] == ["sk-1", "sk-0"]


async def test_the_settings_own_headers_win_however_they_are_written(plain_host, opened, kind):
    plain_host.says(b"", status=500)
    name, _ = KEY_HEADERS[kind]
    provider = opened(kind, plain_host.url, api_key="sk-1", headers={name.upper(): "mine", "Content-TYPE": "text/x"})
    await failure_of(provider, streamed=False)
    headers, _ = plain_host.requests[-1]
    assert (headers.getlist(name), headers.getlist("content-type")) == (["mine"], ["application/json"])


async def test_without_a_key_no_header_is_sent_for_one(plain_host, opened, kind):
    plain_host.says(b"", status=500)
    await failure_of(opened(kind, plain_host.url), streamed=False)
    assert KEY_HEADERS[kind][0] not in plain_host.requests[-1][0]


@either_way
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<h1>502 Bad Gateway</h1>", "HTTP 502"),
        (b"", "HTTP 502"),
        (b"[]", "HTTP 502"),
        (b'["error"]', "HTTP 502"),
        (b'{"error": "no upstream"}', "no upstream"),
        (b'{"error": {}}', "no reason given"),
        (b'{"error": {"message": null, "code": 502}}', "502"),
        (b'{"error": null}', "None"),
        (b'[{"error": {"message": "Wrapped."}}]', "Wrapped."),
        (b'{"error": {"message": "x", "details": {"a": 1}}}', "x"),
        (b'{"error": {"message": "x", "details": ["a", {"retryDelay": 7}]}}', "x"),
    ],
)
async def test_an_error_reply_of_any_shape_is_read(plain_host, verbatim_provider, body, message, streamed):
    plain_host.says(body, status=502)
    failed = await failure_of(verbatim_provider, streamed=streamed)
    assert (failed.failure, failed.status, str(failed)) == (TRANSPORT, 502, message)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b'{"content": 1}', b'{"candidates": [1]}', b'{"choices": [1]}', b"[" * 100_000],
    ids=lambda content: content[:40].decode(),
)
@either_way
async def test_a_200_that_is_no_answer_is_a_failure(plain_host, verbatim_provider, content, streamed):
    if streamed:
        plain_host.streams(b"data: " + content) if content else plain_host.streams()
    else:
        plain_host.says(content)
    failed = await failure_of(verbatim_provider, streamed=streamed)
    assert failed.failure is (TRUNCATED if streamed and not content else TRANSPORT)


async def test_a_long_error_message_is_shortened(plain_host, verbatim_provider):
    plain_host.says({"error": {"message": "prompt " * 1000}}, status=400)
    assert len(str(await failure_of(verbatim_provider, streamed=False))) == 300


@either_way
async def test_a_redirect_is_no_fault_of_the_request(plain_host, verbatim_provider, streamed):
    plain_host.says(b"", status=308, location="https://elsewhere.invalid/v1/chat/completions")
    failed = await failure_of(verbatim_provider, streamed=streamed)
    assert (failed.failure, failed.status) == (TRANSPORT, 308)


async def test_a_hint_may_be_an_http_date(plain_host, verbatim_provider):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    plain_host.says({"error": {"message": "Slow down."}}, status=429, retry_after=date)
    assert 0 < (await failure_of(verbatim_provider, streamed=False)).retry_after_s <= 3600


@either_way
@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://nowhere.invalid"])
async def test_a_host_that_is_not_there_is_a_failure_of_transport(opened, kind, address, streamed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failed = await failure_of(opened(kind, address.format(port=port)), streamed=streamed)
    assert failed.failure is TRANSPORT


@either_way
async def test_a_host_that_accepts_nobody_is_a_failure_of_transport(opened, kind, streamed):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        # The kernel itself accepts as many as the backlog holds; whoever comes after them waits.
        queue = [socket.socket() for _ in range(3)]
        for client in queue:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        provider = opened(kind, f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout_s=0.05)
        failed = await failure_of(provider, streamed=streamed)
        for client in queue:
            client.close()
    assert (failed.failure, str(failed)) == (TRANSPORT, "connecting took too long")


@either_way
async def test_what_http_cannot_say_is_a_failure_of_transport(plain_host, streamed):
    """The settings refuse both."""
    before = len(plain_host.requests)
    for host in (Host(plain_host.url, ["sk-secret\n"]), Host("ftp://127.0.0.1")):
        provider = HttpProvider(ChatCompletions(), host)
        assert (await failure_of(provider, streamed=streamed)).failure is TRANSPORT
        await provider.aclose()
    assert len(plain_host.requests) == before
