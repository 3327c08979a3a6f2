"""POST /v1/chat/completions: OpenAI's, streamed and not."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from starlette.responses import StreamingResponse

from cacheguard.errors import CacheGuardError, ClientGone
from cacheguard.http.body import CHAT_COMPLETION, parse, read_body
from cacheguard.http.cache_control import parse_cache_control
from cacheguard.http.errors import error_body, error_response, failed
from cacheguard.http.head import new_id, read_head
from cacheguard.http.limits import InFlightLimit
from cacheguard.http.presence import Connected
from cacheguard.json_text import to_json
from cacheguard.providers.base import Completion
from cacheguard.providers.chat_shape import chunk_text, chunks_of
from cacheguard.reply import Reply
from cacheguard.request import Patient, Request
from cacheguard.telemetry.trace import Trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cacheguard.http.head import Head
    from cacheguard.providers.chat_shape import ChunkText
    from cacheguard.request import Asked, PassingBy
    from cacheguard.wiring import Service

Fields: TypeAlias = "list[tuple[bytes, bytes]]"

# What a request was understood to ask before it is called for, in its scope's state.
ASKED: Final = "cacheguard.asked"
_JSON: Final = (b"content-type", b"application/json")


class Chat:
    """The endpoint, as an ASGI app of its own: a framework's routing and requests would take longer than a hit.

    max_body: in bytes. limit: requests at once.
    """

    def __init__(self, service: Service, max_body: int, limit: int) -> None:
        self._service = service
        self._telemetry = service.telemetry
        self._max_body = max_body
        self._limit = InFlightLimit(limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = read_head(scope["headers"])
        begun = Begun(send, head.request_id)
        try:
            with self._limit:
                response = await self._answer(head, scope, receive)
                await response(scope, receive, begun.send)
        except CacheGuardError as error:
            self._telemetry.failed(error.code or error.type)
            await error_response(error)(scope, receive, begun.send)
        except Exception:
            self._telemetry.failed(CacheGuardError.type)
            if not begun.is_begun:
                await failed()(scope, receive, begun.send)
            raise  # the server logs it

    def at_once(self, head: Head, raw: bytes) -> Json | Asked | PassingBy | None:
        """The answer, where it is at hand; else what is asked, for the call to be told; None: call.

        raw: the body's bytes. The request gets a new id.
        """
        if not self._service.is_ready or len(raw) > self._max_body:
            return None
        trace = Trace(time.perf_counter, at=time.time(), request_id=new_id())
        try:
            tenant = self._service.tenants.of(head.authorization)
            directives = parse_cache_control(head.cache_control)
            found: Reply | Asked | PassingBy | None
            found = self._service.repeated(tenant, head.route, raw, directives, trace)
            if found is None:
                body = parse(CHAT_COMPLETION, raw)
                found = self._service.at_hand(Request(tenant, body, Patient(), head.route, directives, raw), trace)
        except Exception:  # noqa: BLE001 - the call meets it too, and tells
            return None
        if not isinstance(found, Reply):
            return found
        response = self._whole(found, trace)
        response.fields.append(id_field(trace.request_id))
        return response

    async def _answer(self, head: Head, scope: Scope, receive: Receive) -> ASGIApp:
        """The response. Raises CacheGuardError for what never came into the corridor."""
        trace = Trace(time.perf_counter, at=time.time(), request_id=head.request_id)
        asked: Asked | PassingBy | None = scope.get("state", {}).get(ASKED)
        if asked is not None:
            asked = asked.of(Connected(receive))
            request = asked.request
        else:
            tenant = self._service.tenants.of(head.authorization)
            raw = await read_body(receive, self._max_body)
            directives = parse_cache_control(head.cache_control)
            if repeated := self._service.repeated(tenant, head.route, raw, directives, trace):
                return self._whole(repeated, trace)
            request = Request(tenant, parse(CHAT_COMPLETION, raw), Connected(receive), head.route, directives, raw)
        try:
            reply = await self._service.answer(request, trace, asked)
        except CacheGuardError as error:
            self._telemetry.failed(trace.error)
            return error_response(error, refusal_fields(trace))
        if request.wants_stream:
            wants_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
            events = self._events(reply, trace, wants_usage=wants_usage)
            response = StreamingResponse(events, media_type="text/event-stream")
            response.raw_headers += fields_of(reply)
            return response
        return self._whole(reply, trace)

    def _whole(self, reply: Reply, trace: Trace) -> Json:
        assert isinstance(reply.content, Completion)  # noqa: S101 - only those who want streams get them
        body = to_json({**reply.content.body, "id": reply.completion_id})
        return Json(body, fields_of(reply), partial(self._telemetry.answered, trace))

    async def _events(self, reply: Reply, trace: Trace, *, wants_usage: bool) -> AsyncIterator[bytes]:
        """Server-sent events. A stream that breaks ends with an error event and without its end marker."""
        try:
            begin = b'data: {"id":%b,' % to_json(reply.completion_id)
            async for with_usage, without in _chunks(reply):
                if text := with_usage if wants_usage else without:
                    yield begin + text + b"\n\n"
        except CacheGuardError as error:
            self._broke(trace, error)
            yield _event(error_body(error))
            return
        except (asyncio.CancelledError, GeneratorExit):
            self._broke(trace, ClientGone("the client left in the middle of its answer"))
            raise
        self._telemetry.answered(trace)
        yield b"data: [DONE]\n\n"

    def _broke(self, trace: Trace, error: CacheGuardError) -> None:
        trace.failed(error)
        self._telemetry.failed(trace.error)


class Begun:
    """Sends a response, with the request's id, and knows whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id_field = id_field(request_id)
        self.is_begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            message["headers"].append(self._id_field)
        await self._send(message)


