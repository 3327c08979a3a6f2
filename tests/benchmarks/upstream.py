"""The lightest provider that is still one: it gives the same chat completion to whatever is posted.

What stands between it and a client is measured, so it reads nothing of a request but its length. It counts the calls.
Run it with `python -m tests.benchmarks.upstream PORT [WAIT_MS]`.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from tests.benchmarks.load import END_OF_HEAD, LENGTH

_COMPLETION = json.dumps(
    {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Open the app, tap Cards, choose the card, then Freeze. You can undo it there.",
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 24, "total_tokens": 44},
    }
).encode()


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_COMPLETED = _answer(_COMPLETION)


class Calls:
    """How many were posted. wait_s: what an answer takes."""

    def __init__(self, wait_s: float) -> None:
        self.number = 0
        self.wait_s = wait_s


class Connection(asyncio.Protocol):
    """One client, with one request under way. Whatever it GETs is the number of calls."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._received = b""

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end)
        if len(self._received) < end + len(END_OF_HEAD) + (int(length[1]) if length else 0):
            return
        if self._received.startswith(b"POST "):
            self._calls.number += 1
            if self._calls.wait_s:
                asyncio.get_running_loop().call_later(self._calls.wait_s, self._transport.write, _COMPLETED)
            else:
                self._transport.write(_COMPLETED)
        else:
            self._transport.write(_answer(b"%d" % self._calls.number))
        self._received = b""


async def serve(port: int, wait_s: float) -> None:
    calls = Calls(wait_s)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(calls), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        port, wait_ms = (*sys.argv[1:], 0)[:2]
        runner.run(serve(int(port), float(wait_ms) / 1000))
