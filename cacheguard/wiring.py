"""Settings to a running service: the only place that picks implementations."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, TypeAlias, assert_never

from prometheus_client import CollectorRegistry

from cacheguard.answer import Corridor
from cacheguard.border import Border
from cacheguard.cache import Cache
from cacheguard.cascade.breaker import Terms as BreakerTerms
from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.health import Block, Health
from cacheguard.cascade.probing import probe_all
from cacheguard.cascade.tier import Price, Tier
from cacheguard.errors import Overloaded
from cacheguard.feedback import Feedback
from cacheguard.matching.decide import CAUTIOUS, CosineThreshold
from cacheguard.matching.freshness import Terms
from cacheguard.providers.anthropic import AnthropicProvider
from cacheguard.providers.gemini import GeminiProvider
from cacheguard.providers.openai import OpenAIProvider
from cacheguard.providers.template import TemplateProvider
from cacheguard.routes import Mode, Route, Routes
from cacheguard.settings import ForbiddenCheck, LengthCheck, ModelTier, PatternCheck, RelevanceCheck, TemplateTier
from cacheguard.stores.memory import MemoryStore
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.telemetry.events import Telemetry
from cacheguard.tenants import Tenants
from cacheguard.upstream import Upstream
from cacheguard.validation import REGISTRY
from cacheguard.validation.forbidden import Forbidden
from cacheguard.validation.length import Length
from cacheguard.validation.pattern import Pattern
from cacheguard.validation.relevance import Relevance
from embeddings.opening import open_embedder
from embeddings.remote import RemoteEndpoint
from index.partitions import Partitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from cacheguard import settings as configured
    from cacheguard.providers.base import Provider
    from cacheguard.reply import Reply
    from cacheguard.request import Request
    from cacheguard.stores.base import Store
    from cacheguard.telemetry.trace import Trace
    from cacheguard.validation.base import Validator
    from embeddings.base import Embedded, Embedder

    Embed: TypeAlias = Callable[[Sequence[str]], Awaitable[Embedded]]

# How soon an answer that another process wrote is found by similarity; exact matches are found at once.
FOLLOW_EVERY_S = 0.25
# Time for whoever runs the service to start it again.
RETRY_AFTER_S = 5.0


class Service:
    """A service from its settings: started, it answers until it is closed. now: Unix seconds."""

    def __init__(self, settings: configured.Settings, now: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._now = now
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry)
        self.tenants = make_tenants(settings)
        self._open = AsyncExitStack()
        providers = {name: make_provider(provider) for name, provider in settings.providers.items()}
        for provider in providers.values():
            self._open.push_async_callback(provider.aclose)
        self.tiers = tiers = make_tiers(settings, providers)
        self.telemetry.watch(tiers.values(), time.monotonic)
        self.routes = Routes([make_route(name, route, tiers, self._embed) for name, route in settings.routes.items()])
        self._border = Border(self.telemetry)
        self._start_ended = asyncio.Event()
        self.is_ready = False

    async def start(self) -> None:
        """Open store and model. Raises StoreError or EmbeddingError; the service is then to be closed."""
        try:
            await self._start()
            self.is_ready = True
        finally:
            self._start_ended.set()

    async def answer(self, request: Request, trace: Trace) -> Reply:
        """One request through the corridor; what comes while the service starts waits until it has."""
        self.telemetry.traces.keep(trace)
        try:
            await self._start_ended.wait()
            if not self.is_ready:
                raise Overloaded("the service could not start, or is stopping", RETRY_AFTER_S)
            reply = await self.corridor.answer(request, trace)
        except BaseException as error:
            trace.failed(error)
            raise
        trace.replied(reply)
        return reply

    async def aclose(self) -> None:
        """Finish what was begun, save, and let go of everything."""
        self.is_ready = False
        await self._open.aclose()

    async def _start(self) -> None:
        self.embedder = embedder = await open_model(self.settings)
        self._open.push_async_callback(embedder.aclose)
        self.store = await open_store(self.settings, embedder.spec.fingerprint)
        self._open.push_async_callback(self.store.aclose)
        index = open_index(self.settings, self.store, embedder)
        self._open.push_async_callback(index.aclose)
        self._open.push_async_callback(self._once, "snapshot", index.save)
        upstream = Upstream(Cascade(Random()), self.telemetry)
        self._open.push_async_callback(upstream.settle)
        cache = Cache(self.store, embedder, index)
        self.corridor = Corridor(self.routes, cache, upstream, self.telemetry, self._now)
        self.feedback = Feedback(self.store, self._now)
        for every_s, step, do in (
            (FOLLOW_EVERY_S, "follow", index.follow),
            (self.settings.index.snapshot_every_s, "snapshot", index.save),
            *self._probes(),
        ):
            self._open.push_async_callback(_stop, asyncio.create_task(self._repeat(every_s, step, do)))

    def _probes(self) -> Iterator[tuple[float, str, Callable[[], Awaitable[None]]]]:
        """For each provider that wants it: how often its tiers are looked at."""
        for name, provider in self.settings.providers.items():
            if provider.probe_every_s:
                tiers = [self.tiers[tier] for tier, its in self.settings.tiers.items() if _asks(its, name)]
                yield provider.probe_every_s, "probe", partial(probe_all, tiers, time.monotonic)

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        """By the model, which is opened later than routes are made."""
        return await self.embedder.embed(texts)

    async def _repeat(self, every_s: float, step: str, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._once(step, do)

    async def _once(self, step: str, do: Callable[[], Awaitable[None]]) -> None:
        await self._border.cross(step, do(), None)


@asynccontextmanager
async def running(settings: configured.Settings) -> AsyncIterator[Service]:
    """A started service, closed at the end."""
    service = Service(settings)
    try:
        await service.start()
        yield service
    finally:
        await service.aclose()


async def open_model(settings: configured.Settings) -> Embedder:
    """The embedder that the settings name. Raises EmbeddingError."""
    embedding = settings.embedding
    remote = RemoteEndpoint(embedding.base_url, embedding.api_key.get_secret_value())
    return await open_embedder(embedding.model, precision=embedding.precision, remote=remote)


async def open_store(settings: configured.Settings, fingerprint: str, *, reembedding: bool = False) -> Store:
    """The store that the settings name, ready for the model with this fingerprint. Raises StoreError."""
    path = settings.store.sqlite_path
    store: Store = SqliteStore(path) if path else MemoryStore()
    await store.open(fingerprint, reembedding=reembedding)
    return store


def open_index(settings: configured.Settings, store: Store, embedder: Embedder) -> Partitions:
    """The index over what the store holds."""
    spec = embedder.spec
    return Partitions(
        store,
        dimension=spec.dimension,
        fingerprint=spec.fingerprint,
        folder=settings.index.folder if settings.store.sqlite_path else None,
        max_mb=settings.index.max_mb,
    )


def make_tenants(settings: configured.Settings) -> Tenants:
    """Without any keys, those on this machine are its administrators, and nobody else is."""
    keys = {entry.key.get_secret_value(): entry for entry in settings.auth.keys}
    return Tenants.of_keys(
        {key: entry.tenant for key, entry in keys.items()},
        [key for key, entry in keys.items() if entry.admin],
        open_to_all=settings.server.is_local,
    )


def make_provider(provider: configured.Provider) -> Provider:
    api_key = provider.api_key.get_secret_value()
    headers = {name: value.get_secret_value() for name, value in provider.headers.items()}
    timeout_s = provider.connect_timeout_s
    match provider.kind:
        case "openai":
            return OpenAIProvider(
                provider.base_url,
                api_key=api_key,
                headers=headers,
                connect_timeout_s=timeout_s,
                missing_finish_is_stop=provider.missing_finish_reason_is_stop,
            )
        case "anthropic":
            return AnthropicProvider(provider.base_url, api_key=api_key, headers=headers, connect_timeout_s=timeout_s)
        case "gemini":
            return GeminiProvider(provider.base_url, api_key=api_key, headers=headers, connect_timeout_s=timeout_s)
        case _:
            assert_never(provider.kind)


def make_tiers(settings: configured.Settings, providers: dict[str, Provider]) -> dict[str, Tier]:
    """By name. Tiers that ask the same model share its health, and all of a provider share its account."""
    accounts: defaultdict[str, Block] = defaultdict(Block)
    healths: dict[tuple[str, str], Health] = {}
    tiers = {}
    for name, tier in settings.tiers.items():
        match tier:
            case TemplateTier():
                template = TemplateProvider(tier.template)
                tiers[name] = Tier(name, template, name, timeout_s=1, first_token_timeout_s=1, is_template=True)
            case ModelTier():
                terms = BreakerTerms(minimum_calls=settings.providers[tier.provider].breaker.minimum_calls)
                health = Health(Random(), terms, accounts[tier.provider])
                tiers[name] = Tier(
                    name,
                    providers[tier.provider],
                    tier.model,
                    timeout_s=tier.timeout_s,
                    first_token_timeout_s=tier.first_token_timeout_s or tier.timeout_s,
                    between_tokens_timeout_s=tier.between_tokens_timeout_s or math.inf,
                    price=Price(tier.price.input_usd_per_mtok, tier.price.output_usd_per_mtok),
                    health=healths.setdefault((tier.provider, tier.model), health),
                )
            case _:
                assert_never(tier)
    return tiers


def make_route(name: str, route: configured.Route, tiers: dict[str, Tier], embed: Embed) -> Route:
    cache = route.cache
    return Route(
        name=name,
        models=route.models,
        tiers=tuple(tiers[tier] for tier in route.tiers),
        deadline_s=route.deadline_s,
        mode=Mode(cache.mode),
        terms=Terms(cache.ttl_s, cache.stale_while_revalidate_s, cache.stale_if_error_s),
        rule=CAUTIOUS if cache.decision == "auto" else CosineThreshold(cache.decision),
        context=cache.context,
        validators=tuple(make_validator(check, embed) for check in route.validators),
    )


def make_validator(check: configured.Check, embed: Embed) -> Validator:
    match check:
        case LengthCheck():
            return Length(check.length.min_chars, check.length.max_chars)
        case PatternCheck():
            return Pattern(check.pattern.must)
        case ForbiddenCheck():
            return Forbidden(check.forbidden.words, check.forbidden.pattern)
        case RelevanceCheck():
            return Relevance(check.relevance.min_similarity, embed)
        case _:
            return REGISTRY[check]()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _asks(tier: configured.Tier, provider: str) -> bool:
    return isinstance(tier, ModelTier) and tier.provider == provider
