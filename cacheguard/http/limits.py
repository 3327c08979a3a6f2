"""Requests at once: past the limit, clients are told to come back instead of waiting in line for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.errors import Overloaded
from cacheguard.http.errors import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from cacheguard.telemetry.events import Telemetry

RETRY_AFTER_S = 1.0


class InFlightLimit:
    """ASGI middleware that counts requests until their last byte is sent. Other paths than `path` pass."""

    def __init__(self, app: ASGIApp, *, path: str, limit: int, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._path = path
        self._limit = limit
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limit:
            error = Overloaded(f"{self._limit} requests are being answered already; try again soon", RETRY_AFTER_S)
            self._telemetry.failed(Overloaded.code)
            await error_response(error)(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
