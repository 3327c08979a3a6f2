"""The service that hits are asked of: `cacheguard serve`, filled by `cacheguard warm`, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.asking import PATH, ROUTE, SECONDS, body
from tests.benchmarks.load import Timing
from tests.benchmarks.processes import PROGRAM, choose_cores, environment, free_port, pinned, server, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from tests.benchmarks.processes import Cores

# Of so many requests the service keeps the traces.
TRACES = 1000
SETTINGS = {
    "tiers": {"sorry": {"template": "Nothing fits."}},
    # Cosine 0.5 gives nearly every question somebody's answer: a hit's cost is measured here, not whether it is right.
    "routes": {ROUTE: {"tiers": ["sorry"], "cache": {"decision": 0.5}}},
}


class Stage(NamedTuple):
    """Where a benchmark takes place. stack: closed at its end, with all that was started."""

    folder: Path
    cores: Cores
    stack: ExitStack


@contextmanager
def stage() -> Iterator[Stage]:
    """A folder, and a core each for who asks, which is this process, and for what is measured."""
    cores = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-bench-")))
        stack.enter_context(pinned(cores.asking))
        yield Stage(folder, cores, stack)


@contextmanager
def filled_service(folder: Path, log: Path, cores: set[int]) -> Iterator[int]:
    """The service with the log's answers in its cache; its port."""
    port = free_port()
    settings = write(folder / "cacheguard.yaml", {**SETTINGS, "server": {"port": port}})  # JSON is YAML
    fill = [PROGRAM, "warm", str(log), "--route", ROUTE, "--config", settings]
    subprocess.run(fill, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=environment())
    with server([PROGRAM, "serve", "--config", settings], port, folder, cores):
        yield port


@contextmanager
def bare_endpoint(folder: Path, answers: dict[str, str], cores: set[int]) -> Iterator[int]:
    """A server that knows these answers by heart; its port."""
    port = free_port()
    known = write(folder / "answers.json", answers)
    with server([sys.executable, "-m", "tests.benchmarks.bare", str(port), known], port, folder, cores):
        yield port


def hits(port: int, questions: Iterable[str], detail: str) -> dict[str, str]:
    """The questions that are answered by a hit of this kind, with the bodies of their answers."""
    told = asked_once(port, questions)
    return {question: said for question, status, said in told if status.endswith(f"detail={detail}")}


def asked_once(port: int, questions: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Each question with its answer's Cache-Status and body."""
    connection = HTTPConnection("127.0.0.1", port)
    for question in questions:
        connection.request("POST", PATH, body(question), {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            yield question, answer.headers.get("Cache-Status", ""), answer.read().decode()
    connection.close()


def alone(port: int, ask: Callable[[], Timing], embedding: list[Timing]) -> Timing:
    """What was asked one at a time for SECONDS. embedding: is told what the same questions took to embed, by traces."""
    timing = ask()
    newest = min(int(timing.per_s * SECONDS), TRACES)
    traces = get(port, f"/admin/api/traces?limit={newest}")["traces"]
    times_s = [step["ms"] / 1000 for trace in traces for step in trace["steps"] if step["name"] == "vector"]
    embedding.append(Timing.of(times_s, sum(times_s)))
    return timing


def get(port: int, path: str) -> Any:
    """The JSON there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return json.load(answer)
