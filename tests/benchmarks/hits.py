"""What a hit costs over HTTP, beside what the machine must pay: HTTP and JSON alone, and the embedding alone.

The service is `cacheguard serve`, filled by `cacheguard warm`. It and all that it is compared with run on one core,
the load generator on another. Real questions: of CACHEGUARD_DATA, else of the demo.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Findings, Ratio, in_turn, middle
from tests.benchmarks.load import drive
from tests.benchmarks.processes import REPOSITORY, choose_cores, encoder, free_port, pinned, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.benchmarks.load import Timing

PROGRAM = str(Path(sys.executable).with_name("cacheguard"))
PATH = "/v1/chat/completions"
SETTINGS = {
    "tiers": {"sorry": {"template": "Nothing fits."}},
    # Cosine 0.5 gives nearly every question somebody's answer: a hit's cost is measured here, not whether it is right.
    "routes": {"bench": {"tiers": ["sorry"], "cache": {"decision": 0.5}}},
}
QUESTIONS = 500
AT_ONCE = (1, 16, 64)
ROUNDS = 5
SECONDS = 1.0

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
                **over_http(BARE, bare, exact, mark=b""),
                **over_http(EXACT, service, exact, mark=b"; detail=exact\r\n"),
                **over_http(SEMANTIC, service, semantic, mark=b"; detail=semantic\r\n"),
                **{what: partial(model.encode, way, SECONDS) for what, way in ENCODING.items()},
            },
            ROUNDS,
        )
    title = f"hits: {len(exact)} exact, {len(semantic)} semantic, {log.name}; {ROUNDS} rounds of {SECONDS:g} s"
    return Findings(title, {what: middle(timings) for what, timings in found.items()}, ratios(found))


def logs() -> tuple[Path, Path]:
    """A log to warm the cache with, and one of other people's questions about the same matters."""
    streams = Path(os.environ.get("CACHEGUARD_DATA", REPOSITORY.parent / "shared" / "data")) / "streams"
    if streams.is_dir():
        return streams / "vira.warm.jsonl.gz", streams / "vira.replay.jsonl.gz"
    demo = REPOSITORY / "cacheguard" / "simulate"
    return demo / "bank.jsonl", demo / "bank_replay.jsonl"


def prompts(log: Path) -> list[str]:
    """The first of them, each once."""
    opened = gzip.open if log.suffix == ".gz" else open
    with opened(log, "rt", encoding="utf-8") as lines:
        return list(islice(dict.fromkeys(json.loads(line)["prompt"] for line in lines), QUESTIONS))


@contextmanager
def filled_service(folder: Path, log: Path, cores: set[int]) -> Iterator[int]:
    """The service with the log's answers in its cache; its port."""
    port = free_port()
    settings = write(folder / "cacheguard.yaml", {**SETTINGS, "server": {"port": port}})  # JSON is YAML
    fill = [PROGRAM, "warm", str(log), "--route", "bench", "--config", settings]
    subprocess.run(fill, cwd=folder, check=True, stdout=subprocess.DEVNULL)
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


def over_http(what: str, port: int, questions: Iterable[str], *, mark: bytes) -> dict[str, Callable[[], Timing]]:
    requests = cycle([request(question) for question in questions])
    return {
        at_once(what, connections): partial(drive, port, requests, connections=connections, seconds=SECONDS, mark=mark)
        for connections in AT_ONCE
    }


def request(question: str) -> bytes:
    content = body(question)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def body(question: str) -> bytes:
    return json.dumps({"model": "bench", "messages": [{"role": "user", "content": question}]}).encode()


def write(path: Path, content: object) -> str:
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def at_once(what: str, connections: int) -> str:
    return f"{what}, {connections} at once"


def ratios(found: dict[str, list[Timing]]) -> list[Ratio]:
    def per_s(what: str) -> list[float]:
        return [timing.per_s for timing in found[what]]

    def p50(what: str) -> list[float]:
        return [timing.p50_ms for timing in found[what]]

    most = AT_ONCE[-1]
    return [
        *(
            Ratio.of(f"{EXACT} / {BARE}, {n} at once", per_s(at_once(EXACT, n)), per_s(at_once(BARE, n)))
            for n in AT_ONCE
        ),
        Ratio.of(f"{SEMANTIC}, {most} at once / {BATCHED}", per_s(at_once(SEMANTIC, most)), per_s(BATCHED)),
        Ratio.of(f"{SEMANTIC} / {ALONE}, p50", p50(at_once(SEMANTIC, 1)), p50(ALONE)),
        Ratio.of(f"{ALONE} / {ORIGINAL}", per_s(ALONE), per_s(ORIGINAL)),
        Ratio.of(f"{BATCHED} / {ORIGINAL}", per_s(BATCHED), per_s(ORIGINAL)),
    ]
