"""How many hits, at how many wrong ones: cosine, margin and our confidence side by side, over the public question sets.

Run it with `python -m tests.benchmarks quality`; it needs CACHEGUARD_DATA. The warm questions of a stream are in the
cache of a service, its labelled ones tune the route, and its replay is asked through the service's own corridor.

- shipped: the model as it is shipped, which learned from the labelled parts of both streams, but from no replay.
- held out: such a model that learned from everything but this stream: a route without labels.
- tuned: as `cacheguard tune --apply` puts it in force.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.matching.confidence import NOTHING_SIMILAR, Calibrated, default_model
from cacheguard.matching.decide import CosineThreshold
from cacheguard.tuning import train
from cacheguard.tuning.fitting import fit_model, lessons_alone, lessons_among
from cacheguard.tuning.guarantee import upper_bound
from cacheguard.tuning.tuning import Promise, fit_for, tune
from embeddings.opening import open_embedder
from tests.benchmarks.counting import LIMITS, Decisions, Listing, Listings, percent
from tests.benchmarks.filled import GUARDED, filled, remember_lessons, stream
from tests.benchmarks.threshold import DATA, SETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.confidence import ConfidenceModel
    from cacheguard.matching.decide import Rule
    from cacheguard.tuning.labels import Labelled
    from cacheguard.tuning.tuning import Fit
    from tests.benchmarks.filled import Filled

PROMISES = (0.01, 0.02, 0.05)
AT = " / ".join(f"{100 * limit:g}" for limit in LIMITS)
FOLDS = 5
# Every answer that no guard objects to is served, so that a row tells how sure the rule is of what it would serve.
ALL = 1e-6


def measure() -> Listings:
    return asyncio.run(_measure())


async def _measure() -> Listings:
    remember_lessons()
    embedder = await open_embedder("bundled")
    try:
        domains = [await train._stream(embedder, DATA, name) for name in SETS]
        learned = await train._pairs(embedder, DATA)
    finally:
        await embedder.aclose()
    streams, served, pairs, lone = [], [], [], []
    for name in SETS:
        others = [domain for domain in domains if domain.name != name]
        held_out = train._fit(others, lessons_alone(learned))
        async with filled(name) as cache:
            labelled, fit = await cache.labelled(stream(name, "labelled")), await cache.fit()
            streams += await _ranked(cache, name, {"held out": held_out, "tuned": fit(labelled)})
            served += await _in_force(cache, name, labelled, fit)
            lone += await _lone(cache, name, learned)
            if name == SETS[0]:
                pairs = await _pairs(cache)
                traps = await _traps(cache)
    in_force = ["set", "promise", "served %", "wrong %", "bound %"]
    return Listings(
        [
            Listing("streams: hit rate", ["set", "rule", f"% served at {AT} % wrong"], streams),
            Listing("streams: what a tuned route serves", [*in_force, f"% at {AT} % wrong"], served),
            Listing("pairs: true duplicates", ["set", "rule", f"% served at {AT} % wrong"], pairs),
            Listing("lone phrasings of a domain that was held out", ["set", "rule", f"% served at {AT} % wrong"], lone),
            Listing("pairs that must miss, of those that the model reads", ["set", "rule", "served", "of"], traps),
        ]
    )


async def _ranked(cache: Filled, name: str, models: Mapping[str, ConfidenceModel]) -> list[list[str]]:
    replay = await cache.labelled(stream(name, "replay"))
    found = {"cosine": by_cosine(replay), "margin": by_margin(replay)}
    for what, model in {"shipped": default_model(), **models}.items():
        await cache.apply(Calibrated(model, ALL, trusts_exact=False))
        found[what] = as_scored(await cache.scored(stream(name, "replay")))
    return [[name, what, percent(*map(one.hit_rate_at, LIMITS))] for what, one in found.items()]


async def _in_force(cache: Filled, name: str, labelled: Sequence[Labelled], fit: Fit) -> list[list[str]]:
    rules = {"none, as shipped": Calibrated(default_model(), NOTHING_SIMILAR, GUARDED, near_exact=True)}
    for max_wrong in PROMISES:
        rules[f"{max_wrong:.0%}"] = tune(labelled, fit, GUARDED, Promise(max_wrong, 0.95), time.time()).rule
    rows = []
    for promise, rule in rules.items():
        await cache.apply(rule)
        scored = await cache.scored(stream(name, "replay"))
        served = [row for row in scored if row["served"] is not None]
        wrong = sum(row["served"] != row["answer_id"] for row in served)
        shares = len(served) / len(scored), wrong / max(1, len(served)), upper_bound(wrong, len(served))
        possible = percent(*map(as_scored(scored).hit_rate_at, LIMITS))
        rows.append([name, promise, *map(percent, shares), possible])
    return rows


def as_scored(rows: Sequence[Mapping[str, Any]]) -> Decisions:
    return Decisions.of([(row["confidence"], row["nearest"] == row["answer_id"]) for row in rows])


def by_cosine(asked: Sequence[Labelled]) -> Decisions:
    nearest = [one.matches[0] for one in asked]
    return Decisions.of(
        [(match.similarity, bool(one.fits(match.answer))) for one, match in zip(asked, nearest, strict=True)]
    )


def by_margin(asked: Sequence[Labelled]) -> Decisions:
    """How much nearer the best answer is than the best other one."""
    found = []
    for one in asked:
        best = one.matches[0]
        others = [match.similarity for match in one.matches if match.answer.id != best.answer.id]
        rival = max(others, default=one.matches[-1].similarity)
        found.append((best.similarity - rival, bool(one.fits(best.answer))))
    return Decisions.of(found)


async def _pairs(cache: Filled) -> list[list[str]]:
    """qqp_a in five folds, each judged by a model that the other four taught; and the model as it is shipped."""
    pairs = await cache.labelled(DATA / "pairs" / "qqp_a.tsv.gz")
    fit = fit_for([])
    apart = {
        "5-fold": np.arange(len(pairs)) % FOLDS,
        "5-fold, no question in two folds": _folds_of_questions(pairs),
    }
    found = {"cosine": by_cosine(pairs)}
    for guarded, how in ((False, ""), (True, ", guarded")):
        found[f"shipped{how}"] = _judged(pairs, default_model(), guarded=guarded)
    for what, folds in apart.items():
        models = [fit([pairs[at] for at in np.flatnonzero(folds != fold)]) for fold in range(FOLDS)]
        for guarded, how in ((False, ""), (True, ", guarded")):
            parts = [
                _judged([pairs[at] for at in np.flatnonzero(folds == fold)], model, guarded=guarded)
                for fold, model in enumerate(models)
            ]
            found[what + how] = together(parts)
    return [["qqp_a", what, percent(*map(one.duplicates_served_at, LIMITS))] for what, one in found.items()]


def _folds_of_questions(pairs: Sequence[Labelled]) -> NDArray[np.int64]:
    """Pairs that share a question, or each share one with a third, are in one fold."""
    leads: dict[str, str] = {}

    def first_of(text: str) -> str:
        while (before := leads.setdefault(text, text)) != text:
            leads[text] = text = leads[before]
        return text

    for pair in pairs:
        leads[first_of(pair.question.text)] = first_of(pair.matches[0].phrasing.text)
    _, group = np.unique([first_of(pair.question.text) for pair in pairs], return_inverse=True)
    return (np.random.default_rng(0).permutation(int(group.max()) + 1) % FOLDS)[group]


def together(parts: Sequence[Decisions]) -> Decisions:
    return Decisions(np.concatenate([part.sure for part in parts]), np.concatenate([part.right for part in parts]))


async def _lone(cache: Filled, name: str, learned: Sequence[Labelled]) -> list[list[str]]:
    """Replayed questions with the nearest phrasing alone, under a model that only qqp_a's pairs taught."""
    alone = [replace(one, matches=one.matches[:1]) for one in await cache.labelled(stream(name, "replay"))]
    model = fit_model(lessons_among([]), lessons_alone(learned), {})
    found = {"cosine": by_cosine(alone)}
    found |= {f"held out{how}": _judged(alone, model, guarded=bool(how)) for how in ("", ", guarded")}
    return [[name, what, percent(*map(one.duplicates_served_at, LIMITS))] for what, one in found.items()]


