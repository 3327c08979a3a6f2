"""A host is asked for its models, which costs nothing, to see whether it answers and takes the key."""

from __future__ import annotations

import socket

import pytest
from servers import serve
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.template import TemplateProvider
from cacheguard.settings import Provider
from cacheguard.wiring import make_provider

# kind: (where the host lists its models, the field that carries the key, its value)
LISTS = {
    "openai": ("/v1/models", "authorization", "Bearer sk-1"),
    "anthropic": ("/v1/models", "x-api-key", "sk-1"),
    "gemini": ("/v1beta/models", "x-goog-api-key", "sk-1"),
}


class Host:
    """Lists its models with a status, to whoever shows the key."""

    def __init__(self):
        self.url = ""
        self.status = 200
        self.content = b"{}"
        self.requests = []

    async def answer(self, request):
        self.requests.append(request)
        return Response(self.content, self.status)


@pytest.fixture(scope="module")
def host():
    host = Host()
    with serve(Starlette(routes=[Route("/{path:path}", host.answer, methods=["GET"])])) as url:
        host.url = url
        yield host


async def probe(kind, url):
    provider = make_provider(Provider(kind=kind, base_url=f"{url}/v1" if kind == "openai" else url, api_key="sk-1"))
    try:
        await provider.probe()
    finally:
        await provider.aclose()


@pytest.mark.parametrize("kind", LISTS)
async def test_each_format_asks_where_its_hosts_list_their_models_and_as_they_want_the_key(host, kind):
    path, field, key = LISTS[kind]
    host.status, host.content = 200, b"{}"
    await probe(kind, host.url)
    asked = host.requests[-1]
    assert (asked.method, asked.url.path, asked.headers[field]) == ("GET", path, key)
    assert "sk-1" not in str(asked.url)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("status", [404, 405])
async def test_a_host_that_lists_no_models_answers(host, kind, status):
    host.status = status
    await probe(kind, host.url)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (301, FailureClass.TRANSPORT),
        (401, FailureClass.AUTH),
        (402, FailureClass.QUOTA),
        (403, FailureClass.AUTH),
        (429, FailureClass.RATE_LIMIT),
        (503, FailureClass.TRANSPORT),
    ],
)
@pytest.mark.parametrize("content", [b"", b"<h1>No</h1>", b'{"error": {"message": "No."}}', b'{"error": [1]}'])
async def test_any_other_reply_fails_with_its_class(host, kind, status, failure, content):
    host.status, host.content = status, content
    with pytest.raises(AttemptFailed) as failed:
        await probe(kind, host.url)
    assert (failed.value.failure, failed.value.status) == (failure, status)


async def test_a_host_that_does_not_listen_fails():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(AttemptFailed) as failed:
        await probe("openai", f"http://127.0.0.1:{port}")
    assert (failed.value.failure, failed.value.status) == (FailureClass.TRANSPORT, None)


async def test_a_template_always_answers():
    await TemplateProvider("Later.").probe()
