"""What hits cost as the cache grows: latency of exact and semantic hits at a thousand phrasings and many times more.

The services of all sizes run on one core and are asked in turn, one question at a time. How they are filled stands in
`growing`: all but a thousand of their phrasings are synthetic. The questions are the same at every size, and each names
another user, so that none takes the fast lane of requests that come again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.asking import PLACE, ROUNDS, SECONDS, Numbered, logs, per_round, prompts, request
from tests.benchmarks.figures import Comparison, Findings, at_most, in_turn, p50
from tests.benchmarks.load import drive
from tests.benchmarks.processes import PROGRAM, environment, free_port, pinned, resident, server, write
from tests.benchmarks.serving import SETTINGS, hits, stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.figures import Rounds
    from tests.benchmarks.serving import Stage

SIZES = (1_000, 10_000, 100_000)


def measure(sizes: Sequence[int] = SIZES, kept: Path | None = None) -> Findings:
    """kept: where what is filled stays for the next time, and is found."""
    log, replay = logs()
    asked = {"exact": prompts(log), "semantic": prompts(replay)}
    with stage() as here:
        grown = {size: here.stack.enter_context(grown_service(here, log, size, kept)) for size in sizes}
        everywhere = {kind: _hits_of_all(grown.values(), questions, kind) for kind, questions in asked.items()}
        found = in_turn(
            {
                _what(kind, size): partial(
                    drive,
                    service.port,
                    Numbered(request(question, user=PLACE) for question in everywhere[kind]),
                    connections=1,
                    seconds=SECONDS,
                    mark=f"; detail={kind}\r\n".encode(),
                )
                for kind in asked
                for size, service in grown.items()
            },
            ROUNDS,
        )
        taken = [_taken(size, resident(service.process)) for size, service in grown.items()]
    first, last = sizes[0], sizes[-1]
    growths = [_growth(found, _what(kind, first), _what(kind, last)) for kind in asked]
    return Findings.of(f"growth: hits, one at a time; {per_round()}", found, [*growths, *taken])


class Grown(NamedTuple):
    """A service under way."""

    port: int
    process: int


def _taken(size: int, memory: int) -> Comparison:
    return Comparison.of(f"the process with {size:,} phrasings: memory", "MB", [memory / 1e6])


def _growth(found: Rounds, first: str, last: str) -> Comparison:
    ratios = [large / small for small, large in zip(p50(found, first), p50(found, last), strict=True)]
    return Comparison.of(f"{last}: p50 / {first}", "×", ratios, subject=last, goal=at_most(1.5))


def _hits_of_all(services: Iterable[Grown], questions: list[str], kind: str) -> list[str]:
    """The questions that are such a hit at every size."""
    for service in services:
        questions = list(hits(service.port, questions, kind))
    return questions


def _what(kind: str, size: int) -> str:
    return f"{kind} hit among {size:,} phrasings"


@contextmanager
def grown_service(here: Stage, log: Path, size: int, kept: Path | None) -> Iterator[Grown]:
    """A service with so many phrasings in its cache."""
    folder, port = (kept or here.folder) / str(size), free_port()
    with pinned(here.cores.asking | here.cores.measured):
        filled(folder, log, size)
    config = write(folder / "cacheguard.yaml", {**SETTINGS, "server": {"port": port}})  # JSON is YAML
    with server([PROGRAM, "serve", "--config", config], port, folder, here.cores.measured) as child:
        yield Grown(port, child.pid)


def filled(folder: Path, log: Path, size: int) -> None:
    """Fill a store there, unless one is."""
    whole = folder / "whole"
    if whole.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = write(folder / "cacheguard.yaml", SETTINGS)
    grow = [sys.executable, "-m", "tests.benchmarks.growing", config, str(log), str(size)]
    subprocess.run(grow, cwd=folder, check=True, env=environment())
    whole.touch()
