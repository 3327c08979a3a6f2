"""The embedder beside sentence-transformers on torch, with the same model, on one core."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.asking import ROUNDS, SECONDS, logs, per_round, prompts
from tests.benchmarks.figures import Findings, at_least, in_turn, throughput
from tests.benchmarks.processes import encoder, write
from tests.benchmarks.serving import stage

ALONE, BATCHED = "embedder, one at a time", "embedder, in batches of 256"
GATHERED = "embedder, for 64 who ask at once"
ORIGINAL, ORIGINAL_BATCHED = "sentence-transformers, one at a time", "sentence-transformers, in batches of 32"
WAYS = {
    ALONE: "single",
    ORIGINAL: "sentence-transformers",
    BATCHED: "batches",
    GATHERED: "gathered",
    ORIGINAL_BATCHED: "sentence-transformers-batches",
}


def measure() -> Findings:
    _, replay = logs()
    with stage() as here:
        questions = write(here.folder / "questions.json", prompts(replay))
        model = here.stack.enter_context(encoder(questions, here.cores.measured))
        found = in_turn({what: partial(model.timed, f"{way} {SECONDS}") for what, way in WAYS.items()}, ROUNDS)
    return Findings.of(
        f"embedder: questions of {replay.name}; {per_round()}",
        found,
        [
            throughput(found, ALONE, ORIGINAL, at_least(3.5)),
            throughput(found, BATCHED, ORIGINAL_BATCHED, at_least(3.5)),
            throughput(found, GATHERED, BATCHED),
        ],
    )
