"""What a decision costs beyond embedding and search, and what it adds to a semantic hit; and how large models are.

Run it with `python -m tests.benchmarks decisions`; it needs CACHEGUARD_DATA. vira's replay is asked of a cache of its
warm questions in this process; vectors and neighbours are found beforehand where the decision alone is measured. Each
rule takes its turn in every round, so that a busy machine is busy for all. Phrasings are remembered as read, questions
are not: each has a blank more at its end every time.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cacheguard.matching.confidence import LIKENED, Calibrated, Logistic, default_model
from cacheguard.matching.decide import CosineThreshold
from cacheguard.matching.stored_rule import write_rule
from cacheguard.telemetry.trace import Trace
from cacheguard.tuning.likenesses import Pairs, teach
from tests.benchmarks.counting import Listing, Listings
from tests.benchmarks.filled import GUARDED, filled, stream
from tests.benchmarks.load import Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.matching.decide import Rule
    from cacheguard.tuning.labels import Labelled
    from tests.benchmarks.filled import Filled

NAME = "vira"
ROUNDS = 3
HITS = 500
# Of a tuned route: some of what is judged is served.
THRESHOLD = 0.9


def measure() -> Listings:
    return asyncio.run(_measure())


async def _measure() -> Listings:
    async with filled(NAME) as cache:
        labelled, fit = await cache.labelled(stream(NAME, "labelled")), await cache.fit()
        replay = await cache.labelled(stream(NAME, "replay"))
        shipped, tuned = default_model(), fit(labelled)
        rules: dict[str, Rule] = {
            "plain cosine": CosineThreshold(THRESHOLD),
            "shipped model": Calibrated(shipped, THRESHOLD),
            "shipped model and guards": Calibrated(shipped, THRESHOLD, GUARDED),
            "tuned model and guards": Calibrated(tuned, THRESHOLD, GUARDED),
        }
        alone = deciding(rules, replay)
        lone = deciding({"shipped model and guards": rules["shipped model and guards"]} | taught(replay), first(replay))
        whole = await recalling(cache, rules, [one.question.text for one in replay[:HITS]])
    sizes = {
        "shipped model": Calibrated(shipped, THRESHOLD),
        "tuned model, with its head": Calibrated(tuned, THRESHOLD),
    }
    timings = ["rule", "p50 ms", "p99 ms"]
    return Listings(
        [
            Listing(f"the decision alone, {len(replay)} questions", timings, shown(alone)),
            Listing("the same with one phrasing near", timings, shown(lone)),
            Listing(f"exact match, embedding, search and decision, {HITS} questions", timings, shown(whole)),
            Listing(
                "size", ["rule", "kB"], [[of, f"{len(write_rule(rule)) / 1000:.1f}"] for of, rule in sizes.items()]
            ),
        ]
    )


def first(asked: Sequence[Labelled]) -> list[Labelled]:
    """With the nearest phrasing alone."""
    return [replace(one, matches=one.matches[:1]) for one in asked]


def taught(asked: Sequence[Labelled]) -> dict[str, Rule]:
    """With a likeness: what it says costs the same whatever it has learned."""
    weights = Logistic(LIKENED, np.ones(2), np.zeros(2), np.ones(2), 0.0)
    model = replace(default_model(), likeness=teach(Pairs.of(first(asked))), likened=weights)
    return {"taught by pairs, and guards": Calibrated(model, THRESHOLD, GUARDED)}


def deciding(rules: dict[str, Rule], asked: Sequence[Labelled]) -> dict[str, list[float]]:
    """Seconds that each decision took, by rule. What a round before the first loads, isn't counted."""
    times: dict[str, list[float]] = {what: [] for what in rules}
    for number in range(ROUNDS + 1):
        for turn, (what, rule) in enumerate(rules.items(), 1 + number * len(rules)):
            for one in asked:
                question = replace(one.question, text=one.question.text + turn * " ")
                begun = time.perf_counter()
                rule.judge(question, one.matches, begun, one.vector)
                if number:
                    times[what].append(time.perf_counter() - begun)
    return times


async def recalling(cache: Filled, rules: dict[str, Rule], prompts: Sequence[str]) -> dict[str, list[float]]:
    """The same of all that the corridor does until a decision stands."""
    times: dict[str, list[float]] = {what: [] for what in rules}
    asked = [cache.place.asked(prompt) for prompt in prompts]
    for number in range(ROUNDS + 1):
        for what, rule in rules.items():
            route = replace(cache.place.route, rule=rule)
            for one in asked:
                begun = time.perf_counter()
                await cache.service.corridor.recall(replace(one, route=route), Trace(time.perf_counter))
                if number:
                    times[what].append(time.perf_counter() - begun)
    return times


def shown(times: dict[str, list[float]]) -> list[list[str]]:
    rows = []
    for what, taken in times.items():
        timing = Timing.of(taken, sum(taken))
        rows.append([what, f"{timing.p50_ms:.3f}", f"{timing.p99_ms:.3f}"])
    return rows
