"""Semantic hits beside GPTCache: same questions, answers and model; its FAISS and SQLite, in process, without HTTP."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.files import BUNDLED, find
from tests.benchmarks.asking import (
    AT_ONCE,
    ROUNDS,
    SECONDS,
    at_once,
    lines,
    logs,
    over_and_over,
    over_http,
    per_round,
    prompts,
)
from tests.benchmarks.figures import Findings, at_least, in_turn, throughput
from tests.benchmarks.peers import GPTCACHE, installed_gptcache
from tests.benchmarks.processes import Worker, worker, write
from tests.benchmarks.serving import filled_service, hits, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.serving import Stage

SCRIPT = Path(__file__).with_name("gptcache_asked.py")
SEMANTIC, OTHER = "semantic hit", f"GPTCache {GPTCACHE}, in process"


def measure() -> Findings:
    log, replay = logs()
    with stage() as here:
        service = here.stack.enter_context(filled_service(here.folder, log, here.cores.measured))
        other = here.stack.enter_context(filled_gptcache(here, log, hits(service, prompts(replay), "semantic")))
        asked = json.loads(other.ask("known"))  # what is a hit there too
        found = in_turn(
            {
                **over_http(SEMANTIC, service, over_and_over(asked), mark=b"; detail=semantic\r\n"),
                OTHER: partial(other.timed, f"seconds {SECONDS}"),
            },
            ROUNDS,
        )
    most = AT_ONCE[-1]
    return Findings.of(
        f"semantic hits beside GPTCache: {len(asked)} questions of {replay.name}; {per_round()}",
        found,
        [throughput(found, at_once(SEMANTIC, n), OTHER, at_least(12) if n == most else None) for n in AT_ONCE],
    )


@contextmanager
def filled_gptcache(here: Stage, log: Path, questions: dict[str, str]) -> Iterator[Worker]:
    """It has the log's answers, and will be asked these questions."""
    answers = {line["prompt"]: line["answer"] for line in lines(log)}
    files = write(here.folder / "answers_there.json", answers), write(here.folder / "asked.json", list(questions))
    there = here.folder / "gptcache"
    there.mkdir()
    script = [str(installed_gptcache()), str(SCRIPT), str(find(BUNDLED).place), str(there), *files]
    with worker(script, here.cores.measured) as child:
        yield child
