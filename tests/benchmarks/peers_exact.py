"""Exact hits beside LiteLLM's local cache: a proxy with the answers of the same questions in its memory."""

from __future__ import annotations

from collections import deque
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
from tests.benchmarks.figures import Findings, at_least, in_turn, throughput
from tests.benchmarks.load import WrongAnswer, drive
from tests.benchmarks.misses import get, running, running_provider
from tests.benchmarks.peers import LITELLM, litellm
from tests.benchmarks.serving import asked_once, filled_service, hits, stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.load import Timing

# LiteLLM's local cache keeps 200 answers (litellm/caching/in_memory_cache.py); of more, it would ask for each again.
QUESTIONS = 150
EXACT, OTHER = "exact hit", f"LiteLLM {LITELLM}, its local cache"


def measure() -> Findings:
    log, _ = logs()
    with stage() as here:
        service = here.stack.enter_context(filled_service(here.folder, log, here.cores.measured))
        known = list(hits(service, prompts(log), "exact"))[:QUESTIONS]
        provider = here.stack.enter_context(running_provider(here.folder, here.cores.asking))
        cached = partial(litellm, cached=True)
        other = here.stack.enter_context(running(cached, provider, here.folder, here.cores.measured))
        deque(asked_once(other.port, known), maxlen=0)  # from then on it knows them
        found = in_turn(
            {
                **over_http(EXACT, service, over_and_over(known), mark=b"; detail=exact\r\n"),
                **{at_once(OTHER, n): partial(_cached, other.port, provider, known, n) for n in AT_ONCE},
            },
            ROUNDS,
        )
    most = AT_ONCE[-1]
    return Findings.of(
        f"exact hits beside LiteLLM: {len(known)} questions of {log.name}; {per_round()}",
        found,
        [throughput(found, at_once(EXACT, n), at_once(OTHER, n), at_least(60) if n == most else None) for n in AT_ONCE],
    )


def _cached(port: int, provider: int, known: Iterable[str], connections: int) -> Timing:
    """Raises WrongAnswer where the provider was asked."""
    before = get(provider, "/calls")
    timing = drive(port, over_and_over(known), connections=connections, seconds=SECONDS, mark=b"")
    if called := get(provider, "/calls") - before:
        raise WrongAnswer(f"{OTHER}: {called} of its answers were no hits")
    return timing
