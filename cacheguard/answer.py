"""The corridor: one request from question to answer. This file orders the steps and does nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, assert_never

from cacheguard.cascade.turns import Alone
from cacheguard.errors import CostBudgetExceeded, SpendingLimitReached, StoreAway, TiersFailed
from cacheguard.fast_lane import FastLane, Understood
from cacheguard.matching.decide import Hit, Miss, MissReason, Stale, decide
from cacheguard.popularity import Popularity
from cacheguard.question import Question, ask_instead
from cacheguard.reply import CacheStatus, Landed, Reply, forwarded, landed_earlier, served
from cacheguard.request import Asked, PassingBy, Recalled, understand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.border import Border
    from cacheguard.cache import Cache
    from cacheguard.cascade.flight import Flight
    from cacheguard.cascade.turns import Turns
    from cacheguard.matching.decide import Decision, Match
    from cacheguard.matching.freshness import Directives
    from cacheguard.request import Request
    from cacheguard.routes import Routes
    from cacheguard.second_look import SecondLook
    from cacheguard.telemetry.trace import Trace
    from cacheguard.upstream import Upstream

BROKEN = Recalled(Miss(MissReason.CACHE_BROKEN))
ALONE = Alone()


class Observer(Protocol):
    """Who is told of every decision."""

    def decided(self, asked: Asked, recalled: Recalled) -> None: ...


class Corridor:
    """Everything that a request passes. second_looks: one for each route. border: to the cache. now: Unix seconds."""

    def __init__(
        self,
        routes: Routes,
        cache: Cache,
        upstream: Upstream,
        second_looks: Mapping[str, SecondLook],
        *,
        turns: Turns,
        observer: Observer,
        border: Border,
        now: Callable[[], float],
    ) -> None:
        self._routes = routes
        self._cache = cache
        self._upstream = upstream
        self._second_looks = second_looks
        self._turns = turns
        self._fast_lane = FastLane(cache.rows)
        self._observer = observer
        self._popularity = Popularity()
        self._border = border
        self._now = now

    def understand(self, request: Request) -> Asked | PassingBy:
        """What is asked. Raises RequestError."""
        return understand(request, self._routes)

    async def answer(self, asked: Asked | PassingBy, trace: Trace) -> Reply:
        """The answer. Raises RequestError, or TiersFailed when nothing at all may be served."""
        if isinstance(asked, PassingBy):
            return await self._forward(asked, trace)
        found, recalled = await self._border.cross("recall", self._found(asked, trace), (asked, BROKEN))
        trace.decided(recalled.decision)
        self._observer.decided(found, recalled)
        match recalled.decision:
            case Hit() as hit:
                if self._popularity.is_due(hit, found.route.refresh_ahead_hits):
                    self._refresh(found, Stale(hit.judged, hit.fresh, servable=True))
                return await self._serve(found, hit)
            case Stale(servable=True) as stale:
                self._refresh(found, stale)
                return await self._serve(found, stale)
            case Stale() | Miss():
                return await self._ask(found, recalled, trace)
            case _:
                assert_never(recalled.decision)

    def repeated(
        self, tenant: str, route: str | None, raw: bytes, directives: Directives, trace: Trace
    ) -> Reply | None:
        """The answer to a request that came before, where it is at hand; None: go the whole way."""
        found = self._fast_lane.find((tenant, route, raw), directives, self._now())
        return self._at_once(*found, trace) if found else None

    def at_hand(self, asked: Asked | PassingBy, trace: Trace) -> Reply | None:
        """The answer, where it is an exact match that is in memory; None: await a reply."""
        found = self._fast_lane.look(asked, self._now()) if isinstance(asked, Asked) else None
        return self._at_once(*found, trace) if found else None

    def _at_once(self, understood: Understood, hit: Hit, trace: Trace) -> Reply:
        trace.note("exact", found=True)
        trace.decided(hit)
        return served(hit, understood.route.name, understood.model)

    async def _found(self, asked: Asked, trace: Trace) -> tuple[Asked, Recalled]:
        """What is known of the question; else of the same one as a first turn, where it may be one."""
        recalled = await self.recall(asked, trace)
        first = asked.as_first_turn() if isinstance(recalled.decision, Miss) else None
        if first is None:
            return asked, recalled
        elsewhere = await self.recall(first, trace)
        match elsewhere.decision:
            case Hit() | Stale(servable=True):
                return first, elsewhere
            case _:
                return asked, recalled

    async def recall(self, asked: Asked, trace: Trace) -> Recalled:
        """Exact match, vector, neighbours, decision."""
        if not asked.route.mode.reads:
            return Recalled(Miss(MissReason.READ_OFF))
        try:
            exact = await self._cache.exact(asked.scope, asked.question)
        except StoreAway:
            return await self._while_away(asked, trace)
        trace.note("exact", found=exact is not None)
        if exact is not None and asked.route.rule.trusts_exact:
            return Recalled(await self._decide(asked, [exact]))
        return await self._near(asked, trace)

    async def _while_away(self, asked: Asked, trace: Trace) -> Recalled:
        """While the store is away: a hit whose neighbours are all in memory. Raises StoreAway: a miss would be a guess.

        A neighbour that is missing could have been nearer, or have spoken against the nearest.
        """
        recalled = await self._near(asked, trace)
        match recalled.decision:
            case Hit() | Stale(servable=True):
                return recalled
            case _:
                raise StoreAway("what is not at hand can't be looked for")

    async def _near(self, asked: Asked, trace: Trace) -> Recalled:
        """Vector, neighbours, decision."""
        vector = await self._cache.vector(asked.question)
        trace.note("vector", cut=vector is None)
        if vector is None:
            return Recalled(Miss(MissReason.CUT))
        neighbours = await self._cache.neighbours(asked.scope, asked.question, vector)
        trace.note("neighbours", found=len(neighbours))
        return Recalled(await self._decide(asked, neighbours, vector), vector)

    async def _decide(
        self, asked: Asked, matches: Sequence[Match], vector: NDArray[np.float32] | None = None
    ) -> Decision:
        """By the route's rule, and by a second look where that is unsure."""
        route, now = asked.route, self._now()
        judged = route.rule.judge(asked.question, matches, now, vector)
        judged = await self._second_looks[route.name].look(asked.question, matches, judged, route.rule, now)
        return decide(judged, terms=route.terms, directives=asked.request.directives, now=now)

    async def _serve(self, asked: Asked, found: Hit | Stale) -> Reply:
        """Answer from the cache."""
        reply = served(found, asked.route.name, asked.request.body["model"])
        if found.match.exact:
            self._fast_lane.learn(asked)
        else:
            await self._remember(asked, reply.completion_id, found.match)
        return reply

    async def _ask(self, asked: Asked, recalled: Recalled, trace: Trace) -> Reply:
        """Answer from the tiers; when they fail, by an earlier answer that went stale."""
        try:
            return await self._upstream.reply(
                asked.request,
                asked.route,
                forwarded(recalled.decision, asked.request.directives),
                lambda flight: self._anew(flight, asked, recalled),
                trace,
                sharing_key=asked.sharing_key,
                kept_as=lambda completion_id, kept: self._remember(asked, completion_id, kept),
            )
        except (TiersFailed, SpendingLimitReached, CostBudgetExceeded) as failed:
            if not isinstance(recalled.decision, Stale):
                raise
            reply = await self._serve(asked, recalled.decision)
            return replace(reply, tried=failed.tried or reply.tried)

    async def _anew(self, flight: Flight[Landed], asked: Asked, recalled: Recalled) -> Landed:
        """Cascade, validate, store: once for everyone who asks this now, of other processes too."""
        async with self._turn(asked) as waited_s:
            if meanwhile := await self._answered_meanwhile(asked, recalled):
                return meanwhile
            plan = asked.route.plan.after(waited_s)
            if isinstance(recalled.decision, Stale):  # a better last resort than a template stands by
                plan = plan.without_template()
            landed = await self._upstream.land(flight, asked.request, asked.route, plan)
            if not (landed.may_be_kept and asked.may_be_kept):
                return landed
            if recalled is BROKEN and await self._answered_meanwhile(asked, recalled):
                return landed  # what could not be seen then is there after all
            keep = self._cache.keep(asked, recalled, landed.completion.text, landed.provenance, self._now())
            kept = await self._border.cross("keep", keep, None)
            if kept is not None:
                self._border.cross_later("place", self._cache.place(kept))
            return replace(landed, kept=kept)

    def _turn(self, asked: Asked) -> AbstractAsyncContextManager[float]:
        """Of those who may wait for each other's answers: for half of their time."""
        may_share = asked.sharing_key is not None and asked.may_be_kept and asked.route.mode.reads
        turns = self._turns if may_share else ALONE
        return turns.turn(asked.scope.key, asked.question.key, asked.route.plan.deadline_s / 2)

    async def _answered_meanwhile(self, asked: Asked, recalled: Recalled) -> Landed | None:
        """The answer that another call kept while this question was on its way here."""
        if not asked.route.mode.reads or asked.sharing_key is None:
            return None
        match = await self._border.cross("recall", self._cache.exact(asked.scope, asked.question), None)
        if match is None or not isinstance(await self._decide(asked, [match]), Hit):
            return None
        return landed_earlier(match) if recalled.is_older_than(match) else None

    async def _forward(self, passing: PassingBy, trace: Trace) -> Reply:
        """Answer from the tiers, past the cache."""
        request, route = passing.request, passing.route
        status = CacheStatus(forwarded="bypass", detail=passing.reason)
        return await self._upstream.reply(
            request, route, status, lambda flight: self._upstream.land(flight, request, route, route.plan), trace
        )

    def _refresh(self, asked: Asked, stale: Stale) -> None:
        """Ask the tiers for the phrasing that matched, behind the client's back and once at a time."""
        if not asked.may_be_kept:
            return
        phrasing, request = stale.match.phrasing, asked.request
        body = {**request.body, "stream": False}
        if not stale.match.exact:
            body["messages"] = ask_instead(body["messages"], phrasing.text)
        request = replace(request, body=body, raw=b"")
        again = replace(asked, request=request, question=Question(phrasing.text, phrasing.key))
        exact = stale.judged._replace(match=stale.match._replace(exact=True))
        recalled = Recalled(replace(stale, judged=exact))
        self._upstream.begin(again.sharing_key, lambda flight: self._anew(flight, again, recalled))

    async def _remember(self, asked: Asked, completion_id: str, match: Match) -> None:
        remember = self._cache.remember(completion_id, asked, match, self._now())
        await self._border.cross("remember", remember, None)