class Json:
    """A whole response, as an ASGI app. sent: called once it is on its way, so that no client waits for it."""

    def __init__(self, body: bytes, fields: Fields, sent: Callable[[], None]) -> None:
        self.fields = [_JSON, (b"content-length", b"%d" % len(body)), *fields]
        self.sent = sent
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        await send({"type": "http.response.start", "status": 200, "headers": self.fields})
        await send({"type": "http.response.body", "body": self._body})
        self.sent()

    def as_http(self, more: Fields) -> bytes:
        """The response as HTTP/1.1 has it. more: fields."""
        fields = b"".join([b"%b: %b\r\n" % field for field in chain(more, self.fields)])
        return b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (fields, self._body)


def id_field(request_id: str) -> tuple[bytes, bytes]:
    return b"x-request-id", request_id.encode("latin-1")


def fields_of(reply: Reply) -> Fields:
    """What happened, in header fields (contract, section 3), as ASGI wants them."""
    fields = [
        (b"cache-status", str(reply.status).encode("latin-1")),
        (b"x-cacheguard-tier", reply.tier.encode("latin-1")),
        (b"x-cacheguard-attempts", b"%d" % reply.tried.calls),
        (b"x-cacheguard-cost-usd", b"%.6f" % reply.cost_usd),
    ]
    if reply.age_s is not None:
        fields.append((b"age", b"%d" % reply.age_s))
    if reply.entry:
        fields.append((b"x-cacheguard-entry", reply.entry.encode("latin-1")))
    if reply.similarity is not None:
        fields.append((b"x-cacheguard-similarity", b"%.4f" % reply.similarity))
    if reply.confidence is not None:
        fields.append((b"x-cacheguard-confidence", b"%.4f" % reply.confidence))
    return fields


def refusal_fields(trace: Trace) -> dict[str, str]:
    """What happened before there was nothing to give."""
    if trace.status is None:
        return {}
    return {
        "cache-status": str(trace.status),
        "x-cacheguard-attempts": str(trace.tried.calls),
        "x-cacheguard-cost-usd": f"{trace.cost_usd:.6f}",
    }


async def _chunks(reply: Reply) -> AsyncIterator[ChunkText]:
    if isinstance(reply.content, Completion):
        for body in chunks_of(reply.content):
            yield chunk_text(body)
    else:
        async for chunk in reply.content:
            yield chunk


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + to_json(data) + b"\n\n"
