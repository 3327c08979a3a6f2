"""A semantic hit over HTTP, beside the embedding alone that it pays for: one at a time, and in its best batch."""

from __future__ import annotations

from functools import partial

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
from tests.benchmarks.serving import filled_service, hits, stage

SEMANTIC, ALONE, BATCHED = "semantic hit", "embedder", "embedder in batches of 256"


def measure() -> Findings:
    with stage() as here:
        log, replay = logs()
        service = here.stack.enter_context(filled_service(here.folder, log, here.cores.measured))
        semantic = hits(service, prompts(replay), "semantic")
        questions = write(here.folder / "questions.json", list(semantic))
        model = here.stack.enter_context(encoder(questions, here.cores.measured))
        found = in_turn(
            {
                **over_http(SEMANTIC, service, over_and_over(semantic), mark=b"; detail=semantic\r\n"),
                ALONE: partial(model.timed, f"single {SECONDS}"),
                BATCHED: partial(model.timed, f"batches {SECONDS}"),
            },
            ROUNDS,
        )
    return Findings.of(
        f"semantic hits: {len(semantic)} questions of {replay.name}; {per_round()}",
        found,
        [
            beyond(found, at_once(SEMANTIC, 1), ALONE, goal=at_most(0.8)),
            throughput(found, at_once(SEMANTIC, AT_ONCE[-1]), BATCHED, at_least(0.85)),
        ],
    )