def _judged(pairs: Sequence[Labelled], model: ConfidenceModel, *, guarded: bool) -> Decisions:
    rule = Calibrated(model, ALL, GUARDED if guarded else (), trusts_exact=False)
    found = []
    for pair in pairs:
        [judged] = rule.judge(pair.question, pair.matches, time.time(), pair.vector)
        found.append((judged.confidence if judged.accepted else 0.0, bool(pair.fits(judged.match.answer))))
    return Decisions.of(found)


async def _traps(cache: Filled) -> list[list[str]]:
    """Served although the two ask different things: by the route as it is shipped, and by a cosine alone."""
    rows = []
    shipped = Calibrated(default_model(), NOTHING_SIMILAR, GUARDED, near_exact=True)
    rules: dict[str, Rule] = {
        "cosine 0.9": CosineThreshold(0.9),
        "as shipped": shipped,
        "as shipped, without guards": replace(shipped, guards=()),
        "confidence 0.5": replace(shipped, threshold=0.5),
    }
    for name in ("finance_traps", "oppo_zh"):
        pairs = await cache.labelled(DATA / "pairs" / f"{name}.tsv.gz")
        apart = [pair for pair in pairs if not pair.fits(pair.matches[0].answer)]
        for what, rule in rules.items():
            judged = [
                rule.judge(pair.question, pair.matches, time.time(), pair.vector)[0]
                for pair in apart
                if not pair.matches[0].exact
            ]
            rows.append([name, what, f"{sum(one.accepted for one in judged)}", f"{len(judged)}"])
    return rows
