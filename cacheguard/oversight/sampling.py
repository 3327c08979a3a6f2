"""Sampling: some decisions are shown to a judge, off the request's path; near-misses are noted for review."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cacheguard.failures import AttemptFailed
from cacheguard.oversight.cases import Case, case_of
from cacheguard.oversight.judging import body_of
from cacheguard.oversight.verdicts import JUDGE, Pair
from cacheguard.stores.base import Account, Served
from cacheguard.validation.judge import read_verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from random import Random

    from cacheguard.border import Border
    from cacheguard.cascade.cascade import Cascade
    from cacheguard.cascade.outcome import Attempt
    from cacheguard.cascade.spending import Ledger
    from cacheguard.cascade.tier import Tier
    from cacheguard.oversight.promises import Promises
    from cacheguard.oversight.verdicts import Verdicts
    from cacheguard.request import Asked, Recalled
    from cacheguard.stores.base import Store
    from cacheguard.upstream import Upstream

# Decisions that may wait for their judge: some megabytes.
_WAITING: Final = 256
# So many are judged at a time.
_JUDGES: Final = 4
# Characters of a judge's reason that are kept.
_NOTE: Final = 300


class Counter(Protocol):
    """Where judgements are reported."""

    def judged(self, route: str, outcome: str) -> None: ...

    def attempted(self, route: str, attempt: Attempt) -> None: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """What a route's judge, a tier, looks at: shares of the semantic hits and of the near-misses."""

    tier: Tier
    hits: float
    near_misses: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    """version: of the rule that decided."""

    case: Case
    tier: Tier
    version: int


class Oversight:
    """Told of every decision. samples: by route, for those that have a judge. now: Unix seconds."""

    def __init__(
        self,
        samples: Mapping[str, Sample],
        *,
        store: Store,
        cascade: Cascade,
        ledger: Ledger,
        upstream: Upstream,
        promises: Promises,
        verdicts: Verdicts,
        counter: Counter,
        border: Border,
        random: Random,
        now: Callable[[], float],
    ) -> None:
        self._samples = samples
        self._store = store
        self._cascade = cascade
        self._ledger = ledger
        self._upstream = upstream
        self._promises = promises
        self._verdicts = verdicts
        self._counter = counter
        self._border = border
        self._random = random
        self._now = now
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_WAITING)
        self._tasks: set[asyncio.Task[None]] = set()
        for _ in range(_JUDGES if samples else 0):
            self._begin(self._work())

    def decided(self, asked: Asked, recalled: Recalled) -> None:
        """A decision was made. Takes microseconds, and never waits."""
        case = case_of(asked, recalled)
        if case is None:
            return
        if case.is_near_miss:
            self._begin(self._border.cross("remember", self._store.add_served(_noted(case, self._now())), None))
        sample = self._samples.get(case.route)
        if sample is not None and self._random.random() < self._share(case, sample):
            try:
                self._queue.put_nowait(_Waiting(case, sample.tier, self._version(case.route)))
            except asyncio.QueueFull:
                self._counter.judged(case.route, "dropped")

    async def aclose(self) -> None:
        """What waits is not judged any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _share(self, case: Case, sample: Sample) -> float:
        """Once a judge finds a hit wrong, all are looked at until it is clear whether that was an exception."""
        if case.is_near_miss:
            return sample.near_misses
        return 1.0 if sample.hits and self._promises[case.route].is_in_doubt else sample.hits

    def _version(self, route: str) -> int:
        rule = self._promises[route].rule
        return rule.version if rule else 0

    async def _work(self) -> None:
        while True:
            waiting = await self._queue.get()
            await self._border.cross("judge", self._judge(waiting), None)

    async def _judge(self, waiting: _Waiting) -> None:
        case = waiting.case
        if waiting.version != self._version(case.route):
            return  # it would be held against another rule
        purse = self._ledger.purse_of(Account("judge", case.route), self._now())
        try:
            said = await self._cascade.ask_aside(
                waiting.tier,
                body_of(case),
                purse=purse,
                observe=lambda attempt: self._counter.attempted(case.route, attempt),
            )
            verdict = read_verdict(said)
        except AttemptFailed:
            self._counter.judged(case.route, "failed")
            return
        self._counter.judged(case.route, verdict.verdict)
        if case.is_near_miss:
            await self._upstream.over(case.sharing_key)  # else the answer to come would take the phrasing away again
        [*known] = await self._store.known([case.match.phrasing.id])
        if not known or known[0].answer.refreshed_at != case.match.answer.refreshed_at:
            return  # what was judged is gone
        question = case.question
        pair = Pair(question.key, question.text, known[0], None if case.is_near_miss else case.match.similarity)
        await self._verdicts.say(pair, JUDGE, is_right=verdict.verdict == "right", note=verdict.reason[:_NOTE])

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _noted(case: Case, now: float) -> Served:
    """A near-miss under an id of its own."""
    match, question = case.match, case.question
    return Served(
        f"near-{secrets.token_hex(12)}",
        match.answer.scope,
        question.key,
        question.text,
        match.answer.id,
        match.phrasing.id,
        match.similarity,
        now,
        case.route,
        case.confidence,
        is_near_miss=True,
    )
