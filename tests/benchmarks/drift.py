"""What follows when the questions or the answers change: does the running bound notice, and how soon?

Run it with `python -m tests.benchmarks drift`; it needs CACHEGUARD_DATA. A route is tuned on banking77, and promises
that at most 5 % of its hits are wrong. First come questions whose answers the cache holds; from some point on

- other topics: only questions that it has no answer to, so that every hit is wrong;
- outdated answers: others of the first kind, but half of the answers are wrong by now.

A judge who knows all this looks at a sample of the hits, as the service's own would: a share of them, and all once one
is found wrong. Several times over: each seed draws other samples, of questions in another order.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import product
from random import Random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from structlog.testing import capture_logs

from cacheguard.matching.decide import Hit
from cacheguard.oversight import verdicts
from cacheguard.telemetry.trace import Trace
from cacheguard.tuning.labels import Verdicts
from cacheguard.tuning.tuning import Promise, tune
from tests.benchmarks.counting import Listing, Listings
from tests.benchmarks.filled import GUARDED, ROUTE, filled, remember_lessons, remember_vectors, stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cacheguard.matching.confidence import Calibrated
    from cacheguard.tuning.labels import Labelled
    from tests.benchmarks.filled import Filled

NAME = "banking77"
MAX_WRONG = 0.05
SAMPLES = (0.05, 0.2)
SEEDS = 5


class Noticed(NamedTuple):
    """Counts since the change. hits, wrong, judged: until the route tightened itself, or in all. later: hits after it.

    before: times that the route tightened itself before the change.
    """

    before: int
    hits: int
    wrong: int
    judged: int
    is_noticed: bool
    later: int


def measure() -> Listings:
    return asyncio.run(_measure())


async def _measure() -> Listings:
    remember_lessons()
    remember_vectors()
    async with filled(NAME) as cache:
        labelled, fit = await cache.labelled(stream(NAME, "labelled")), await cache.fit()
        replay = await cache.labelled(stream(NAME, "replay"))
        names = {match.answer.source_id for match in await cache.phrasings()}
    known = [one for one in replay if not names.isdisjoint(one.verdicts.right)]
    first, later = known[::2], known[1::2]
    gone = frozenset(sorted(names)[::2])
    changes = {
        "other topics": [one for one in replay if names.isdisjoint(one.verdicts.right)],
        "outdated answers": [replace(one, verdicts=Verdicts(one.verdicts.right - gone)) for one in later],
    }
    rule = tune(labelled, fit, GUARDED, Promise(MAX_WRONG, 0.95), time.time()).rule
    rows = []
    for what, share in product(changes, SAMPLES):
        found = [await _once(rule, first, changes[what], share, Random(seed)) for seed in range(SEEDS)]
        rows.append(
            [what, f"{share:.0%}", *summary([noticed for noticed, _ in found], [alerts for _, alerts in found])]
        )
    headings = ["then", "judged", "tightened before", "noticed", "after hits", "wrong", "seen", "hits later", "alerts"]
    title = (
        f"{len(first)} questions about what {NAME}'s cache holds, and then; {SEEDS} seeds, median (lowest to highest)"
    )
    return Listings([Listing(title, headings, rows)])


async def _once(
    rule: Calibrated, first: Sequence[Labelled], then: Sequence[Labelled], share: float, chance: Random
) -> tuple[Noticed, int]:
    """With the number of alerts."""
    async with filled(NAME, max_wrong_hits=MAX_WRONG) as cache:  # a new one: judges withdraw what is wrong
        await cache.apply(rule)
        with capture_logs() as logs:
            noticed = await drive(cache, shuffled(first, chance), shuffled(then, chance), share, chance)
    return noticed, sum(line["event"] == "promise broken" for line in logs)


def shuffled(asked: Sequence[Labelled], chance: Random) -> list[Labelled]:
    return chance.sample(list(asked), len(asked))


def summary(found: Sequence[Noticed], alerts: Sequence[int]) -> list[str]:
    """The cells of a row, from `tightened before` on."""

    def spread(figures: Iterable[int]) -> str:
        ordered = sorted(figures)
        return f"{median(ordered):.0f} ({ordered[0]} to {ordered[-1]})"

    return [
        f"{sum(one.before for one in found)}",
        f"{sum(one.is_noticed for one in found)} of {len(found)}",
        spread(one.hits for one in found),
        spread(one.wrong for one in found),
        spread(one.judged for one in found),
        spread(one.later for one in found),
        spread(alerts),
    ]


async def drive(
    cache: Filled, first: Sequence[Labelled], then: Sequence[Labelled], share: float, chance: Random
) -> Noticed:
    before = await versions(cache)
    for one in first:
        await ask(cache, one, share, chance)
    since = await versions(cache)
    hits = wrong = judged = later = 0
    for one in then:
        if await versions(cache) > since:
            later += (await ask(cache, one, share, chance))[0]
            continue
        is_hit, is_wrong, was_judged = await ask(cache, one, share, chance)
        hits, wrong, judged = hits + is_hit, wrong + is_wrong, judged + was_judged
    return Noticed(since - before, hits, wrong, judged, await versions(cache) > since, later)


async def versions(cache: Filled) -> int:
    return len(await cache.service.store.rules(ROUTE))


async def ask(cache: Filled, one: Labelled, share: float, chance: Random) -> tuple[bool, bool, bool]:
    """Whether it is a semantic hit, a wrong one, and one that the judge looked at."""
    asked = cache.place.asked(one.question.text)
    decision = (await cache.service.corridor.recall(asked, Trace(time.perf_counter))).decision
    if not isinstance(decision, Hit) or decision.match.exact:
        return False, False, False
    is_right = bool(one.fits(decision.match.answer))
    service = cache.service
    promises = service.overseers.promises
    if chance.random() >= (1.0 if promises[ROUTE].is_in_doubt else share):
        return True, not is_right, False
    [known] = await service.store.known([decision.match.phrasing.id])
    pair = verdicts.Pair(one.question.key, one.question.text, known, decision.match.similarity)
    says = verdicts.Verdicts(service.store, service.embedder, promises, time.time)
    await says.say(pair, verdicts.JUDGE, is_right=is_right)
    return True, not is_right, True
