"""A user's own endpoint is asked like a model: a question and its conversation in, a text out."""

from __future__ import annotations

import socket

import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from servers import serve
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from upstreams import asked, gathered, text_of, verbatim

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Finish, Usage
from cacheguard.settings import Provider
from cacheguard.wiring import make_provider

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPT = "How do I raise my limit?"
USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 90}}
either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@pytest.fixture(scope="module")
def host():
    with verbatim() as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened():
    """Opens endpoints as the service does, closed at the end."""
    providers = []

    def open_endpoint(url, **settings):
        providers.append(make_provider(Provider.model_validate({"kind": "http", "base_url": url, **settings})))
        return providers[-1]

    yield open_endpoint
    for provider in providers:
        await provider.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(host, opened):
    return opened(f"{host.url}/rag/ask")


async def answer(endpoint, *, streamed=False, **rest):
    """Its text and usage, whichever way it came."""
    call = Call("papers", asked(PROMPT, **rest))
    if not streamed:
        completion = await endpoint.complete(call)
        return completion.text, completion.usage
    chunks = await gathered(endpoint.stream(call))
    usage = chunks[-1].body["usage"]
    return text_of(chunks), Usage(usage["prompt_tokens"], usage["completion_tokens"], 0)


async def failure_of(endpoint, *, streamed=False, **rest):
    with pytest.raises(AttemptFailed) as raised:
        await answer(endpoint, streamed=streamed, **rest)
    return raised.value


@either_way
async def test_it_gets_the_question_the_conversation_and_the_tiers_model(host, endpoint, streamed):
    host.says({"answer": "In the app."})
    messages = [
        {"role": "system", "content": "You are a bank."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": PROMPT},
    ]
    assert (await answer(endpoint, streamed=streamed, messages=messages, temperature=0.5))[0] == "In the app."
    headers, body = host.requests[-1]
    assert body == {"question": PROMPT, "messages": messages, "model": "papers"}
    assert host.addresses[-1] == "rag/ask"
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("content", "question"),
    [
        ("Why?", "Why?"),
        ([{"type": "text", "text": "Look:"}, {"type": "image_url"}, {"type": "text", "text": "why?"}], "Look:\nwhy?"),
        (None, ""),
    ],
)
async def test_the_question_is_what_the_user_said_last_in_words(host, endpoint, content, question):
    host.says({"answer": "Because."})
    called = {"role": "assistant", "tool_calls": []}
    await answer(endpoint, messages=[{"role": "user", "content": content}, called, {"role": "tool", "content": "rain"}])
    assert host.requests[-1][1]["question"] == question


async def test_a_conversation_without_a_user_has_no_question(host, endpoint):
    host.says({"answer": "Because."})
    await answer(endpoint, messages=[{"role": "system", "content": "Speak."}])
    assert host.requests[-1][1]["question"] == ""


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        ({"answer": "Yes.", "sources": ["a.pdf"]}, "application/json", "Yes."),
        (b'{"answer": "Stra\xc3\x9fe"}', "", "Straße"),
        ({"answer": None}, "application/json", ""),
        ({"answer": ""}, "application/json", ""),
        (b"Yes,\nindeed.", "text/plain", "Yes,\nindeed."),
        (b'{"answer": "quoted"}', "text/plain", '{"answer": "quoted"}'),
        ("Straße".encode("latin-1"), "text/plain; charset=latin-1", "Straße"),
        (b"", "text/plain", ""),
        (b"", "application/json", ""),
    ],
)
async def test_its_text_is_the_answer(host, endpoint, reply, kind, text):
    host.says(reply, kind=kind)
    for streamed in (False, True):
        assert await answer(endpoint, streamed=streamed) == (text, Usage())


async def test_nothing_found_is_an_empty_answer(host, endpoint):
    host.says(b"", status=204)
    assert (await answer(endpoint))[0] == ""


async def test_the_answer_may_stand_in_another_field(host, opened):
    host.says({"answer": "No.", "result": "Yes."})
    assert (await answer(opened(host.url, answer_field="result")))[0] == "Yes."


