"""A client of one stream, whose words say when they were sent (see talking)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import NamedTuple

from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.talking import SENT

_WORD = re.compile(SENT + rb"(\d+) ")
_END = b"data: [DONE]"
# A word may come in two pieces; so may the end.
_KEPT = 64


class Heard(NamedTuple):
    """When each word was sent and when it came, in ns of the clock that all processes of the machine share."""

    sent: list[int]
    came: list[int]


class Listener(asyncio.Protocol):
    """begun: done with the first word. ended: done with the end marker. Both raise WrongAnswer."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self._rest = b""
        self.heard = Heard([], [])
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data, last = self._rest + data, 0
        for word in _WORD.finditer(data):
            self.heard.sent.append(int(word[1]))
            self.heard.came.append(now)
            last = word.end()
        if last and not self.begun.done():
            self.begun.set_result(None)
        if _END in data:
            self.ended.set_result(None)
            self._transport.close()
        self._rest = data[last:][-_KEPT:]

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.begun, self.ended):
            if not future.done():
                words = len(self.heard.came)
                future.set_exception(WrongAnswer(f"a stream broke off after {words} words: {exc}; {self._rest!r}"))
