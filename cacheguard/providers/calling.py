"""Calls over HTTP, which all wire formats share: a format says what is sent and what came; here it is sent and read.

Foreign errors become AttemptFailed here and nowhere else.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import httpx
from httpx_sse import EventSource, SSEError

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Container, Iterable, Iterator, Mapping, Sequence

    from cacheguard.providers.base import Body, Call, Chunk, Completion

# OpenAI's end marker; proxies before other formats send it too.
_DONE = "[DONE]"
_ERROR_TEXT_LIMIT = 300
_AN_ERROR_STATUS = re.compile("[45][0-9]{2}")
# Compatible hosts that only answer questions say so, and thereby that they are there.
_LISTS_NO_MODELS = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED})


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """error: the host's error object. status: inside a 200 the object's own, where it has one. hint_s: from headers."""

    error: Mapping[str, Any]
    status: int | None
    hint_s: float | None

    def word(self, *fields: str) -> str:
        """The first of these fields that says anything, else ""."""
        return next((str(self.error[field]) for field in fields if self.error.get(field)), "")

    @property
    def message(self) -> str:
        return (self.word("message", "code", "type", "status") or "no reason given")[:_ERROR_TEXT_LIMIT]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error reply means. retry_after_s: the host's hint, wherever it stood."""

    failure: FailureClass
    retry_after_s: float | None = None
    unknown_model: bool = False


class Reading(Protocol):
    """One stream as it is read. done: the end marker has come, and nothing behind it is read."""

    done: bool

    def read(self, event: Body) -> Iterable[Chunk]:
        """What an event says, as OpenAI's chunks."""
        ...

    def close(self) -> Iterable[Chunk]:
        """What is said at the end. Raises AttemptFailed for an answer that isn't whole."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """Where a provider is, and how it is called. keys: any of them opens it; "" where it asks for none."""

    base_url: str
    keys: Sequence[str] = ("",)
    headers: Mapping[str, str] = field(default_factory=dict)
    connect_timeout_s: float = 5.0


class Manners(Protocol):
    """How a host wants its keys, and what its errors mean."""

    def headers(self, key: str) -> Mapping[str, str]:
        """What a call with this key carries; "" is no key."""
        ...

    def classify(self, reply: ErrorReply) -> Verdict: ...


class WireFormat(Manners, Protocol):
    """One provider's language, without its HTTP. What has another shape raises KeyError, TypeError or the like.

    models: the path under which a host lists its models.
    """

    models: str

    def path(self, model: str, *, stream: bool) -> str: ...

    def request(self, call: Call, *, stream: bool) -> Body:
        """Raises AttemptFailed for what the format can't say."""
        ...

    def read(self, body: Body) -> Completion: ...

    def reading(self) -> Reading: ...


