"""A thousand slow streams through one worker: does a word get through as soon as it comes, and what does a stream take?

The provider says in each word when it sent it: what a client waits between two words beyond what lay between their
sending is what the service added. Clients and provider share a core, the service has the other. Every question is new,
and every stream must come to its end. Counted is while all are under way.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import uvloop

from tests.benchmarks.asking import ROUTE
from tests.benchmarks.figures import Comparison, Findings, at_most
from tests.benchmarks.listening import Heard, Listener
from tests.benchmarks.load import Timing
from tests.benchmarks.misses import NewQuestions
from tests.benchmarks.processes import PROGRAM, free_port, resident, server, write
from tests.benchmarks.serving import stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STREAMS = 1000
WORDS = 40
PACE_S = 0.5
# One begins so often: a thousand at the same moment would be a test of how they are embedded.
EVERY_S = 0.01
WARM_UP = 20
ROUNDS = 2
WHAT = f"{STREAMS:,} streams, a word each {PACE_S:g} s"


class Round(NamedTuple):
    """added_ms: between two words, by the service. resident: bytes of its memory that all streams together took."""

    words_per_s: float
    added_ms: np.ndarray
    resident: int

    @property
    def timing(self) -> Timing:
        p50_ms, p99_ms = np.percentile(self.added_ms, (50, 99))
        return Timing(self.words_per_s, float(p50_ms), float(p99_ms))


def measure() -> Findings:
    with stage() as here:
        provider = free_port()
        talking = [sys.executable, "-m", "tests.benchmarks.talking", str(provider), str(WORDS), str(PACE_S)]
        here.stack.enter_context(server(talking, provider, here.folder, here.cores.asking, "/"))
        service = here.stack.enter_context(streaming_service(here.folder, provider, here.cores.measured))
        play(service, WARM_UP)
        rounds = [play(service, STREAMS) for _ in range(ROUNDS)]
    return findings(rounds)


class Streaming(NamedTuple):
    """A service under way, and new questions for it."""

    port: int
    process: int
    questions: NewQuestions


@contextmanager
def streaming_service(folder: Path, provider: int, cores: set[int]) -> Iterator[Streaming]:
    port = free_port()
    settings = {
        "server": {"port": port, "max_in_flight": 2 * STREAMS},
        "providers": {"slow": {"kind": "openai", "base_url": f"http://127.0.0.1:{provider}/v1"}},
        "tiers": {"only": {"provider": "slow", "model": "bench", "timeout_s": 300}},
        "routes": {ROUTE: {"tiers": ["only"], "deadline_s": 300, "cache": {"decision": 1}}},
    }
    config = write(folder / "cacheguard.yaml", settings)  # JSON is YAML
    with server([PROGRAM, "serve", "--config", config], port, folder, cores) as child:
        yield Streaming(port, child.pid, NewQuestions({}, stream=True))


def play(service: Streaming, streams: int) -> Round:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_play(service, list(islice(service.questions, streams))))


async def _play(service: Streaming, requests: Sequence[bytes]) -> Round:
    loop = asyncio.get_running_loop()
    before, begun = resident(service.process), loop.time()
    listeners: list[Listener] = []
    for number, request in enumerate(requests):
        await asyncio.sleep(begun + number * EVERY_S - loop.time())
        _, listener = await loop.create_connection(partial(Listener, request), "127.0.0.1", service.port)
        listeners.append(listener)
    await asyncio.gather(*[listener.begun for listener in listeners])
    since, under_way = time.monotonic_ns(), resident(service.process)
    await asyncio.gather(*[listener.ended for listener in listeners])
    return told([listener.heard for listener in listeners], since, under_way - before)


def told(heard: Sequence[Heard], since: int, taken: int) -> Round:
    """What the words say that came after `since`, and before the first stream was over."""
    until = min(one.came[-1] for one in heard)
    added = []
    for one in heard:
        sent, came = np.array(one.sent), np.array(one.came)
        counted = (came[1:] >= since) & (came[1:] <= until)
        added.append((np.diff(came) - np.diff(sent))[counted] / 1e6)
    words = np.concatenate(added)
    return Round(len(words) / ((until - since) / 1e9), words, taken)


def findings(rounds: Sequence[Round]) -> Findings:
    timings = [one.timing for one in rounds]
    # Of the first round: later ones find what it took.
    memory = [rounds[0].resident / STREAMS / 1000]
    return Findings.of(
        f"{WHAT}: what the service adds between two words; {ROUNDS} rounds",
        {WHAT: timings},
        [
            Comparison.of(f"{WHAT}: p99", "ms", [one.p99_ms for one in timings], subject=WHAT, goal=at_most(20)),
            Comparison.of(f"{WHAT}: longest", "ms", [float(one.added_ms.max()) for one in rounds], subject=WHAT),
            Comparison.of(f"{WHAT}: memory each", "kB", memory, subject=WHAT, goal=at_most(300)),
        ],
    )
