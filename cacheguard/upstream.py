"""The tiers as the corridor sees them: calls that are shared while they are under way, streamed or not."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from cacheguard.cascade.flight import Flights
from cacheguard.cascade.outcome import Answered, Attempt, Failed, Streaming
from cacheguard.completion_id import new_id
from cacheguard.errors import NotInCache, StreamBroken
from cacheguard.failures import AttemptFailed
from cacheguard.reply import CacheStatus, Landed, Reply, landed_reply, streamed_reply
from cacheguard.types import Provenance
from cacheguard.validation.base import may_be_kept, validate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable, Sequence

    from cacheguard.cascade.cascade import Cascade
    from cacheguard.cascade.flight import Flight
    from cacheguard.cascade.tier import Tier
    from cacheguard.failures import FailureClass
    from cacheguard.matching.decide import Match
    from cacheguard.providers.base import Chunk, Completion
    from cacheguard.request import Request
    from cacheguard.routes import Route
    from cacheguard.telemetry.events import Telemetry
    from cacheguard.telemetry.trace import Trace

Call: TypeAlias = "Callable[[Flight[Landed]], Coroutine[None, None, Landed]]"
Kept: TypeAlias = "Callable[[str, Match], Awaitable[None]]"


class Upstream:
    """Calls to the tiers."""

    def __init__(self, cascade: Cascade, telemetry: Telemetry) -> None:
        self._cascade = cascade
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

    async def land(self, flight: Flight[Landed], request: Request, route: Route, tiers: Sequence[Tier]) -> Landed:
        """Ask the tiers; what comes as a stream is published on the flight. Raises CacheGuardError."""
        outcome = await self._cascade.ask(
            tiers,
            request.body,
            validators=route.validators,
            deadline_s=route.deadline_s,
            stream=request.wants_stream,
        )
        match outcome:
            case Failed():
                self._telemetry.attempted(route.name, outcome.attempts)
                raise outcome.error()
            case Answered():
                return self._landed(outcome, route)
            case Streaming():
                completion, attempts = await self._publish(flight, outcome, route)
                is_valid = await _passes(completion, request, route)
                return self._landed(Answered(completion, outcome.tier, attempts, is_valid, outcome.left_alone), route)

    async def _publish(
        self, flight: Flight[Landed], streaming: Streaming, route: Route
    ) -> tuple[Completion, tuple[Attempt, ...]]:
        """Pass a stream's chunks on to the flight until it ends; what they came to. Raises StreamBroken."""
        flight.streaming = streaming
        stream = streaming.stream
        try:
            async for chunk in stream.chunks():
                flight.publish(chunk)
        except AttemptFailed as failed:
            attempts = _settled(streaming, stream.completion(), failed.failure)
            self._telemetry.attempted(route.name, attempts)
            broken = StreamBroken(f"the answer of tier '{streaming.tier.name}' broke off ({failed.failure})")
            raise broken.after(attempts, streaming.left_alone) from failed
        return stream.completion(), _settled(streaming, stream.completion())

    def _landed(self, answered: Answered, route: Route) -> Landed:
        self._telemetry.attempted(route.name, answered.attempts)
        completion, tier = answered.completion, answered.tier
        validators = tuple(validator.name for validator in route.validators)
        cost_usd = sum(attempt.cost_usd for attempt in answered.attempts)
        return Landed(
            completion,
            Provenance(tier.name, completion.model or tier.model, cost_usd, validators),
            answered.attempts,
            may_be_kept=answered.validated and may_be_kept(completion),
            is_template=tier.is_template,
            left_alone=answered.left_alone,
        )

    async def settle(self) -> None:
        """Wait for all calls under way."""
        await self._flights.settle()


async def _to_the_end(
    chunks: AsyncGenerator[Chunk, None], flight: Flight[Landed], ended: Callable[[Landed], Awaitable[None]]
) -> AsyncGenerator[Chunk, None]:
    """The chunks, and at their end what the call raises where the answer broke off. It ends when the answer is kept."""
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk
    await ended(await flight.landing())


async def _passes(completion: Completion, request: Request, route: Route) -> bool:
    try:
        await validate(completion, request.body, route.validators)
    except AttemptFailed:
        return False
    return True


def _settled(streaming: Streaming, completion: Completion, failure: FailureClass | None = None) -> tuple[Attempt, ...]:
    """The attempts, the last one, a stream, with its final cost and outcome."""
    *earlier, streamed = streaming.attempts
    cost_usd = streaming.tier.price.cost_usd(completion.usage)
    return (*earlier, replace(streamed, cost_usd=cost_usd, failure=failure))
