"""Calls over HTTP, which all wire formats share: a format says what is sent and what came; here it is sent and read.

Foreign errors become AttemptFailed here and nowhere else.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from yarl import URL

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.json_text import to_json
from cacheguard.providers.event_stream import EventStream
from cacheguard.providers.outbound import proxy_to, trusted
from cacheguard.providers.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Container, Iterable, Iterator, Mapping, Sequence

    from cacheguard.providers.base import Body, Call, Chunk, Completion

# OpenAI's end marker; proxies before other formats send it too.
_DONE = "[DONE]"
_ERROR_TEXT_LIMIT = 300
_AN_ERROR_STATUS = re.compile("[45][0-9]{2}")
# Compatible hosts that only answer questions say so, and thereby that they are there.
_LISTS_NO_MODELS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


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
        # Reading an address takes aiohttp a tenth of a call; a host has few paths, by the models that it is asked for.
        self._url = lru_cache(maxsize=256)(lambda path: URL(f"{host.base_url}/{path}" if path else host.base_url))
        # Looked up here and not by a first call, which would wait for them.
        self._proxy, self._trusted = proxy_to(host.base_url), trusted()
        # Only connecting is timed here: whoever calls holds the clocks for tokens and total.
        self._timeout = aiohttp.ClientTimeout(connect=host.connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def asked(
        self, method: str, path: str, key: int, content: bytes = b"", *, fine: Container[int] = ()
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The reply, its body still to be read. path: behind the host's address. fine: statuses beside success.

        What goes wrong while it is held, reading what was said included, is the host's failure.
        """
        with _classified():
            async with await self._sent(method, path, key, content) as response:
                if not (_is_success(response.status) or response.status in fine):
                    raise self._refused(response, await response.read())
                yield response

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _sent(self, method: str, path: str, key: int, content: bytes) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = self._opened()
        try:
            return await self._session.request(
                method,
                self._url(path),
                data=BytesIO(content) if content else None,
                headers=self._headers[key],
                proxy=self._proxy,
                allow_redirects=False,
            )
        except aiohttp.ClientError:  # a refused certificate is a ValueError too
            raise
        except ValueError as exc:
            raise AttemptFailed(FailureClass.TRANSPORT, "HTTP can't say one of the headers") from exc

    def _opened(self) -> aiohttp.ClientSession:
        """It belongs to the loop that runs, and where a provider is made there may be none."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trusted),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def parse(self, data: bytes | str) -> Body:
        """The JSON object in `data`; an error object, which may come with a 200, fails as the error it is."""
        body = json.loads(data)
        if not isinstance(body, dict):
            raise TypeError("not a JSON object")
        if body.get("error"):
            raise failed(self._manners, body["error"])
        return body

    def _refused(self, response: aiohttp.ClientResponse, content: bytes) -> AttemptFailed:
        try:
            body = json.loads(content)
            error = (body[0] if isinstance(body, list) else body)["error"]  # Google's proxies wrap it in a list
        except (ValueError, KeyError, TypeError, IndexError):
            error = {"message": f"HTTP {response.status}"}
        hint_s = retry_after_s(response.headers, time.time())
        return failed(self._manners, error, status=response.status, hint_s=hint_s)


class HttpProvider:
    """One host that speaks a wire format."""

    def __init__(self, wire: WireFormat, host: Host) -> None:
        self._wire = wire
        self._host = Connection(wire, host)

    async def complete(self, call: Call) -> Completion:
        content = self._content(call, stream=False)
        async with self._host.asked("POST", self._wire.path(call.model, stream=False), call.key, content) as response:
            return self._wire.read(self._host.parse(await response.read()))

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        content = self._content(call, stream=True)
        async with self._host.asked("POST", self._wire.path(call.model, stream=True), call.key, content) as response:
            if response.content_type != "text/event-stream":
                raise AttemptFailed(FailureClass.TRANSPORT, "the reply is no event stream")
            reading, events = self._wire.reading(), EventStream()
            async for piece in response.content.iter_any():
                for chunk in self._chunks(reading, events.feed(piece)):
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

    def _chunks(self, reading: Reading, events: Iterable[str]) -> Iterator[Chunk]:
        for data in events:
            if data == _DONE:
                reading.done = True
            elif data:  # some hosts' pings have none
                yield from reading.read(self._host.parse(data))
            if reading.done:
                break

    def _content(self, call: Call, *, stream: bool) -> bytes:
        try:
            return to_json(self._wire.request(call, stream=stream))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as exc:
            why = f"the request can't be said in the provider's format: {exc!r}"
            raise AttemptFailed(FailureClass.BAD_REQUEST, why) from exc


def _headers(manners: Manners, host: Host, key: str) -> Mapping[str, str]:
    """The host's own win over the format's, however they are written."""
    headers = {**manners.headers(key), **host.headers, "Content-Type": "application/json"}
    return {name.lower(): value for name, value in headers.items()}


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


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
    except aiohttp.ConnectionTimeoutError as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, "connecting took too long") from exc
    except aiohttp.ClientError as exc:
        # Its text may quote a proxy's address with its password, or what the host said: only the system's words.
        why = exc.strerror if isinstance(exc, OSError) else None
        raise AttemptFailed(FailureClass.TRANSPORT, ": ".join(filter(None, (type(exc).__name__, why)))) from exc
    except (ValueError, RecursionError) as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, "the reply is no JSON") from exc
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as exc:
        raise AttemptFailed(FailureClass.TRANSPORT, f"the reply has another shape: {exc!r}") from exc
