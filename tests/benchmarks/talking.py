"""A provider that takes its time: it streams a word every so often, and each says when it was sent.

Run it with `python -m tests.benchmarks.talking PORT WORDS PACE_S`. Whatever it is asked, it streams its answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from tests.benchmarks.load import END_OF_HEAD, LENGTH

# Before the time at which a word was sent: nanoseconds of the machine's monotonic clock, which all processes share.
SENT = b"sent"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_PLACE = "#######"


def _events() -> tuple[bytes, bytes, bytes]:
    """A word, before and after the time that it was sent; and the end."""
    chunk = {"id": "chatcmpl-benchmark", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "bench"}
    word = {
        **chunk,
        "choices": [{"index": 0, "delta": {"content": f"{SENT.decode()}{_PLACE} "}, "finish_reason": None}],
    }
    stop = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    used = {**chunk, "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60}}
    before, after = (part.encode() for part in f"data: {json.dumps(word)}\n\n".split(_PLACE))
    end = f"data: {json.dumps(stop)}\n\ndata: {json.dumps(used)}\n\ndata: [DONE]\n\n"
    return before, after, end.encode()


_BEFORE, _AFTER, _END = _events()


def _piece(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


class Connection(asyncio.Protocol):
    """One client, with one request under way. A GET is answered with an empty page."""

    def __init__(self, words: int, pace_s: float) -> None:
        self._words = words
        self._pace_s = pace_s
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
            self._transport.write(_HEAD)
            self._say(asyncio.get_running_loop(), asyncio.get_running_loop().time(), self._words)
        else:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self._received = b""

    def _say(self, loop: asyncio.AbstractEventLoop, at: float, left: int) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(_piece(_END) + b"0\r\n\r\n")
            return
        self._transport.write(_piece(b"%b%d%b" % (_BEFORE, time.monotonic_ns(), _AFTER)))
        loop.call_at(at + self._pace_s, self._say, loop, at + self._pace_s, left - 1)


async def serve(port: int, words: int, pace_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(words, pace_s), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
