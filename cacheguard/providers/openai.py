"""OpenAI's chat completions, and every host that speaks them.

Source: platform.openai.com/docs/api-reference/chat; error codes from its guide "Error codes".
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from httpx_sse import EventSource, SSEError

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Body, Call, Chunk, Completion
from cacheguard.providers.chat_shape import Joining, read_chunk, read_completion
from cacheguard.providers.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

_END = "[DONE]"
_ERROR_TEXT_LIMIT = 300


class OpenAIProvider:
    """One host. Every failure comes out as AttemptFailed with its class.

    missing_finish_is_stop: for hosts that never send a finish_reason; elsewhere such an answer counts as cut.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        headers: Mapping[str, str] | None = None,
        connect_timeout_s: float = 5.0,
        missing_finish_is_stop: bool = False,
    ) -> None:
        authorization = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={**authorization, **(headers or {}), "Content-Type": "application/json"},
            # Only connecting is timed here: whoever calls holds the clocks for tokens and total.
            timeout=httpx.Timeout(None, connect=connect_timeout_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )
        self._missing_finish_is_stop = missing_finish_is_stop

    async def complete(self, call: Call) -> Completion:
        with _classified():
            response = await self._client.post("chat/completions", content=_encode(call, stream=False))
            if not response.is_success:
                raise _failure(response)
            body = _parse(response.content)
            if self._missing_finish_is_stop:
                body["choices"][0]["finish_reason"] = body["choices"][0].get("finish_reason") or "stop"
            return read_completion(body)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        request = self._client.build_request("POST", "chat/completions", content=_encode(call, stream=True))
        with _classified():
            response = await self._client.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise _failure(response)
                async for chunk in self._chunks(response):
                    yield chunk
            finally:
                await response.aclose()

    async def _chunks(self, response: httpx.Response) -> AsyncGenerator[Chunk, None]:
        seen = Joining()
        async for event in EventSource(response).aiter_sse():
            if event.data == _END:
                if not seen.finished and self._missing_finish_is_stop:
                    yield Chunk({**seen.completion().body, **_STOPPED})
                elif not seen.finished:
                    raise AttemptFailed(FailureClass.TRUNCATED, "the stream ended without a finish_reason")
                return
            if not event.data:  # a ping or a retry hint; the standard says to pass over it, the parser doesn't
                continue
            chunk = read_chunk(_parse(event.data))
            seen.add(chunk)
            yield chunk
        raise AttemptFailed(FailureClass.TRUNCATED, "the stream ended without its end marker")

    async def aclose(self) -> None:
        await self._client.aclose()


_STOPPED: Body = {
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
}


def _encode(call: Call, *, stream: bool) -> bytes:
    body = {**call.body, "model": call.model, "stream": stream}
    body.pop("stream_options", None)
    if stream:
        # Costs are counted whether or not the client asked for usage.
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def _parse(data: bytes | str) -> Body:
    """The JSON object in `data`; an error object, which some hosts send with a 200, fails as the error it is."""
    body = json.loads(data)
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")
    if body.get("error"):
        raise _error_failure(body["error"], status=None, hint_s=None)
    return body


@contextmanager
def _classified() -> Iterator[None]:
    """Every foreign error of a call, mapped in this one place."""
    try:
        yield
    except httpx.ConnectTimeout as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, "connecting took too long") from exc
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, f"{type(exc).__name__}: {exc}") from exc
    except SSEError as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, "the reply is no event stream") from exc
    except (ValueError, RecursionError) as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, "the reply is no JSON") from exc
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, f"the reply is no chat completion: {exc!r}") from exc


def _failure(response: httpx.Response) -> AttemptFailed:
    try:
        error = json.loads(response.content)["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"HTTP {response.status_code}"}
    return _error_failure(error, response.status_code, retry_after_s(response.headers, time.time()))


def _error_failure(error: Any, status: int | None, hint_s: float | None) -> AttemptFailed:
    if not isinstance(error, dict):
        error = {"message": str(error)}
    code = str(error.get("code") or error.get("type") or "")
    message = str(error.get("message") or code or "no reason given")[:_ERROR_TEXT_LIMIT]
    return AttemptFailed(
        classify(status, code, message),
        message,
        status=status,
        retry_after_s=hint_s,
        unknown_model=status == httpx.codes.NOT_FOUND or code == "model_not_found",
    )


_CLASS_OF_CODE: Mapping[str, FailureClass] = {
    "insufficient_quota": FailureClass.QUOTA,
    "billing_hard_limit_reached": FailureClass.QUOTA,
    "rate_limit_exceeded": FailureClass.RATE_LIMIT,
    "invalid_api_key": FailureClass.AUTH,
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH,
    "content_filter": FailureClass.CONTENT_FILTER,
    "content_policy_violation": FailureClass.CONTENT_FILTER,
    "model_not_found": FailureClass.BAD_REQUEST,
}
_CLASS_OF_STATUS: Mapping[int | None, FailureClass] = {
    400: FailureClass.BAD_REQUEST,
    401: FailureClass.AUTH,
    402: FailureClass.QUOTA,
    403: FailureClass.AUTH,
    404: FailureClass.BAD_REQUEST,
    413: FailureClass.CONTEXT_LENGTH,
    422: FailureClass.BAD_REQUEST,
    429: FailureClass.RATE_LIMIT,
}
# Compatible hosts say in words what OpenAI says by code (llama.cpp, vLLM, Ollama).
_TOO_LONG = re.compile("context (length|window|size)|maximum context", re.IGNORECASE)


def classify(status: int | None, code: str, message: str) -> FailureClass:
    """The class of an error reply. status: None for an error inside a 200. code: `error.code`, else `error.type`."""
    if code in _CLASS_OF_CODE:
        return _CLASS_OF_CODE[code]
    if status is not None and status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return FailureClass.TRANSPORT
    if _TOO_LONG.search(message):
        return FailureClass.CONTEXT_LENGTH
    # Any other status (a redirect, a wrong method), and an error inside a 200, is no fault of the request.
    return _CLASS_OF_STATUS.get(status, FailureClass.TRANSPORT)
