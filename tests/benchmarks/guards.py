"""What does each guard cost in right hits, and save in wrong ones?

Run it with `python -m tests.benchmarks guards`; it needs the public question sets (CACHEGUARD_DATA). Streams: other
people's questions against a cache that holds the warm ones, hits being those with a cosine of at least 0.8, and 0.05
more than to any other answer; a guard sees the answer's phrasings among the twenty nearest. Pairs: one prompt in the
cache, the other asked; hits have a cosine of at least 0.9, traps of any, and the model reads both. Exact matches are
left out. Answers are a day old.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cacheguard.matching.decide import Match
from cacheguard.matching.guards import GUARDS, first_veto, make_guards
from cacheguard.question import Question, fold
from cacheguard.types import Answer, Origin, Phrasing, Provenance
from embeddings.opening import open_embedder
from tests.benchmarks.threshold import BATCH, DATA, SETS, embedded, labelled

if TYPE_CHECKING:
    from collections.abc import Sequence

NEIGHBOURS = 20
NOW, DAY_S = 1_767_225_600.0, 86_400
PAIRS = {"qqp_a": 0.9, "oppo_zh": 0.9, "finance_traps": -1.0}


@dataclass(frozen=True, slots=True)
class Case:
    """A hit, if no guard objects: the question, the phrasings that speak for the answer, nearest first."""

    asked: Question
    matches: list[Match]
    is_right: bool


def case(asked: str, known: Sequence[str], *, is_right: bool) -> Case:
    answer = Answer("a", "", "", "", "", Provenance(""), 0, NOW - DAY_S)
    phrasings = [Phrasing(at, "a", "", fold(text), text, Origin.LOG, 0) for at, text in enumerate(known)]
    return Case(Question(asked, fold(asked)), [Match(phrasing, answer, 0.9) for phrasing in phrasings], is_right)


async def stream(embedder, name: str) -> list[Case]:
    warm, answers = zip(*{fold(text): (text, of) for text, of in labelled(f"{name}.warm")}.values(), strict=True)
    replay, right = zip(*labelled(f"{name}.replay"), strict=True)
    similarity = await embedded(embedder, replay, name) @ (await embedded(embedder, warm, name)).T
    keys = set(map(fold, warm))
    cases = []
    for at, row in enumerate(similarity):
        near = np.argsort(-row)[:NEIGHBOURS]
        best = answers[near[0]]
        rival = max((row[other] for other in near if answers[other] != best), default=row[near[-1]])
        if row[near[0]] >= 0.8 and row[near[0]] - rival >= 0.05 and fold(replay[at]) not in keys:
            known = [warm[other] for other in near if answers[other] == best]
            cases.append(case(replay[at], known, is_right=best == right[at]))
    return cases


async def pairs(embedder, name: str, least: float) -> list[Case]:
    with gzip.open(DATA / "pairs" / f"{name}.tsv.gz", "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines][1:]
    texts = list({text for row in rows for text in row[:2]})
    place = {text: at for at, text in enumerate(texts)}
    batches = [
        await embedder.embed(texts[at : at + BATCH]) for at in track(range(0, len(texts), BATCH), name, transient=True)
    ]
    vectors, cut = np.vstack([batch.vectors for batch in batches]), [cut for batch in batches for cut in batch.cut]
    return [
        case(one, [other], is_right=same == "1")
        for one, other, same in rows
        if vectors[place[one]] @ vectors[place[other]] >= least
        and fold(one) != fold(other)
        and not (cut[place[one]] or cut[place[other]])
    ]


def microseconds(guard: str, cases: Sequence[Case]) -> float:
    """Processor time of one look at one phrasing, both texts being new."""
    [made] = make_guards([guard])
    begun = time.process_time()
    for one in cases:
        made.objects(one.asked, one.matches[:1], NOW)
    return (time.process_time() - begun) / len(cases) * 1e6


async def main() -> None:
    embedder = await open_embedder("bundled")
    try:
        sets = {name: await stream(embedder, name) for name in SETS}
        sets |= {name: await pairs(embedder, name, least) for name, least in PAIRS.items()}
    finally:
        await embedder.aclose()
    shown = Table("guard", title="right hits lost / wrong hits stopped", title_justify="left")
    for name, cases in sets.items():
        rights = sum(one.is_right for one in cases)
        shown.add_column(f"{name}\n{rights} / {len(cases) - rights}", justify="right")
    shown.add_column("µs", justify="right")
    for guard in (*GUARDS, "all"):
        guards = make_guards(GUARDS if guard == "all" else [guard])
        figures = []
        for cases in sets.values():
            vetoed = [one.is_right for one in cases if first_veto(one.asked, one.matches, guards, NOW)]
            figures.append(f"{sum(vetoed)} / {len(vetoed) - sum(vetoed)}")
        shown.add_row(guard, *figures, "" if guard == "all" else f"{microseconds(guard, sets['qqp_a'][:1000]):.0f}")
    Console().print(shown)


if __name__ == "__main__":
    asyncio.run(main())
