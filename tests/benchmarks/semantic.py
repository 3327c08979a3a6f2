"""A semantic hit over HTTP, beside the embedding that it pays for: one at a time, and in its best batch.

One at a time, embedding takes longer within a hit than in a loop of nothing else, whose core neither sleeps nor does
anything besides: a hit is compared with both.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.asking import (
    AT_ONCE,
    ROUNDS,
    SECONDS,
    at_once,
    logs,
    over_and_over,
    over_http,
    per_round,
    prompts,
)
from tests.benchmarks.figures import Findings, at_least, at_most, beyond, in_turn, throughput
from tests.benchmarks.processes import encoder, write
from tests.benchmarks.serving import alone, filled_service, hits, stage

if TYPE_CHECKING:
    from tests.benchmarks.load import Timing

SEMANTIC, WITHIN = "semantic hit", "embedding, within a hit"
ALONE, BATCHED = "embedder", "embedder in batches of 256"
MARK = b"; detail=semantic\r\n"


def measure() -> Findings:
    with stage() as here:
        log, replay = logs()
        service = here.stack.enter_context(filled_service(here.folder, log, here.cores.measured))
        semantic = hits(service, prompts(replay), "semantic")
        questions = write(here.folder / "questions.json", list(semantic))
        model = here.stack.enter_context(encoder(questions, here.cores.measured))
        runs = {
            **over_http(SEMANTIC, service, over_and_over(semantic), mark=MARK),
            ALONE: partial(model.timed, f"single {SECONDS}"),
            BATCHED: partial(model.timed, f"batches {SECONDS}"),
        }
        within: list[Timing] = []
        runs[at_once(SEMANTIC, 1)] = partial(alone, service, runs[at_once(SEMANTIC, 1)], within)
        found = {**in_turn(runs, ROUNDS), WITHIN: within[-ROUNDS:]}
    return Findings.of(
        f"semantic hits: {len(semantic)} questions of {replay.name}; {per_round()}",
        found,
        [
            *(beyond(found, at_once(SEMANTIC, 1), what, goal=at_most(0.8)) for what in (WITHIN, ALONE)),
            throughput(found, at_once(SEMANTIC, AT_ONCE[-1]), BATCHED, at_least(0.85)),
        ],
    )
