"""Keep-alive HTTP/1.1 connections to several servers: each asks when it is told to, and gives the whole answer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.load import END_OF_HEAD, LENGTH

if TYPE_CHECKING:
    from typing import Self

# A server that says nothing must not hold the run up.
_SILENCE_S = 30.0


class Answer(NamedTuple):
    """status: 0 where the connection broke. took_s: from asking to its end."""

    status: int
    head: bytes
    body: bytes
    took_s: float

    def field(self, name: bytes) -> bytes:
        """A header's value, b"" where there is none. name: in lower case."""
        at = self.head.lower().find(b"\r\n" + name + b": ")
        return self.head[at + len(name) + 4 :].partition(b"\r\n")[0] if at >= 0 else b""


class Client:
    """One server, over as many connections as are under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def ask(self, request: bytes) -> Answer:
        begun = time.perf_counter()
        try:
            connection = self._idle.pop() if self._idle else await _Connection.to(self._port)
            async with asyncio.timeout(_SILENCE_S):
                head, body = await connection.ask(request)
        except (OSError, TimeoutError):
            return Answer(0, b"", b"", time.perf_counter() - begun)
        self._idle.append(connection)
        return Answer(int(head[9:12]), head, body, time.perf_counter() - begun)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class _Connection(asyncio.Protocol):
    """With one request under way."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None

    @classmethod
    async def to(cls, port: int) -> Self:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        if self._transport.is_closing():
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        length = LENGTH.search(self._received, 0, end) if end >= 0 else None
        if length and len(self._received) >= end + len(END_OF_HEAD) + int(length[1]):
            head, body = self._received[: end + 2], self._received[end + len(END_OF_HEAD) :]
            self._received = b""
            if self._answer and not self._answer.done():
                self._answer.set_result((head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())
