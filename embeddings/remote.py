"""An OpenAI-style `/v1/embeddings` endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from embeddings.base import Embedded, EmbedderSpec, RemoteFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray

OPENAI_URL = "https://api.openai.com/v1"
_BATCH = 256  # inputs a request; OpenAI takes 2,048, smaller servers less
_ATTEMPTS = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 20.0
# OpenAI's limit for every embedding model: API reference, Create embeddings, `input`.
_MAX_TOKENS = 8191
_WORTH_RETRYING = {408, 409, 429, 500, 502, 503, 504, 529}


@dataclass(frozen=True, slots=True)
class RemoteEndpoint:
    """Where to ask. dimensions: asked of models that can shorten their vectors; None leaves them whole."""

    base_url: str = OPENAI_URL
    api_key: str = field(default="", repr=False)
    dimensions: int | None = None
    timeout_s: float = 30.0


class Remote:
    """An Embedder that asks an endpoint. Made by `connect`.

    Texts longer than the model reads are refused by the endpoint, so that none is ever `cut`.
    """

    def __init__(
        self,
        model: str,
        endpoint: RemoteEndpoint,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=endpoint.timeout_s)
        self._url = httpx.URL(endpoint.base_url.rstrip("/") + "/embeddings")
        self._model = model
        self._endpoint = endpoint
        self._wait = wait
        self._spec: EmbedderSpec | None = None

    @property
    def spec(self) -> EmbedderSpec:
        if self._spec is None:
            raise RemoteFailed(f"{self._who()} has not been asked yet: open it with `connect`")
        return self._spec

    async def connect(self) -> None:
        """Learn the dimension by a first call. Raises RemoteFailed."""
        dimension = (await self._request(["dimension"])).shape[1]
        url = self._url.copy_with(userinfo=b"")
        made_by = f"{url} {self._model} {dimension}"
        fingerprint = hashlib.sha256(made_by.encode()).hexdigest()[:16]
        self._spec = EmbedderSpec(self._model, dimension, fingerprint, _MAX_TOKENS)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Vectors in the order of `texts`. Raises RemoteFailed."""
        vectors = np.empty((len(texts), self.spec.dimension), np.float32)
        for start in range(0, len(texts), _BATCH):
            # The endpoint refuses empty inputs.
            batch = [text or " " for text in texts[start : start + _BATCH]]
            found = await self._request(batch)
            if found.shape[1] != self.spec.dimension:
                raise RemoteFailed(
                    f"{self._who()} gave vectors of {found.shape[1]} dimensions, before it was "
                    f"{self.spec.dimension}: its model has changed; restart and re-embed"
                )
            vectors[start : start + len(batch)] = found
        return Embedded(vectors, (False,) * len(texts))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _request(self, texts: list[str]) -> NDArray[np.float32]:
        asked: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        if self._endpoint.dimensions is not None:
            asked["dimensions"] = self._endpoint.dimensions
        problem = ""
        for attempt in range(1, _ATTEMPTS + 1):
            wait_s = _FIRST_WAIT_S * 2 ** (attempt - 1) * random.uniform(0.5, 1)
            try:
                response = await self._client.post(self._url, json=asked)
            except httpx.RequestError as exc:
                problem = f"can't be reached ({type(exc).__name__}): check its base_url and the network"
            else:
                if response.is_success:
                    return self._vectors(response, len(texts))
                problem = self._refusal(response)
                if response.status_code not in _WORTH_RETRYING:
                    break
                wait_s = max(wait_s, _retry_after_s(response))
            if attempt == _ATTEMPTS or wait_s > _LONGEST_WAIT_S:
                break
            await self._wait(wait_s)
        raise RemoteFailed(f"{self._who()} {problem}")

    def _vectors(self, response: httpx.Response, n: int) -> NDArray[np.float32]:
        """float32 (n, dimension), unit length, in the order that was asked for."""
        try:
            rows = sorted(response.json()["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], np.float32)
        except (ValueError, TypeError, KeyError) as exc:
            raise RemoteFailed(f"{self._who()} did not answer with embeddings: check its base_url") from exc
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        if vectors.ndim != 2 or len(vectors) != n or not np.all(np.isfinite(lengths) & (lengths > 0)):  # noqa: PLR2004
            raise RemoteFailed(f"{self._who()} gave vectors of shape {vectors.shape} for {n} texts")
        unit: NDArray[np.float32] = vectors / lengths
        return unit

    def _refusal(self, response: httpx.Response) -> str:
        """Why it refused, in its own words where they are OpenAI's error body, never with the key."""
        try:
            reason = str(response.json()["error"]["message"])
        except (ValueError, TypeError, KeyError):
            reason = response.reason_phrase
        if self._endpoint.api_key:
            reason = reason.replace(self._endpoint.api_key, "…")
        return f"answered {response.status_code}: {reason}"

    def _who(self) -> str:
        return f"embedding model '{self._model}' at {self._url.host}"


async def connect(
    model: str, endpoint: RemoteEndpoint, wait: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Remote:
    """An embedder whose endpoint has answered once. wait: for the pauses between attempts, in seconds.

    Raises RemoteFailed.
    """
    remote = Remote(model, endpoint, wait)
    try:
        await remote.connect()
    except RemoteFailed:
        await remote.aclose()
        raise
    return remote


def _retry_after_s(response: httpx.Response) -> float:
    """The form in seconds; dates, which no embedding service sends, count as none."""
    try:
        return float(response.headers.get("Retry-After", 0))
    except ValueError:
        return 0.0
