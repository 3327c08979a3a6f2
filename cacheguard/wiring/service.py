"""A service over all of it, from its start to its end."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry

from cacheguard.answer import Corridor
from cacheguard.border import Border
from cacheguard.cache import Cache
from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.probing import probe_all
from cacheguard.errors import Overloaded
from cacheguard.routes import Routes
from cacheguard.rules import InForce, follow
from cacheguard.settings import ModelTier
from cacheguard.telemetry.events import Telemetry
from cacheguard.telemetry.spending import SpendingMetrics
from cacheguard.tenants import Tenants
from cacheguard.upstream import Upstream
from cacheguard.wiring.hints import HINT_EVERY_S, share_hints
from cacheguard.wiring.oversight import make_overseers
from cacheguard.wiring.providers import make_provider
from cacheguard.wiring.routes import make_route
from cacheguard.wiring.second_look import open_second_look
from cacheguard.wiring.spending import make_ledger
from cacheguard.wiring.storage import make_turns, open_index, open_model, open_store, watch_store
from cacheguard.wiring.tiers import make_tiers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence

    from cacheguard import settings as configured
    from cacheguard.cascade.spending import Ledger, Purse, Standing
    from cacheguard.matching.freshness import Directives
    from cacheguard.reply import Reply
    from cacheguard.request import Asked, PassingBy, Request
    from cacheguard.telemetry.trace import Trace
    from embeddings.base import Embedded
    from index.base import PartitionedIndex

    Step: TypeAlias = Callable[[], Awaitable[None]]

# For the cache, in a request: by then a tier would have answered, and a file that is held locked would take 15 s.
PATIENCE_S = 3.0
# How soon an answer that another process wrote is found by similarity, where the store does not tell of it; exact
# matches are found at once.
FOLLOW_EVERY_S = 0.25
# How soon a rule that was tuned elsewhere is in force here.
RULES_EVERY_S = 1.0
# How soon what another process spent counts against the limits that they share.
EXCHANGE_EVERY_S = 1.0
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
        self.tiers = make_tiers(settings, providers)
        self.routes = Routes([make_route(name, settings, self.tiers, self._embed) for name in settings.routes])
        self._rules = {route.name: route.rule for route in self.routes if isinstance(route.rule, InForce)}
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

    async def answer(self, request: Request, trace: Trace, asked: Asked | PassingBy | None = None) -> Reply:
        """One request through the corridor; what comes while the service starts waits until it has.

        asked: what it was understood to ask, where that is known.
        """
        self.telemetry.traces.keep(trace)
        try:
            await self._start_ended.wait()
            if not self.is_ready:
                raise Overloaded("the service could not start, or is stopping", RETRY_AFTER_S)
            reply = await self.corridor.answer(asked or self.corridor.understand(request), trace)
        except BaseException as error:
            trace.failed(error)
            raise
        trace.replied(reply)
        return reply

    def repeated(
        self, tenant: str, route: str | None, raw: bytes, directives: Directives, trace: Trace
    ) -> Reply | None:
        """At once, the answer to a request that came before; None: ask for an answer. raw: its body's bytes."""
        reply = self.corridor.repeated(tenant, route, raw, directives, trace) if self.is_ready else None
        return self._given(reply, trace) if reply else None

    def at_hand(self, request: Request, trace: Trace) -> Reply | Asked | PassingBy:
        """At once, the answer that is in memory; else what is asked. Raises RequestError. The service is ready."""
        asked = self.corridor.understand(request)
        reply = self.corridor.at_hand(asked, trace)
        return self._given(reply, trace) if reply else asked

    def _given(self, reply: Reply, trace: Trace) -> Reply:
        self.telemetry.traces.keep(trace)
        trace.replied(reply)
        return reply

    def purse(self, tenant: str, route: str, most_usd: float) -> Purse:
        """For calls that answer no request, within the limits of a tenant and a route."""
        return self._ledger.purse(tenant, route, most_usd, self._now())

    def spending(self) -> list[Standing]:
        """How accounts with a limit stand now."""
        return list(self._ledger.standings(self._now()))

    async def aclose(self) -> None:
        """Finish what was begun, save, and let go of everything."""
        self.is_ready = False
        await self._open.aclose()

    async def _start(self) -> None:
        self.clock = asyncio.get_running_loop().time  # the cascade's
        self.telemetry.watch(self.tiers.values(), self.clock)
        self.embedder = embedder = await open_model(self.settings)
        self._open.push_async_callback(embedder.aclose)
        self.store = await open_store(self.settings, embedder.spec.fingerprint)
        self._open.push_async_callback(self.store.aclose)
        watch_store(self.store, self.telemetry)
        index = open_index(self.settings, self.store, embedder)
        self._open.push_async_callback(index.aclose)
        self._open.push_async_callback(self._once, "snapshot", index.save)
        await self._once("rules", partial(follow, self.store, self._rules))
        self._ledger = ledger = make_ledger(self.settings)
        self.registry.register(SpendingMetrics(self.spending))
        await self._once("spending", partial(self._exchange, ledger))  # a restart must not begin a month anew
        self._open.push_async_callback(self._once, "spending", partial(self._exchange, ledger))
        self.cascade = cascade = Cascade(Random(), self.tiers)
        border = Border(self.telemetry, PATIENCE_S)
        self._open.push_async_callback(border.settle)
        upstream = Upstream(cascade, ledger, self.telemetry, self._now)
        self._open.push_async_callback(upstream.settle)
        self.cache = cache = Cache(self.store, embedder, index)
        self.overseers = make_overseers(
            self.settings,
            self.routes,
            store=self.store,
            embedder=embedder,
            cascade=cascade,
            ledger=ledger,
            upstream=upstream,
            telemetry=self.telemetry,
            now=self._now,
        )
        observer = self.overseers.oversight
        self._open.push_async_callback(observer.aclose)
        looks = {
            name: await open_second_look(name, r.cache, self.telemetry) for name, r in self.settings.routes.items()
        }
        for look in looks.values():
            self._open.push_async_callback(look.aclose)
        self.corridor = Corridor(
            self.routes,
            cache,
            upstream,
            looks,
            turns=make_turns(self.store),
            observer=observer,
            border=border,
            now=self._now,
        )
        self._keep_on(self._follow(index, self.store.changed))
        for every_s, step, do in self._steps(index, ledger):
            self._keep_on(self._repeat(every_s, step, do))

    def _steps(self, index: PartitionedIndex, ledger: Ledger) -> Iterator[tuple[float, str, Step]]:
        """What is done again and again: every so many seconds, under a name."""
        yield self.settings.index.snapshot_every_s, "snapshot", index.save
        yield RULES_EVERY_S, "rules", partial(follow, self.store, self._rules)
        yield EXCHANGE_EVERY_S, "spending", partial(self._exchange, ledger)
        yield HINT_EVERY_S, "hints", share_hints(self.store, self.tiers, self.clock)
        yield from self._probes()

    def _probes(self) -> Iterator[tuple[float, str, Step]]:
        """For each provider that wants it: how often its tiers are looked at."""
        for name, provider in self.settings.providers.items():
            if provider.probe_every_s:
                tiers = [self.tiers[tier] for tier, its in self.settings.tiers.items() if _asks(its, name)]
                yield provider.probe_every_s, "probe", partial(probe_all, tiers, self.clock)

    async def _exchange(self, ledger: Ledger) -> None:
        """Tell the store what was spent, and hear what other processes did."""
        await ledger.exchange(self.store, self._now())

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        """By the model, which is opened later than routes are made."""
        return await self.embedder.embed(texts)

    def _keep_on(self, doing: Coroutine[None, None, None]) -> None:
        """Until the service is closed."""
        self._open.push_async_callback(_stop, asyncio.create_task(doing))

    async def _follow(self, index: PartitionedIndex, changed: Callable[[float], Awaitable[None]]) -> None:
        """Find by similarity what other processes wrote."""
        while True:
            await changed(FOLLOW_EVERY_S)
            await self._once("follow", index.follow)

    async def _repeat(self, every_s: float, step: str, do: Step) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._once(step, do)

    async def _once(self, step: str, do: Step) -> None:
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


def make_tenants(settings: configured.Settings) -> Tenants:
    """Without any keys, those on this machine are its administrators, and nobody else is."""
    keys = {entry.key.get_secret_value(): entry for entry in settings.auth.keys}
    return Tenants.of_keys(
        {key: entry.tenant for key, entry in keys.items()},
        [key for key, entry in keys.items() if entry.admin],
        open_to_all=settings.server.is_local,
    )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _asks(tier: configured.Tier, provider: str) -> bool:
    return isinstance(tier, ModelTier) and tier.provider == provider
