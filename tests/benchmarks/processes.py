"""What is measured runs in processes of its own, on a core of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.load import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(sys.executable).with_name("cacheguard"))
# Loading a model, or torch, on a busy machine.
_START_S = 60
_STOP_S = 10


class Cores(NamedTuple):
    """asking: for the load generator. measured: for whatever is measured."""

    asking: set[int]
    measured: set[int]


def choose_cores() -> Cores:
    """A core each where this process may use two, else all that there are for both."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(set(), set())
    usable = sorted(os.sched_getaffinity(0))
    return Cores({usable[0]}, {usable[-1]})


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run on these cores, and so does every process that is started meanwhile. Where the system can't: anywhere."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def server(
    command: list[str], port: int, folder: Path, cores: set[int], ready: str = "/readyz"
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ready, with what it writes in a file. Raises RuntimeError, with its last words.

    ready: the path that answers once it is.
    """
    words = folder / f"{port}.log"
    with words.open("wb") as log, pinned(cores):
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment())
    try:
        _wait_until_ready(child, f"http://127.0.0.1:{port}{ready}", words)
        yield child
    finally:
        child.terminate()
        child.wait(_STOP_S)


@contextmanager
def worker(command: list[str], cores: set[int]) -> Iterator[Worker]:
    """A process that answers each line on its input with one of its own."""
    with pinned(cores):
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), bufsize=1
        )
    with child:  # closes its input, which ends it
        yield Worker(child)


class Worker:
    """The other end of it."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def ask(self, line: str) -> str:
        """Raises RuntimeError where it is gone."""
        print(line, file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._child.args} is gone: exit status {self._child.wait()}")
        return answer

    def timed(self, line: str) -> Timing:
        """What it was asked to measure."""
        return Timing(**json.loads(self.ask(line)))


def encoder(questions: str, cores: set[int]) -> AbstractContextManager[Worker]:
    """An embedder by itself; a line is a way and how many seconds (see encoding)."""
    return worker([sys.executable, "-m", "tests.benchmarks.encoding", questions], cores)


def resident(process: int) -> int:
    """Bytes of memory that it holds."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def environment() -> dict[str, str]:
    """This process's, in which children find the project wherever they run."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def write(path: Path, content: object) -> str:
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_until_ready(child: subprocess.Popen[bytes], url: str, words: Path) -> None:
    until = time.monotonic() + _START_S
    while child.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{child.args} is not ready:\n{words.read_text(errors='replace')[-2000:]}")
