"""What `serve` looks at before it listens, and says of itself when it does."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cacheguard
from cacheguard.settings import TemplateTier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.settings import Loaded, Settings, Tier
    from cacheguard.stores.base import Counts
    from embeddings.base import EmbedderSpec

# A server on this machine that takes longer to accept a connection is in no state to answer questions.
PROBE_S = 0.5


@dataclass(frozen=True, slots=True)
class Held:
    """What a store holds, and what is unwise about it."""

    counts: Counts
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Found:
    """silent: names of the providers on this machine where nothing listens."""

    model: EmbedderSpec
    store: Held
    silent: frozenset[str]


async def look_ahead(settings: Settings) -> Found:
    """Prepare model and store in the foreground, so that what is wrong with them is said before anyone may ask.

    Raises EmbeddingError and StoreError.
    """
    model = await model_spec(settings)
    return Found(model, await look_into_store(settings, model.fingerprint), await silent_providers(settings))


async def model_spec(settings: Settings) -> EmbedderSpec:
    """The model's; a local one is exported first where it never was."""
    from cacheguard.wiring import open_model
    from embeddings.export import spec_of

    if not settings.embedding.is_remote:
        return spec_of(settings.embedding.model, settings.embedding.precision)
    embedder = await open_model(settings)
    try:
        return embedder.spec
    finally:
        await embedder.aclose()


async def look_into_store(settings: Settings, fingerprint: str) -> Held:
    """Raises StoreError, ModelMismatch among them."""
    from cacheguard.wiring import open_store

    store = await open_store(settings, fingerprint)
    try:
        return Held(await store.counts(), await store.remarks())
    finally:
        await store.aclose()


async def silent_providers(settings: Settings) -> frozenset[str]:
    """Those on this machine, an Ollama for one, where nothing listens."""
    local = {name: url for name, provider in settings.providers.items() if is_local(url := provider.base_url)}
    listening = await asyncio.gather(*(_listens(url) for url in local.values()))
    return frozenset(name for name, answers in zip(local, listening, strict=True) if not answers)


def is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _listens(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def introduce(loaded: Loaded, found: Found, url: str) -> Iterator[str]:
    """Line by line, for people."""
    settings, counts = loaded.settings, found.store.counts
    yield f"CacheGuard {cacheguard.__version__}"
    yield f"  settings  {loaded.source}"
    for note in loaded.notes:
        yield f"  note      {note}"
    yield f"  store     {settings.store.shown} ({counts.answers} answers, {counts.phrasings} phrasings)"
    for remark in found.store.remarks:
        yield f"  note      the store: {remark}"
    yield f"  model     {found.model.name} {settings.embedding.precision}, {found.model.dimension} dimensions"
    for name, tier in settings.tiers.items():
        yield f"  tier      {name}: {_shown(tier, settings, found)}"
    for name, route in settings.routes.items():
        yield f"  route     {name}: {', then '.join(route.tiers)}"
    yield f"  address   {url}/v1"


def _shown(tier: Tier, settings: Settings, found: Found) -> str:
    if isinstance(tier, TemplateTier):
        return "a template"
    silence = ", where nothing listens" if tier.provider in found.silent else ""
    return f"{tier.model or 'an endpoint'} at {settings.providers[tier.provider].base_url}{silence}"
