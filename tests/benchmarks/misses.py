"""What a miss costs over calling the provider directly: the whole of it, and the cascade alone.

The provider is the lightest that there is, on the load generator's core; what stands between is on another. Every
question is new, and the run fails unless the provider is called once for each.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.asking import (
    AT_ONCE,
    PLACE,
    ROUNDS,
    ROUTE,
    SECONDS,
    Numbered,
    at_once,
    logs,
    per_round,
    prompts,
    request,
)
from tests.benchmarks.figures import Findings, at_most, beyond, in_turn
from tests.benchmarks.load import WrongAnswer, drive
from tests.benchmarks.processes import PROGRAM, free_port, server, write
from tests.benchmarks.serving import alone, get, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.figures import Comparison, Rounds
    from tests.benchmarks.load import Timing

    MakeGateway = Callable[["Place"], "Gateway"]

DIRECT, MISS, EMBEDDING, CASCADE = "the provider itself", "a miss", "embedding, within a miss", "the cascade alone"


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


def measure() -> Findings:
    found = measured(())
    return Findings.of(title(), found, added(found))


def measured(others: Sequence[MakeGateway]) -> dict[str, list[Timing]]:
    """others: what else stands between, beside ours."""
    with stage() as here:
        provider = here.stack.enter_context(running_provider(here.folder, here.cores.asking))
        direct = Subject(DIRECT, provider, provider, NewQuestions({}))
        miss, *rest = [
            here.stack.enter_context(running(make, provider, here.folder, here.cores.measured))
            for make in (with_cache, without_cache, *others)
        ]
        runs = {
            at_once(subject.name, connections): partial(subject.ask, connections)
            for subject in (direct, miss, *rest)
            for connections in AT_ONCE
        }
        embedding: list[Timing] = []
        runs[at_once(MISS, 1)] = lambda: alone(miss.port, partial(miss.ask, 1), embedding)
        found = in_turn(runs, ROUNDS)
        return {**found, EMBEDDING: embedding[-ROUNDS:]}


def title() -> str:
    return f"misses: every question new; {per_round()}"


def added(found: Rounds, *others: str) -> list[Comparison]:
    """What each adds to a direct call. The goal is the miss's, beside its embedding, which nobody spares it."""
    direct = at_once(DIRECT, 1)
    return [
        beyond(found, at_once(MISS, 1), EMBEDDING, direct, goal=at_most(1.5)),
        *(beyond(found, at_once(name, 1), direct) for name in (CASCADE, *others)),
    ]


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


class NewQuestions(Numbered):
    """Requests with real questions, each with a number that none had before it."""

    def __init__(self, headers: Mapping[str, str], **fields: object) -> None:
        super().__init__(request(f"{text} ({PLACE})", headers, **fields) for text in prompts(logs()[1]))


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
