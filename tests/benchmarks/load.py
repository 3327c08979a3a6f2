"""A load generator: keep-alive HTTP/1.1 connections that ask again as soon as they have their answer.

Requests are encoded beforehand and answers are read by their Content-Length only, so that one core asks 20,000
times a second: the server is what is measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

END_OF_HEAD = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# Longer than any answer takes; a server that says nothing must not hold the run up.
_SILENCE_S = 30


class WrongAnswer(Exception):
    """The server did not do what the benchmark says that it measures."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What was done in a second, and how long one took."""

    per_s: float
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, times_s: list[float], elapsed_s: float, *, each: int = 1) -> Timing:
        """each: how many were done at a time."""
        p50_ms, p99_ms = np.percentile(times_s, (50, 99)) * 1000
        return cls(each * len(times_s) / elapsed_s, float(p50_ms), float(p99_ms))


def drive(port: int, requests: Iterator[bytes], *, connections: int, seconds: float, mark: bytes) -> Timing:
    """Ask for some seconds. Raises WrongAnswer for a status other than 200, or a head without `mark`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(_Run(requests, seconds, mark), port, connections))


async def _drive(run: _Run, port: int, connections: int) -> Timing:
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Connection(run), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    try:
        # Once each, uncounted: a busy uvloop accepts one connection a turn, and the last of 64 would wait for a second.
        await _ask(clients, run, 0)
        begun = time.perf_counter()
        await _ask(clients, run, run.seconds)
        return Timing.of(run.times_s, time.perf_counter() - begun)
    finally:
        for client in clients:
            client.close()


async def _ask(clients: list[_Connection], run: _Run, seconds: float) -> None:
    """Each asks once, and then until the time is over."""
    run.times_s.clear()
    run.until = time.perf_counter() + seconds
    async with asyncio.timeout(seconds + _SILENCE_S):
        await asyncio.gather(*[client.ask_on() for client in clients])


class _Run:
    """What the connections of one run share."""

    def __init__(self, requests: Iterator[bytes], seconds: float, mark: bytes) -> None:
        self.requests = requests
        self.seconds = seconds
        self.until = 0.0
        self.mark = mark
        self.times_s: list[float] = []


class _Connection(asyncio.Protocol):
    """One client, with one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._asked = 0.0
        self._done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def ask_on(self) -> asyncio.Future[None]:
        """Done when the answer that came after the run's end has come. Raises WrongAnswer."""
        self._done = asyncio.get_running_loop().create_future()
        self._ask()
        return self._done

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(next(self._run.requests))

    def close(self) -> None:
        self._done.cancel()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end)
        if length is None:
            self._fail(f"an answer without Content-Length: {self._received[:end]!r}")
        elif len(self._received) >= end + len(END_OF_HEAD) + int(length[1]):
            self._answered(self._received[: end + 2])

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the server hung up: {exc}")

    def _answered(self, head: bytes) -> None:
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200 ") or self._run.mark not in head:
            self._fail(f"expected {self._run.mark!r}, got {head!r}")
            return
        self._run.times_s.append(now - self._asked)
        self._received = b""
        if now < self._run.until:
            self._ask()
        else:
            self._done.set_result(None)

    def _fail(self, why: str) -> None:
        if not self._done.done():
            self._done.set_exception(WrongAnswer(why))
