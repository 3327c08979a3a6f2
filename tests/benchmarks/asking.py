"""What is asked, and how: real questions as HTTP requests, over so many connections at once."""

from __future__ import annotations

import gzip
import json
import os
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.benchmarks.load import drive
from tests.benchmarks.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tests.benchmarks.load import Timing

PATH = "/v1/chat/completions"
ROUTE = "bench"
PLACE = "#######"
QUESTIONS = 500
AT_ONCE = (1, 16, 64)
SECONDS = 1.0
ROUNDS = 5
_NO_MORE: Mapping[str, str] = MappingProxyType({})


def logs() -> tuple[Path, Path]:
    """A log to warm the cache with, and one of other people's questions about the same matters."""
    streams = Path(os.environ.get("CACHEGUARD_DATA", REPOSITORY.parent / "shared" / "data")) / "streams"
    if streams.is_dir():
        return streams / "vira.warm.jsonl.gz", streams / "vira.replay.jsonl.gz"
    demo = REPOSITORY / "cacheguard" / "simulate"
    return demo / "bank.jsonl", demo / "bank_replay.jsonl"


def lines(log: Path) -> list[dict[str, str]]:
    opened = gzip.open if log.suffix == ".gz" else open
    with opened(log, "rt", encoding="utf-8") as read:
        return [json.loads(line) for line in read]


def prompts(log: Path) -> list[str]:
    """The first of them, each once."""
    return list(islice(dict.fromkeys(line["prompt"] for line in lines(log)), QUESTIONS))


def over_http(what: str, port: int, requests: Iterator[bytes], *, mark: bytes = b"") -> dict[str, Callable[[], Timing]]:
    return {
        at_once(what, connections): partial(drive, port, requests, connections=connections, seconds=SECONDS, mark=mark)
        for connections in AT_ONCE
    }


def per_round() -> str:
    return f"{ROUNDS} rounds of {SECONDS:g} s"


def at_once(what: str, connections: int) -> str:
    return f"{what}, {connections} at once"


def over_and_over(questions: Iterable[str]) -> Iterator[bytes]:
    return cycle([request(question) for question in questions])


class Numbered:
    """Requests in turn, each with a number in the place of PLACE that none had before it. made: how many."""

    def __init__(self, requests: Iterable[bytes]) -> None:
        self._halves = cycle([one.split(PLACE.encode()) for one in requests])
        self.made = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.made += 1
        before, after = next(self._halves)
        return b"%b%07d%b" % (before, self.made, after)


def request(question: str, headers: Mapping[str, str] = _NO_MORE, **fields: object) -> bytes:
    """fields: of the body, beside model and messages."""
    content = body(question, **fields)
    head_fields = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Accept": "application/json",
        **headers,
        "Content-Length": len(content),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in head_fields.items())
    return f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + content


def body(question: str, **fields: object) -> bytes:
    return json.dumps({"model": ROUTE, "messages": [{"role": "user", "content": question}], **fields}).encode()
