"""The lightest HTTP server that is still one: it reads nothing of a request but its method and length."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import uvloop

from tests.benchmarks.load import END_OF_HEAD, LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable


class Answering(asyncio.Protocol, ABC):
    """One client, with one request under way."""

    def __init__(self) -> None:
        self._received = b""

    @abstractmethod
    def posted(self) -> None:
        """Answer what was posted."""

    @abstractmethod
    def got(self) -> None:
        """Answer a GET."""

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end)
        if len(self._received) < end + len(END_OF_HEAD) + (int(length[1]) if length else 0):
            return
        is_post = self._received.startswith(b"POST ")
        self._received = b""
        if is_post:
            self.posted()
        else:
            self.got()


def response(body: bytes) -> bytes:
    """A whole one, of JSON."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def serve(port: int, connection: Callable[[], Answering]) -> None:
    """On loopback, for ever. connection: makes one for each client."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(forever())