async def test_usage_is_counted_where_it_is_told(host, endpoint):
    host.says({"answer": "Yes.", "usage": USAGE})
    assert (await answer(endpoint))[1] == Usage(input=100, output=7, cached_input=90)


async def test_openais_client_takes_what_is_made_of_it_for_its_own(host, endpoint):
    host.says({"answer": "Yes."})
    completion = await endpoint.complete(Call("papers", asked()))
    assert completion.finish is Finish.STOP
    assert ChatCompletion.model_validate(completion.body, strict=True).model == "papers"
    chunks = [
        ChatCompletionChunk.model_validate(chunk.body)
        for chunk in await gathered(endpoint.stream(Call("papers", asked())))
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, "stop"]


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (301, FailureClass.TRANSPORT),
        (400, FailureClass.BAD_REQUEST),
        (401, FailureClass.AUTH),
        (402, FailureClass.QUOTA),
        (404, FailureClass.BAD_REQUEST),
        (413, FailureClass.CONTEXT_LENGTH),
        (429, FailureClass.RATE_LIMIT),
        (503, FailureClass.TRANSPORT),
    ],
)
@pytest.mark.parametrize("content", [b"", b"<h1>No</h1>", b'{"error": {"message": "No."}}', b'{"detail": "No."}'])
async def test_an_error_status_has_its_class(host, endpoint, status, failure, content):
    host.says(content, status=status, retry_after="7")
    for streamed in (False, True):
        failed = await failure_of(endpoint, streamed=streamed)
        assert (failed.failure, failed.status, failed.retry_after_s) == (failure, status, 7)
        assert failed.unknown_model is (status == 404)


@either_way
@pytest.mark.parametrize(
    "content",
    [b"<h1>Hello</h1>", b"[]", b"{}", b'{"answer": 7}', b'{"answer": ["Yes."]}', b'{"error": "no index"}', b"[" * 9999],
    ids=lambda content: content[:20].decode(),
)
async def test_a_200_that_is_no_answer_is_a_failure(host, endpoint, content, streamed):
    host.says(content)
    assert (await failure_of(endpoint, streamed=streamed)).failure is FailureClass.TRANSPORT


@pytest.mark.parametrize("messages", [None, [7], [{}], [{"role": "user", "content": [7]}]])
async def test_messages_of_another_shape_are_a_bad_request_that_is_never_sent(host, endpoint, messages):
    before = len(host.requests)
    assert (await failure_of(endpoint, messages=messages)).failure is FailureClass.BAD_REQUEST
    assert len(host.requests) == before


async def test_the_key_goes_where_most_want_it_or_wherever_headers_say(host, opened):
    host.says({"answer": "Yes."})
    await answer(opened(host.url, api_key="sk-1"))
    await answer(opened(host.url, headers={"X-Functions-Key": "sk-2"}))
    (first, _), (second, _) = host.requests[-2:]
    assert (first["authorization"], second["x-functions-key"]) == ("Bearer sk-1", "sk-2")
    assert "authorization" not in second


@pytest.mark.parametrize("status", [200, 204, 307, 401, 403, 404, 405, 429])
async def test_an_endpoint_that_answers_anything_is_there(opened, status):
    async def reply(request):
        return Response(status_code=status if request.method == "OPTIONS" else 500)

    with serve(Starlette(routes=[Route("/ask", reply, methods=["OPTIONS", "GET", "POST"])])) as url:
        await opened(f"{url}/ask").probe()


async def test_an_endpoint_that_is_broken_or_gone_is_not_there(host, opened):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with serve(Starlette(routes=[Route("/", lambda _: Response(status_code=503), methods=["OPTIONS"])])) as url:
        for nowhere in (url, f"http://127.0.0.1:{port}"):
            with pytest.raises(AttemptFailed) as failed:
                await opened(nowhere).probe()
            assert failed.value.failure is FailureClass.TRANSPORT
