"""Gathers concurrent calls into one run of the model.

There is no waiting window: a call on an idle model runs at once, and what arrives while every worker is busy
shares the next run, with those who ask again as soon as they have an answer of the last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from embeddings.base import Embedded, EmbeddingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from embeddings.base import EmbedderSpec

# Texts a run: of 64 callers at once on one core each text takes 1.58 ms, the best that there is being 1.50; in runs
# of 16, which have texts of all lengths and few of any, 1.75.
_RUN = 64
# Of one call: a lone question waits for so many of somebody's 10,000, and more would gain them nothing.
_OF_ONE_CALL = 16
# Turns of the loop in which a caller that asks again does so: one to send what it has, one to hear the next question,
# one to read it. Runs of all 64 callers on one core take 1.59 ms a text, a few and then the others by turns 1.68.
_TURNS = 4


class Model(Protocol):
    """What runs in the worker threads."""

    @property
    def spec(self) -> EmbedderSpec: ...

    def encode(self, texts: Sequence[str]) -> Embedded: ...


@dataclass(slots=True, eq=False)
class _Call:
    """One caller: its vectors as they come in, and its texts that have not begun."""

    vectors: NDArray[np.float32]
    cut: list[bool]
    missing: int
    done: asyncio.Future[None]
    lane: deque[_Job] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Job:
    """One text, and every place in every call that waits for its vector."""

    text: str
    seats: list[tuple[_Call, int]] = field(default_factory=list)
    begun: bool = False

    @property
    def wanted(self) -> bool:
        return any(not call.done.done() for call, _ in self.seats)


class _Run(NamedTuple):
    """What a worker thread encodes at once, and the loop that waits for it."""

    jobs: Sequence[_Job]
    loop: asyncio.AbstractEventLoop


class Gathering:
    """An Embedder over a model that blocks.

    Runs take texts from all callers in turn, so that a large call never starves a small one, and a text
    that several callers have in flight is embedded once.
    """

    def __init__(self, model: Model, workers: int = 1) -> None:
        self._spec = model.spec
        self._model: Model | None = model
        self._workers = workers
        # An executor with its futures takes 0.1 ms longer to a thread and back.
        self._runs: SimpleQueue[_Run | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._running = 0
        self._jobs: dict[str, _Job] = {}
        self._calls: deque[_Call] = deque()  # those with texts that have not begun, next in turn first
        self._open: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def spec(self) -> EmbedderSpec:
        return self._spec

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Vectors in the order of `texts`. Raises EmbeddingError."""
        if self._closed:
            raise EmbeddingError("this embedder is closed: open another one")
        loop = asyncio.get_running_loop()
        vectors = np.empty((len(texts), self.spec.dimension), np.float32)
        call = _Call(vectors, [False] * len(texts), len(texts), loop.create_future())
        if texts:
            self._queue(call, texts)
            loop.call_soon(self._start, loop)  # not now: calls of the same turn of the loop come along
            self._open.add(call.done)
            call.done.add_done_callback(self._open.discard)
            await call.done
        return Embedded(call.vectors, tuple(call.cut))

    async def aclose(self) -> None:
        """Take no more calls, finish those that were begun, and let the threads go."""
        self._closed = True
        if self._open:
            await asyncio.wait(self._open)
        for _ in self._threads:
            self._runs.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._threads.clear()
        self._model = None  # a hundred megabytes, whoever still knows of this object

    def _queue(self, call: _Call, texts: Sequence[str]) -> None:
        # By length, so that a run of a large call pads little.
        for seat in sorted(range(len(texts)), key=lambda i: len(texts[i])):
            job = self._jobs.setdefault(texts[seat], _Job(texts[seat]))
            job.seats.append((call, seat))
            # Also where another call has queued it already: that one's turn may be far off.
            call.lane.append(job)
        self._calls.append(call)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._running < self._workers and (jobs := self._next_run()):
            self._running += 1
            if self._running > len(self._threads):
                self._add_thread()
            self._runs.put(_Run(jobs, loop))

    def _add_thread(self) -> None:
        assert self._model is not None  # noqa: S101 - a closed one takes no calls
        thread = Thread(target=self._work, args=(self._model.encode,), name="embed", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self, encode: Callable[[Sequence[str]], Embedded]) -> None:
        while (run := self._runs.get()) is not None:
            outcome: Embedded | Exception
            try:
                outcome = encode([job.text for job in run.jobs])
            except Exception as error:  # noqa: BLE001 - the border: it is raised to those who wait
                outcome = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                run.loop.call_soon_threadsafe(self._finish, run, outcome)

    def _next_run(self) -> list[_Job]:
        """One text of each call in turn, until the run is full, a call has its share, or nothing waits."""
        jobs: list[_Job] = []
        for _ in range(_OF_ONE_CALL):
            for _ in range(len(self._calls)):
                if len(jobs) == _RUN:
                    return jobs
                call = self._calls.popleft()
                job = self._next_job(call)
                if job:
                    job.begun = True
                    jobs.append(job)
                    self._calls.append(call)
        return jobs

    def _next_job(self, call: _Call) -> _Job | None:
        """The call's next text that nobody has begun and somebody still waits for."""
        while call.lane:
            job = call.lane.popleft()
            if job.begun:
                continue
            if job.wanted:
                return job
            self._jobs.pop(job.text, None)
        return None

    def _finish(self, run: _Run, outcome: Embedded | Exception) -> None:
        turns = 0
        for row, job in enumerate(run.jobs):
            del self._jobs[job.text]
            for call, seat in job.seats:
                if call.done.done():
                    continue
                if isinstance(outcome, Exception):
                    call.done.set_exception(outcome)
                    continue
                call.vectors[seat], call.cut[seat] = outcome.vectors[row], outcome.cut[row]
                call.missing -= 1
                if not call.missing:
                    call.done.set_result(None)
                    turns = _TURNS
        self._rest(run.loop, turns, len(self._calls))

    def _rest(self, loop: asyncio.AbstractEventLoop, turns: int, waiting: int) -> None:
        """For some turns of the loop, and as long as each brings another call; then the worker is free."""
        if turns or len(self._calls) > waiting:
            loop.call_soon(self._rest, loop, max(0, turns - 1), len(self._calls))
        else:
            self._running -= 1
            self._start(loop)
