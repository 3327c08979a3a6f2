"""What goes wrong on the wire is a failure of transport; connections are kept, and closed once nobody listens."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import ssl
import subprocess
from contextlib import aclosing, asynccontextmanager

import pytest
from upstreams import asked, delta, gathered, text_of

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions
from cacheguard.providers.outbound import trusted

CALL = Call("gpt", asked())
YES = json.dumps({"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}).encode()
CHUNKED = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"

either_way = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


class RawHost:
    """Gives every request the same bytes, and then, unless it stays, hangs up.

    heads: of the requests. bodies: their lengths. connections: so many were opened. asked, left: once a client did.
    """

    def __init__(self, content, *, stays):
        self.content = content
        self.heads = []
        self.bodies = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._stays = stays

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head.decode())
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.bodies.append(len(await reader.readexactly(int(length or 0))))
                self.asked.set()
                writer.write(self.content)
                await writer.drain()
                if not self._stays:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def raw_host(content, *, stays=True, tls=None):
    host = RawHost(content, stays=stays)
    async with await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=tls) as server:
        host.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield host


@asynccontextmanager
async def provider_of(host, **rest):
    provider = HttpProvider(ChatCompletions(), Host(host.url, **rest))
    try:
        yield provider
    finally:
        await provider.aclose()


async def answer(provider, *, streamed, call=CALL):
    return text_of(await gathered(provider.stream(call))) if streamed else (await provider.complete(call)).text


def reply(content=YES, head=b"", *, status=b"200 OK"):
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, head, len(content), content)


def chunk(content):
    return b"%x\r\n%b\r\n" % (len(content), content)


def event(body):
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def stream(*chunks):
    return b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + b"".join(chunks)


EVENTS = event(delta(content="Yes.")) + event(delta("stop")) + b"data: [DONE]\n\n"


@either_way
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HTTP/1.1 200",
        b"Hello.\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}",
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n",
        reply(head=b"X: " + b"x" * 200_000 + b"\r\n"),
        reply(head=b"X: x\r\n" * 10_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 90\r\n\r\ndata: {",
        reply(head=b"Content-Encoding: gzip\r\n"),
        reply(head=b"Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"),
        reply(gzip.compress(YES)[:-20], b"Content-Encoding: gzip\r\n"),
        stream(b"not a size\r\n"),
        stream(chunk(event(delta(content="Yes."))), b"not a size\r\n"),
        stream(chunk(event(delta(content="Yes."))), b"90\r\nless"),
        stream(chunk(event(delta(content="Yes.")))),
    ],
    ids=lambda content: repr(content[:90]),
)
async def test_what_is_no_http_or_ends_early_is_a_failure_of_transport(content, streamed):
    async with raw_host(content, stays=False) as host, provider_of(host) as provider:
        with pytest.raises(AttemptFailed) as failed:
            await answer(provider, streamed=streamed)
    assert failed.value.failure is FailureClass.TRANSPORT


@either_way
async def test_a_compressed_answer_is_read(streamed):
    kind = b"Content-Encoding: gzip\r\n"
    if streamed:
        content = reply(gzip.compress(EVENTS), kind + b"Content-Type: text/event-stream\r\n")
    else:
        content = reply(gzip.compress(YES), kind)
    async with raw_host(content) as host, provider_of(host) as provider:
        assert await answer(provider, streamed=streamed) == "Yes."


async def test_a_conversation_of_any_length_is_sent():
    async with raw_host(reply()) as host, provider_of(host) as provider:
        long = Call("gpt", asked("word " * 1_000_000))
        assert await answer(provider, streamed=False, call=long) == "Yes."
        assert host.bodies[0] > 5_000_000


async def test_a_connection_serves_one_call_after_the_other():
    async with raw_host(reply()) as host, provider_of(host) as provider:
        for _ in range(3):
            assert await answer(provider, streamed=False) == "Yes."
        assert (host.connections, len(host.heads)) == (1, 3)


async def test_calls_at_once_have_a_connection_each():
    async with raw_host(reply()) as host, provider_of(host) as provider:
        await asyncio.gather(*(answer(provider, streamed=False) for _ in range(150)))
        assert host.connections == 150


async def test_a_host_that_hangs_up_after_each_call_is_asked_anew():
    async with raw_host(reply(head=b"Connection: close\r\n"), stays=False) as host, provider_of(host) as provider:
        for _ in range(3):
            assert await answer(provider, streamed=False) == "Yes."
        assert host.connections == 3


async def test_a_stream_that_is_left_hangs_up():
    async with raw_host(stream(chunk(event(delta(content="Yes."))))) as host, provider_of(host) as provider:
        async with aclosing(provider.stream(CALL)) as chunks:
            await anext(chunks)
            assert not host.left.is_set()
        await host.left.wait()


async def test_a_call_that_is_cancelled_hangs_up():
    async with raw_host(b"") as host, provider_of(host) as provider:
        call = asyncio.create_task(answer(provider, streamed=False))
        await host.asked.wait()
        call.cancel()
        await host.left.wait()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_closing_hangs_up_and_closing_what_was_never_asked_does_nothing():
    async with raw_host(reply()) as host:
        async with provider_of(host) as provider:
            await answer(provider, streamed=False)
        await host.left.wait()
        async with provider_of(host):
            pass
        assert host.connections == 1


async def test_cookies_are_not_kept():
    async with raw_host(reply(head=b"Set-Cookie: session=1\r\n")) as host, provider_of(host) as provider:
        for _ in range(2):
            await answer(provider, streamed=False)
        assert "cookie" not in host.heads[1].lower()


@pytest.fixture
def certificate(tmp_path):
    """A file with a certificate of this machine's own, and its key."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl, which makes certificates, is not installed")
    file = tmp_path / "own.pem"
    name = ["-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", file, "-out", file, *name]
    subprocess.run(made, check=True, capture_output=True)
    return file


