"""The tiers as the corridor sees them: calls that are shared while they are under way, streamed or not."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from cacheguard.cascade.flight import Flights
from cacheguard.cascade.outcome import Answered, Failed, Streaming
from cacheguard.completion_id import new_id
from cacheguard.errors import NotInCache, StreamBroken
from cacheguard.failures import AttemptFailed
from cacheguard.providers.chat_shape import chunk_text
from cacheguard.reply import CacheStatus, Landed, Reply, landed_reply, streamed_reply
from cacheguard.types import Provenance
from cacheguard.validation.base import may_be_kept

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable

    from cacheguard.cascade.cascade import Cascade
    from cacheguard.cascade.flight import Flight
    from cacheguard.cascade.plan import Plan
    from cacheguard.cascade.spending import Ledger
    from cacheguard.matching.decide import Match
    from cacheguard.providers.chat_shape import ChunkText
    from cacheguard.request import Request
    from cacheguard.routes import Route
    from cacheguard.telemetry.events import Telemetry
    from cacheguard.telemetry.trace import Trace

Call: TypeAlias = "Callable[[Flight[Landed]], Coroutine[None, None, Landed]]"
Kept: TypeAlias = "Callable[[str, Match], Awaitable[None]]"


class Upstream:
    """Calls to the tiers. now: Unix seconds."""

    def __init__(self, cascade: Cascade, ledger: Ledger, telemetry: Telemetry, now: Callable[[], float]) -> None:
        self._cascade = cascade
        self._ledger = ledger
        self._now = now
        self._telemetry = telemetry
        self._flights = Flights[Landed]()

    async def reply(
        self,
        request: Request,
        route: Route,
        status: CacheStatus,
        call: Call,
        trace: Trace,
        *,
        sharing_key: Hashable | None = None,
        kept_as: Kept | None = None,
    ) -> Reply:
        """What the call comes to, or its stream once it speaks. Requests with an equal sharing key share one call.

        kept_as: told of the phrasing that a stream was kept under, and of the completion id that its client has.
        """
        if request.directives.only_if_cached:
            trace.unserved(route.name, CacheStatus(detail="only-if-cached"))
            raise NotInCache("no stored answer fits, and the request says only-if-cached")
        flight, collapsed = self._flights.join(sharing_key, call)
        status = replace(status, collapsed=collapsed)
        trace.unserved(route.name, status)
        with flight.waited_for():
            if request.wants_stream:
                chunks = await request.client.wait_for(flight.listen())
                if chunks is not None and flight.streaming is not None:
                    trace.note("first words")
                    completion_id = new_id()

                    async def ended(landed: Landed) -> None:
                        trace.note("rest of the stream")
                        trace.replied(replace(landed_reply(status, route.name, landed), completion_id=completion_id))
                        if landed.kept is not None and kept_as is not None:
                            await kept_as(completion_id, landed.kept)

                    content = _to_the_end(chunks, flight, ended)
                    return streamed_reply(status, route.name, flight.streaming, completion_id, content)
            landed = await request.client.wait_for(flight.landing())
        trace.note("tiers")
        return landed_reply(status, route.name, landed)

    def begin(self, key: Hashable | None, call: Call) -> None:
        """Start a call that nobody waits for, unless it is under way."""
        self._flights.join(key, call, outlives=True)

    async def land(self, flight: Flight[Landed], request: Request, route: Route, plan: Plan) -> Landed:
        """Ask the tiers; what comes as a stream is published on the flight. Raises CacheGuardError."""
        outcome = await self._cascade.ask(
            plan,
            request.body,
            purse=self._ledger.purse(request.tenant, route.name, plan.max_cost_usd, self._now()),
            stream=request.wants_stream,
            observe=partial(self._telemetry.attempted, route.name),
        )
        match outcome:
            case Failed():
                raise outcome.error()
            case Answered():
                return _landed(outcome, plan)
            case Streaming():
                await _publish(flight, outcome)
                return _landed(await outcome.answered(), plan)

    async def over(self, key: Hashable | None) -> None:
        """Wait until no call with this sharing key is under way."""
        await self._flights.over(key)

    async def settle(self) -> None:
        """Wait for all calls under way."""
        await self._flights.settle()


async def _to_the_end(
    chunks: AsyncGenerator[ChunkText, None], flight: Flight[Landed], ended: Callable[[Landed], Awaitable[None]]
) -> AsyncGenerator[ChunkText, None]:
    """The chunks, and at their end what the call raises where the answer broke off. It ends when the answer is kept."""
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk
    await ended(await flight.landing())


async def _publish(flight: Flight[Landed], streaming: Streaming) -> None:
    """Pass a stream's chunks on to the flight until it ends. Raises StreamBroken."""
    flight.streaming = streaming
    try:
        async for chunk in streaming.stream.chunks():
            flight.publish(chunk_text(chunk.body))
    except AttemptFailed as failed:
        broken = StreamBroken(f"the answer of tier '{streaming.tier.name}' broke off ({failed.failure})")
        raise broken.after(streaming.tried) from failed


def _landed(answered: Answered, plan: Plan) -> Landed:
    completion, tier, tried = answered.completion, answered.tier, answered.tried
    passed = tuple(validator.name for validator in plan.validators)
    return Landed(
        completion,
        Provenance(tier.name, completion.model or tier.model, tried.cost_usd, passed),
        tried,
        may_be_kept=answered.may_be_kept and may_be_kept(completion),
        is_template=tier.is_template,
    )
