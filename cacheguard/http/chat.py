"""POST /v1/chat/completions: OpenAI's, streamed and not."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from fastapi import Request as HttpRequest
from fastapi import Response
from fastapi.responses import StreamingResponse

from cacheguard.errors import CacheGuardError, ClientGone
from cacheguard.http.body import CHAT_COMPLETION, parse, read_body
from cacheguard.http.cache_control import parse_cache_control
from cacheguard.http.errors import error_body, error_response
from cacheguard.http.presence import Connected
from cacheguard.providers.base import Completion
from cacheguard.providers.chat_shape import chunks_of
from cacheguard.request import Request
from cacheguard.telemetry.trace import Trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from cacheguard.reply import Reply
    from cacheguard.wiring import Service


class Chat:
    """The endpoint. max_body: in bytes."""

    def __init__(self, service: Service, max_body: int) -> None:
        self._service = service
        self._telemetry = service.telemetry
        self._max_body = max_body

    async def answer(self, http: HttpRequest) -> Response:
        trace = Trace(time.perf_counter, at=time.time(), request_id=http.state.request_id)
        tenant = self._service.tenants.of(http.headers.get("authorization"))
        body = parse(CHAT_COMPLETION, await read_body(http, self._max_body))
        request = Request(
            tenant,
            body,
            Connected(http),
            route=http.headers.get("x-cacheguard-route"),
            directives=parse_cache_control(",".join(http.headers.getlist("cache-control"))),
        )
        try:
            reply = await self._service.answer(request, trace)
        except CacheGuardError as error:
            self._telemetry.failed(trace.error)
            return error_response(error, refusal_headers(trace))
        headers = reply_headers(reply)
        if request.wants_stream:
            wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            events = self._events(reply, trace, wants_usage=wants_usage)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        assert isinstance(reply.content, Completion)  # noqa: S101 - only those who want streams get them
        self._telemetry.answered(trace)
        answer = {**reply.content.body, "id": reply.completion_id}
        return Response(json.dumps(answer), media_type="application/json", headers=headers)

    async def _events(self, reply: Reply, trace: Trace, *, wants_usage: bool) -> AsyncIterator[bytes]:
        """Server-sent events. A stream that breaks ends with an error event and without its end marker."""
        try:
            async for chunk in _chunks(reply):
                if not wants_usage:
                    if not chunk["choices"]:
                        continue
                    chunk.pop("usage", None)
                yield _event({**chunk, "id": reply.completion_id})
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


def reply_headers(reply: Reply) -> dict[str, str]:
    """What happened, in header fields (contract, section 3)."""
    headers = {
        "Cache-Status": str(reply.status),
        "X-CacheGuard-Tier": reply.tier,
        "X-CacheGuard-Attempts": str(reply.tried.calls),
        "X-CacheGuard-Cost-USD": f"{reply.cost_usd:.6f}",
    }
    if reply.age_s is not None:
        headers["Age"] = str(int(reply.age_s))
    if reply.entry:
        headers["X-CacheGuard-Entry"] = reply.entry
    if reply.similarity is not None:
        headers["X-CacheGuard-Similarity"] = f"{reply.similarity:.4f}"
    if reply.confidence is not None:
        headers["X-CacheGuard-Confidence"] = f"{reply.confidence:.4f}"
    return headers


def refusal_headers(trace: Trace) -> dict[str, str]:
    """What happened before there was nothing to give."""
    if trace.status is None:
        return {}
    return {
        "Cache-Status": str(trace.status),
        "X-CacheGuard-Attempts": str(trace.tried.calls),
        "X-CacheGuard-Cost-USD": f"{trace.cost_usd:.6f}",
    }


async def _chunks(reply: Reply) -> AsyncIterator[dict[str, Any]]:
    if isinstance(reply.content, Completion):
        for body in chunks_of(reply.content):
            yield body
    else:
        async for chunk in reply.content:
            yield dict(chunk.body)


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