async def test_only_a_host_whose_certificate_is_trusted_is_asked(certificate, monkeypatch):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with raw_host(reply(), tls=tls) as host:
        async with provider_of(host) as provider:
            with pytest.raises(AttemptFailed, match="certificate verify failed") as failed:
                await answer(provider, streamed=False)
        assert (failed.value.failure, host.heads) == (FailureClass.TRANSPORT, [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted.cache_clear()
        async with provider_of(host) as provider:
            assert await answer(provider, streamed=False) == "Yes."
        trusted.cache_clear()


@either_way
async def test_a_proxy_of_the_environment_is_asked_with_its_password(monkeypatch, streamed):
    async with raw_host(stream(chunk(EVENTS), chunk(b"")) if streamed else reply()) as proxy:
        address = proxy.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@{address}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        elsewhere = HttpProvider(ChatCompletions(), Host("http://model.invalid/v1"))
        for _ in range(2):
            assert await answer(elsewhere, streamed=streamed) == "Yes."
        await elsewhere.aclose()
        whole_address = "POST http://model.invalid/v1/chat/completions HTTP/1.1\r\n"
        assert [head.startswith(whole_address) for head in proxy.heads] == [True, True]
        assert ["Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in head for head in proxy.heads] == [True, True]


async def test_a_proxy_that_is_not_there_is_a_failure_that_keeps_its_password(monkeypatch):
    async with raw_host(b"") as gone:
        address = gone.url.removeprefix("http://").removesuffix("/v1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://user:secret@{address}")
    for url in ("http://model.invalid/v1", "https://model.invalid/v1"):
        provider = HttpProvider(ChatCompletions(), Host(url))
        with pytest.raises(AttemptFailed) as failed:
            await answer(provider, streamed=False)
        await provider.aclose()
        assert failed.value.failure is FailureClass.TRANSPORT
        assert "secret" not in str(failed.value)
