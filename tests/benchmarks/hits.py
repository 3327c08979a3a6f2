"""What a hit costs over HTTP, beside what the machine must pay: HTTP and JSON alone, and the embedding alone.

The service is `cacheguard serve`, filled by `cacheguard warm`. It and all that it is compared with run on one core,
the load generator on another. Real questions: of CACHEGUARD_DATA, else of the demo.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.benchmarks.asking import (
    AT_ONCE,
    PATH,
    ROUTE,
    SECONDS,
    at_once,
    body,
    logs,
    over_and_over,
    over_http,
    prompts,
)
from tests.benchmarks.figures import Comparison, Findings, in_turn, middle
from tests.benchmarks.processes import PROGRAM, choose_cores, encoder, environment, free_port, pinned, server, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.benchmarks.load import Timing

SETTINGS = {
    "tiers": {"sorry": {"template": "Nothing fits."}},
    # Cosine 0.5 gives nearly every question somebody's answer: a hit's cost is measured here, not whether it is right.
    "routes": {ROUTE: {"tiers": ["sorry"], "cache": {"decision": 0.5}}},
}
ROUNDS = 5

BARE, EXACT, SEMANTIC = "bare FastAPI endpoint", "exact hit", "semantic hit"
ALONE, BATCHED, ORIGINAL = "embedder", "embedder in batches of 256", "sentence-transformers"
ENCODING = {ALONE: "single", BATCHED: "batches", ORIGINAL: "sentence-transformers"}


def measure() -> Findings:
    cores = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-bench-")))
        stack.enter_context(pinned(cores.asking))
        log, replay = logs()
        service = stack.enter_context(filled_service(folder, log, cores.measured))
        exact = hits(service, prompts(log), "exact")
        semantic = hits(service, prompts(replay), "semantic")
        bare = stack.enter_context(bare_endpoint(folder, exact, cores.measured))
        model = stack.enter_context(encoder(write(folder / "questions.json", list(semantic)), cores.measured))
        found = in_turn(
            {
                **over_http(BARE, bare, over_and_over(exact)),
                **over_http(EXACT, service, over_and_over(exact), mark=b"; detail=exact\r\n"),
                **over_http(SEMANTIC, service, over_and_over(semantic), mark=b"; detail=semantic\r\n"),
                **{what: partial(model.encode, way, SECONDS) for what, way in ENCODING.items()},
            },
            ROUNDS,
        )
    title = f"hits: {len(exact)} exact, {len(semantic)} semantic, {log.name}; {ROUNDS} rounds of {SECONDS:g} s"
    return Findings(title, {what: middle(timings) for what, timings in found.items()}, ratios(found))


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
    connection = HTTPConnection("127.0.0.1", port)
    answers = {}
    for question in questions:
        connection.request("POST", PATH, body(question), {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            said = answer.read().decode()
            if answer.headers["Cache-Status"].endswith(f"detail={detail}"):
                answers[question] = said
    connection.close()
    return answers


def ratios(found: dict[str, list[Timing]]) -> list[Comparison]:
    def per_s(what: str) -> list[float]:
        return [timing.per_s for timing in found[what]]

    def p50(what: str) -> list[float]:
        return [timing.p50_ms for timing in found[what]]

    most = AT_ONCE[-1]
    return [
        *(
            Comparison.ratio(f"{EXACT} / {BARE}, {n} at once", per_s(at_once(EXACT, n)), per_s(at_once(BARE, n)))
            for n in AT_ONCE
        ),
        Comparison.ratio(f"{SEMANTIC}, {most} at once / {BATCHED}", per_s(at_once(SEMANTIC, most)), per_s(BATCHED)),
        Comparison.ratio(f"{SEMANTIC} / {ALONE}, p50", p50(at_once(SEMANTIC, 1)), p50(ALONE)),
        Comparison.ratio(f"{ALONE} / {ORIGINAL}", per_s(ALONE), per_s(ORIGINAL)),
        Comparison.ratio(f"{BATCHED} / {ORIGINAL}", per_s(BATCHED), per_s(ORIGINAL)),
    ]
