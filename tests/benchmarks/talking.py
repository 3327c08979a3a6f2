"""A provider that takes its time: it streams a word every so often, and each says when it was sent.

Run it with `python -m tests.benchmarks.talking PORT WORDS PACE_S`. Whatever it is asked, it streams its answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from tests.benchmarks.answering import Answering, response, serve

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


class Connection(Answering):
    """A GET is answered with an empty page."""

    def __init__(self, words: int, pace_s: float) -> None:
        super().__init__()
        self._words = words
        self._pace_s = pace_s

    def posted(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport.write(_HEAD)
        self._say(loop, loop.time(), self._words)

    def got(self) -> None:
        self.transport.write(response(b""))

    def _say(self, loop: asyncio.AbstractEventLoop, at: float, left: int) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(_piece(_END) + b"0\r\n\r\n")
            return
        self.transport.write(_piece(b"%b%d%b" % (_BEFORE, time.monotonic_ns(), _AFTER)))
        loop.call_at(at + self._pace_s, self._say, loop, at + self._pace_s, left - 1)


if __name__ == "__main__":
    words, pace_s = int(sys.argv[2]), float(sys.argv[3])
    serve(int(sys.argv[1]), lambda: Connection(words, pace_s))
