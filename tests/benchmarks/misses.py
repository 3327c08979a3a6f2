"""What a miss costs over calling the provider directly: the whole of it, and the cascade alone.

The provider is the lightest that there is, on the load generator's core; what stands between is on another. Every
question is new, and the run fails unless the provider is called once for each.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks.asking import AT_ONCE, ROUTE, SECONDS, at_once, logs, prompts, request
from tests.benchmarks.figures import Comparison, Findings, in_turn, middle
from tests.benchmarks.load import Timing, WrongAnswer, drive
from tests.benchmarks.processes import PROGRAM, choose_cores, free_port, pinned, server, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    MakeGateway = Callable[["Place"], "Gateway"]

ROUNDS = 5
DIRECT, MISS, EMBEDDING, CASCADE = "the provider itself", "a miss", "embedding, within a miss", "the cascade alone"
# Of so many the service keeps the traces.
TRACES = 1000
_PLACE = "#######"


class Place(NamedTuple):
    """Where a gateway is to run: at its own port, before the provider's, with its files in the folder."""

    port: int
    provider: int
    folder: Path

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.provider}/v1"


class Gateway(NamedTuple):
    """What stands between a client and the provider.

    ready: the path that answers once it does. headers: what it is asked with. mark: in the head of all its answers.
    """

    name: str
    command: Sequence[str]
    ready: str
    headers: Mapping[str, str]
    mark: bytes = b""


def measure(others: Sequence[MakeGateway] = ()) -> Findings:
    """others: what else stands between, beside ours."""
    cores = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-bench-")))
        stack.enter_context(pinned(cores.asking))
        provider = stack.enter_context(running_provider(folder, cores.asking))
        direct = Subject(DIRECT, provider, provider, NewQuestions({}))
        miss, *rest = [
            stack.enter_context(running(make, provider, folder, cores.measured))
            for make in (with_cache, without_cache, *others)
        ]
        runs = {
            at_once(subject.name, connections): partial(subject.ask, connections)
            for subject in (direct, miss, *rest)
            for connections in AT_ONCE
        }
        found = in_turn({**runs, EMBEDDING: miss.embedding}, ROUNDS)
    title = f"misses: every question new; {ROUNDS} rounds of {SECONDS:g} s"
    names = [subject.name for subject in rest[1:]]
    return Findings(title, {what: middle(timings) for what, timings in found.items()}, comparisons(found, names))


def with_cache(place: Place) -> Gateway:
    """Only an equal vector makes an equal question: with another number behind it, none is a hit."""
    return ours(MISS, place, {"decision": 1}, b"; fwd=miss; fwd-status=200; stored")


def without_cache(place: Place) -> Gateway:
    return ours(CASCADE, place, {"mode": "off"}, b"; fwd=bypass; fwd-status=200")


def ours(name: str, place: Place, cache: Mapping[str, object], mark: bytes) -> Gateway:
    settings = {
        "server": {"port": place.port},
        "providers": {"lightest": {"kind": "openai", "base_url": place.provider_url}},
        "tiers": {"only": {"provider": "lightest", "model": "bench"}},
        "routes": {ROUTE: {"tiers": ["only"], "cache": cache}},
    }
    config = write(place.folder / "cacheguard.yaml", settings)  # JSON is YAML
    return Gateway(name, [PROGRAM, "serve", "--config", config], "/readyz", {}, mark)


@contextmanager
def running_provider(folder: Path, cores: set[int]) -> Iterator[int]:
    """Its port."""
    port = free_port()
    with server([sys.executable, "-m", "tests.benchmarks.upstream", str(port)], port, folder, cores):
        yield port


@contextmanager
def running(make: MakeGateway, provider: int, folder: Path, cores: set[int]) -> Iterator[Subject]:
    port = free_port()
    place = Place(port, provider, folder / str(port))
    place.folder.mkdir()
    gateway = make(place)
    with server(gateway.command, port, place.folder, cores, gateway.ready):
        yield Subject(gateway.name, port, provider, NewQuestions(gateway.headers), gateway.mark)


class NewQuestions:
    """Requests with real questions, each with a number that none had before it. made: how many."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        questions = prompts(logs()[1])
        self._halves = cycle([request(f"{text} ({_PLACE})", headers).split(_PLACE.encode()) for text in questions])
        self.made = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.made += 1
        before, after = next(self._halves)
        return b"%b%07d%b" % (before, self.made, after)


class Subject(NamedTuple):
    """What is asked, and the provider that has to answer."""

    name: str
    port: int
    provider: int
    questions: NewQuestions
    mark: bytes = b""

    def ask(self, connections: int, seconds: float = SECONDS) -> Timing:
        """Raises WrongAnswer where the provider was called more or less than once for each question."""
        made, called = self.questions.made, get(self.provider, "/calls")
        timing = drive(self.port, self.questions, connections=connections, seconds=seconds, mark=self.mark)
        made, called = self.questions.made - made, get(self.provider, "/calls") - called
        if made != called:
            raise WrongAnswer(f"{self.name}: {made} questions, but {called} calls")
        return timing

    def embedding(self) -> Timing:
        """Of misses one at a time the step that embeds, by the service's own traces."""
        made = self.questions.made
        self.ask(1)
        newest = min(self.questions.made - made, TRACES)
        steps = [
            step for trace in get(self.port, f"/admin/api/traces?limit={newest}")["traces"] for step in trace["steps"]
        ]
        times_s = [step["ms"] / 1000 for step in steps if step["name"] == "vector"]
        return Timing.of(times_s, sum(times_s))


def get(port: int, path: str) -> Any:
    """The JSON there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return json.load(answer)


def comparisons(found: dict[str, list[Timing]], others: Sequence[str]) -> list[Comparison]:
    def per_s(what: str, connections: int) -> list[float]:
        return [timing.per_s for timing in found[at_once(what, connections)]]

    def p50(what: str) -> list[float]:
        return [timing.p50_ms for timing in found[what]]

    direct, miss, cascade = (p50(at_once(what, 1)) for what in (DIRECT, MISS, CASCADE))
    return [
        Comparison.rest(f"{MISS} over {DIRECT}, p50", miss, direct),
        Comparison.rest(f"{MISS} without its embedding, over {DIRECT}, p50", miss, p50(EMBEDDING), direct),
        Comparison.rest(f"{CASCADE} over {DIRECT}, p50", cascade, direct),
        *(Comparison.rest(f"{other} over {DIRECT}, p50", p50(at_once(other, 1)), direct) for other in others),
        *(
            Comparison.ratio(
                f"{what} / {other}, {connections} at once", per_s(what, connections), per_s(other, connections)
            )
            for what in (CASCADE, MISS)
            for other in others
            for connections in AT_ONCE
        ),
    ]