class Connection:
    """One host, over HTTP. Every failure comes out as AttemptFailed with its class."""

    def __init__(self, manners: Manners, host: Host) -> None:
        self._manners = manners
        self._headers = [_headers(manners, host, key) for key in host.keys]
        self._client = httpx.AsyncClient(
            base_url=host.base_url,
            # Only connecting is timed here: whoever calls holds the clocks for tokens and total.
            timeout=httpx.Timeout(None, connect=host.connect_timeout_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    @asynccontextmanager
    async def asked(
        self, method: str, address: str, key: int, content: bytes = b"", *, fine: Container[int] = ()
    ) -> AsyncIterator[httpx.Response]:
        """The reply, its body still to be read. fine: statuses that are no failures, beside success.

        What goes wrong while it is held, reading what was said included, is the host's failure.
        """
        with _classified():
            request = self._client.build_request(method, address, content=content, headers=self._headers[key])
            response = await self._client.send(request, stream=True)
            try:
                if not (response.is_success or response.status_code in fine):
                    await response.aread()
                    raise self._refused(response)
                yield response
            finally:
                await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    def parse(self, data: bytes | str) -> Body:
        """The JSON object in `data`; an error object, which may come with a 200, fails as the error it is."""
        body = json.loads(data)
        if not isinstance(body, dict):
            raise TypeError("not a JSON object")
        if body.get("error"):
            raise failed(self._manners, body["error"])
        return body

    def _refused(self, response: httpx.Response) -> AttemptFailed:
        try:
            body = json.loads(response.content)
            error = (body[0] if isinstance(body, list) else body)["error"]  # Google's proxies wrap it in a list
        except (ValueError, KeyError, TypeError, IndexError):
            error = {"message": f"HTTP {response.status_code}"}
        hint_s = retry_after_s(response.headers, time.time())
        return failed(self._manners, error, status=response.status_code, hint_s=hint_s)


class HttpProvider:
    """One host that speaks a wire format."""

    def __init__(self, wire: WireFormat, host: Host) -> None:
        self._wire = wire
        self._host = Connection(wire, host)

    async def complete(self, call: Call) -> Completion:
        content = self._content(call, stream=False)
        async with self._host.asked("POST", self._wire.path(call.model, stream=False), call.key, content) as response:
            return self._wire.read(self._host.parse(await response.aread()))

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        content = self._content(call, stream=True)
        async with self._host.asked("POST", self._wire.path(call.model, stream=True), call.key, content) as response:
            reading = self._wire.reading()
            async for event in EventSource(response).aiter_sse():
                if event.data == _DONE:
                    reading.done = True
                elif event.data:  # a ping or a retry hint has none: the standard passes over it, the parser doesn't
                    for chunk in reading.read(self._host.parse(event.data)):
                        yield chunk
                if reading.done:
                    break
            for chunk in reading.close():
                yield chunk

    async def probe(self, key: int = 0) -> None:
        async with self._host.asked("GET", self._wire.models, key, fine=_LISTS_NO_MODELS):
            pass

    async def aclose(self) -> None:
        await self._host.aclose()

    def _content(self, call: Call, *, stream: bool) -> bytes:
        try:
            return json.dumps(self._wire.request(call, stream=stream)).encode()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as exc:
            why = f"the request can't be said in the provider's format: {exc!r}"
            raise AttemptFailed(FailureClass.BAD_REQUEST, why) from exc


def _headers(manners: Manners, host: Host, key: str) -> httpx.Headers:
    """The host's own win over the format's, however they are written."""
    headers = httpx.Headers(manners.headers(key))
    headers.update(host.headers)
    headers["Content-Type"] = "application/json"
    return headers


def failed(manners: Manners, error: Any, *, status: int | None = None, hint_s: float | None = None) -> AttemptFailed:
    """What an error object means. status: None inside a 200; OpenRouter and Google then give it as `code`."""
    error = error if isinstance(error, dict) else {"message": str(error)}
    if status is None and _AN_ERROR_STATUS.fullmatch(str(error.get("code"))):
        status = int(error["code"])
    reply = ErrorReply(error, status, hint_s)
    verdict = manners.classify(reply)
    return AttemptFailed(
        verdict.failure,
        reply.message,
        status=status,
        retry_after_s=verdict.retry_after_s,
        unknown_model=verdict.unknown_model,
    )


def cut_off(why: str) -> AttemptFailed:
    """A stream that isn't whole."""
    return AttemptFailed(FailureClass.TRUNCATED, f"the stream ended without {why}")


def class_of_status(status: int | None) -> FailureClass:
    """The class of an error that no format knows better. None: an error inside a 200."""
    # Any other status (a redirect, a wrong method), and an error inside a 200, is no fault of the request.
    return _CLASS_OF_STATUS.get(status, FailureClass.TRANSPORT)


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


@contextmanager
def _classified() -> Iterator[None]:
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
        raise AttemptFailed(FailureClass.TRANSPORT, f"the reply has another shape: {exc!r}") from exc
