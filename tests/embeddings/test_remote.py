"""The remote embedder against a real server on loopback that misbehaves on a script."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from embeddings.base import RemoteFailed
from embeddings.opening import open_embedder
from embeddings.remote import RemoteEndpoint, connect

KEY = "sk-very-secret"


class Server:
    """Speaks just enough HTTP; `script` holds the next answers, (status, body, headers), before good ones."""

    def __init__(self):
        self.script = []
        self.requests = []
        self.waits = []
        self.dimension = 3

    async def start(self):
        self.listening = await asyncio.start_server(self.serve, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self.listening.sockets[0].getsockname()[1]}/v1"

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                self.requests.append((head, asked))
                status, body, headers = self.script.pop(0) if self.script else self.good(asked)
                if status is None:  # hangs until the client gives up
                    await reader.read()
                    break
                lines = [f"HTTP/1.1 {status} Scripted", f"content-length: {len(body)}", *headers]
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def good(self, asked):
        n = asked.get("dimensions", self.dimension)
        rows = [
            {"index": i, "embedding": [float(len(text)), *[1.0] * (n - 1)]} for i, text in enumerate(asked["input"])
        ]
        return 200, json.dumps({"data": rows[::-1]}).encode(), ()

    async def wait(self, seconds):
        self.waits.append(seconds)

    def endpoint(self, **options):
        return RemoteEndpoint(self.url, KEY, **options)


@pytest.fixture
async def server():
    server = Server()
    await server.start()
    yield server
    server.listening.close()


@pytest.fixture
async def remote(server):
    remote = await connect("text-embedding-3-small", server.endpoint(timeout_s=5), server.wait)
    yield remote
    await remote.aclose()


async def test_vectors_are_unit_and_in_the_order_of_the_texts_whatever_order_the_rows_have(remote, server):
    embedded = await remote.embed(["aaaa", "a", ""])
    expected = np.array([[4, 1, 1], [1, 1, 1], [1, 1, 1]])
    assert np.allclose(embedded.vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True))
    assert embedded.vectors.dtype == np.float32
    assert f"authorization: bearer {KEY}" in server.requests[0][0]


async def test_large_calls_go_out_in_requests_of_at_most_256_inputs(remote, server):
    assert (await remote.embed(["x"] * 600)).vectors.shape == (600, 3)
    assert [len(asked["input"]) for _, asked in server.requests[1:]] == [256, 256, 88]


async def test_dimension_and_fingerprint_come_from_the_first_call(server):
    whole = await connect("m", server.endpoint(), server.wait)
    short = await open_embedder("openai:m", remote=server.endpoint(dimensions=2))
    assert (whole.spec.dimension, short.spec.dimension) == (3, 2)
    assert whole.spec.fingerprint != short.spec.fingerprint
    await whole.aclose()
    await short.aclose()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_failure_is_tried_again(remote, server, status):
    server.script = [(status, b"{}", ())]
    assert (await remote.embed(["a"])).vectors.shape == (1, 3)
    assert len(server.waits) == 1


async def test_retry_after_is_honoured(remote, server):
    server.script = [(429, b"{}", ("retry-after: 7",))]
    await remote.embed(["a"])
    assert server.waits == [7.0]


async def test_a_retry_after_that_is_too_long_fails_at_once(remote, server):
    server.script = [(429, b'{"error": {"message": "quota used up"}}', ("retry-after: 3600",))]
    with pytest.raises(RemoteFailed, match=r"'text-embedding-3-small' at 127\.0\.0\.1 answered 429: quota used up"):
        await remote.embed(["a"])
    assert server.waits == []


async def test_retries_are_bounded_and_back_off(remote, server):
    server.script = [(500, b"oops", ())] * 10
    with pytest.raises(RemoteFailed, match="answered 500"):
        await remote.embed(["a"])
    assert len(server.script) == 6
    assert server.waits == sorted(server.waits)


async def test_a_refusal_is_not_tried_again_and_never_shows_the_key(remote, server):
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    server.script = [(401, body, ())]
    with pytest.raises(RemoteFailed, match="answered 401: Incorrect API key provided: …") as failed:
        await remote.embed(["a"])
    assert KEY not in str(failed.value)
    assert KEY not in repr(server.endpoint())
    assert server.waits == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"data": [1]}',
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": "text"}]}',
        b'{"data": [{"index": 0, "embedding": [0, 0, 0]}]}',
        b'{"data": [{"index": 0, "embedding": [NaN, 0, 0]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 0, 0]}, {"index": 1, "embedding": [1]}]}',
    ],
)
async def test_garbage_is_an_error_that_says_so(remote, server, body):
    server.script = [(200, body, ())]
    with pytest.raises(RemoteFailed, match=r"did not answer with embeddings|gave vectors of shape"):
        await remote.embed(["a"])


async def test_vectors_of_another_dimension_than_before_are_refused(remote, server):
    server.dimension = 5
    with pytest.raises(RemoteFailed, match="its model has changed"):
        await remote.embed(["a"])


async def test_a_server_that_hangs_is_given_up(server):
    server.script = [(None, b"", ())] * 4
    with pytest.raises(RemoteFailed, match=r"can't be reached \(ReadTimeout\): check its base_url"):
        await connect("m", server.endpoint(timeout_s=0.05), server.wait)


async def test_a_server_that_is_not_there_is_named(server):
    server.listening.close()
    await server.listening.wait_closed()
    with pytest.raises(RemoteFailed, match=r"at 127\.0\.0\.1 can't be reached \(ConnectError\)"):
        await connect("m", server.endpoint(), server.wait)
