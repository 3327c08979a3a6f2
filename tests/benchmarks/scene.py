"""A stretch of time at the service: hosts that fall ill, requests that come, and who answers them.

The service's corridor, cascade and breakers, its providers and their wire formats are the real ones, and so are the
simulated providers behind them: HTTP over Unix sockets, all in one event loop whose clock jumps from one event to the
next (see virtual_time). So what is timed is waiting alone; work takes no time. Left out are the service's own HTTP
face, its looks at what other processes did, of which there are none, and the gathering of questions into runs of the
model, whose threads that clock doesn't know.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

from cacheguard.cascade.outcome import NOTHING
from cacheguard.errors import CacheGuardError, StreamBroken
from cacheguard.providers.base import Completion
from cacheguard.request import Patient, Request
from cacheguard.settings import Settings
from cacheguard.telemetry.trace import Trace
from cacheguard.wiring import Service
from embeddings.export import prepare
from embeddings.files import BUNDLED
from embeddings.onnx import Encoder
from tests.benchmarks.hosts import Host, opened
from tests.benchmarks.illness import befall
from tests.benchmarks.sequential import Sequential
from tests.benchmarks.tally import Source, Told
from tests.benchmarks.traffic import answers
from tests.benchmarks.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from cacheguard.reply import CacheStatus
    from embeddings.base import Embedded, EmbedderSpec
    from tests.benchmarks.illness import Phase, Rules
    from tests.benchmarks.traffic import Asking

    Ask = Callable[[Asking], Awaitable[Told]]

SEED = 20
EPOCH = 1_800_000_000.0
_NEVER_S = 1e9


@dataclass(frozen=True, slots=True)
class Scene:
    """settings: of the service; every tier has a provider of its name. health: the script that each plays when well."""

    settings: Mapping[str, Any]
    health: Mapping[str, Rules]

    def guarded(self, askings: Sequence[Asking], phases: Sequence[Phase] = ()) -> list[Told]:
        """What came of the requests when the service was asked."""
        return run(self._pass(askings, phases, _by_service))

    def unguarded(self, askings: Sequence[Asking], phases: Sequence[Phase] = ()) -> list[Told]:
        """What came of them by plain sequential retries."""
        return run(self._pass(askings, phases, _by_retries))

    async def _pass(
        self,
        askings: Sequence[Asking],
        phases: Sequence[Phase],
        asker: Callable[[Service], AbstractAsyncContextManager[Ask]],
    ) -> list[Told]:
        """Everybody asks in their time."""
        async with self._hosts() as hosts, self._service(hosts) as service, asker(service) as ask:
            async with asyncio.TaskGroup() as tasks:
                for phase in phases:
                    tasks.create_task(befall(phase, hosts, self.health))
                asked = []
                for asking in askings:
                    await asyncio.sleep(asking.at - asyncio.get_running_loop().time())
                    asked.append(tasks.create_task(ask(asking)))
            return [task.result() for task in asked]

    @asynccontextmanager
    async def _hosts(self) -> AsyncIterator[dict[str, Host]]:
        with TemporaryDirectory(prefix="hosts-") as folder:
            hosts = {tier: Host(Path(folder) / tier, answers(), SEED) for tier in self.health}
            async with opened(*hosts.values()):
                for tier, host in hosts.items():
                    await host.play(*self.health[tier])
                yield hosts

    @asynccontextmanager
    async def _service(self, hosts: Mapping[str, Host]) -> AsyncIterator[Service]:
        """Not started. Its jitter is the same every time, and other processes are never looked for."""
        now = asyncio.get_running_loop().time
        async with AsyncExitStack() as stack:
            for name, value in {
                "service.FOLLOW_EVERY_S": _NEVER_S,
                "service.EXCHANGE_EVERY_S": _NEVER_S,
                "service.open_model": _open_model,
                "service.Random": partial(Random, SEED),
                "tiers.Random": partial(Random, SEED),
            }.items():
                stack.enter_context(mock.patch(f"cacheguard.wiring.{name}", value))
            service = Service(Settings.model_validate(self.settings), lambda: EPOCH + now())
            stack.push_async_callback(service.aclose)
            for name, host in hosts.items():
                host.serve(service.tiers[name].provider)
            yield service


class OneByOne:
    """An Embedder over a model in `asyncio.to_thread`."""

    def __init__(self, model: Encoder) -> None:
        self._model = model

    @property
    def spec(self) -> EmbedderSpec:
        return self._model.spec

    async def embed(self, texts: Sequence[str]) -> Embedded:
        return await asyncio.to_thread(self._model.encode, texts)

    async def aclose(self) -> None:
        """There is nothing to close."""


async def _open_model(_: Settings) -> OneByOne:
    return OneByOne(await asyncio.to_thread(lambda: Encoder(prepare(BUNDLED))))


@asynccontextmanager
async def _by_service(service: Service) -> AsyncIterator[Ask]:
    await service.start()
    yield partial(_ask, service)


@asynccontextmanager
async def _by_retries(service: Service) -> AsyncIterator[Ask]:
    yield Sequential(service.settings, service.tiers).ask


async def _ask(service: Service, asking: Asking) -> Told:
    now = asyncio.get_running_loop().time
    trace = Trace(now)
    try:
        reply = await service.answer(Request("anyone", asking.body, Patient()), trace)
        if not isinstance(reply.content, Completion):
            async for _ in reply.content:
                pass
        source = _source(reply.status)
    except CacheGuardError as error:
        trace.failed(error)
        source = Source.BROKEN if isinstance(error, StreamBroken) else Source.NONE
    # Whoever shared another's call is told of its attempts, but made none.
    tried = NOTHING if trace.status is None or trace.status.collapsed else trace.tried
    failed = tuple(attempt.tier for attempt in tried.attempts if attempt.failure)
    return Told(asking, source, now() - asking.at, tried.calls, failed, trace.cost_usd)


def _source(status: CacheStatus) -> Source:
    if not status.hit:
        return Source.TIER
    return Source.STALE if status.detail.endswith("stale") else Source.FRESH
