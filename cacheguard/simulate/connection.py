"""One client's connection: the only place that reaches through ASGI, which can't drop a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive, Send

JSON = b"application/json"

# SO_LINGER on, for 0 s: the close is a reset.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ClientGone(Exception):
    """The client closed the connection before its answer was out."""


class Connection:
    """Reads one request, answers it, waits with an eye on the client. Runs under uvicorn only."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        """The request's body. Raises ClientGone."""
        body, more = b"", True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message["body"]
            more = message["more_body"]
        return body

    async def wait(self, seconds: float) -> None:
        """Wait. Raises ClientGone as soon as the client leaves."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.gone()
        except TimeoutError:
            return
        raise ClientGone

    async def gone(self) -> None:
        """Return once the client has left; the body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def respond(self, status: int, body: bytes, *headers: tuple[bytes, bytes], kind: bytes = JSON) -> None:
        """A whole response."""
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [(b"content-type", kind), length, *headers])
        await self.finish(body)

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, body: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def cut(self) -> None:
        """Close without ending the response; what was written still arrives."""
        self._transport.close()
        await self.gone()

    async def reset(self) -> None:
        """Drop the connection: the client sees it reset by its peer."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()
        await self.gone()

    @property
    def _transport(self) -> asyncio.Transport:
        # uvicorn's `receive` is a method of its request cycle, which knows the transport. A bare return
        # would drop the connection as well, but only once headers are out, and uvicorn logs it as an error.
        transport: asyncio.Transport = self._receive.__self__.transport  # type: ignore[attr-defined]
        return transport
