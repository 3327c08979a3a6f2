"""Questions that are embedded while the log is still read: reading takes one core, and the others would idle."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cacheguard.warming.engine import Engine
    from cacheguard.warming.work import Work
    from embeddings.base import Embedded

# Calls under way, so that a run of the model is full (batching.py), and questions of each.
AT_ONCE: Final = 4
_QUESTIONS: Final = 256


class _UnderWay(NamedTuple):
    questions: Sequence[int]
    task: asyncio.Task[Embedded]


class Early:
    """As many as the embedder gets done meanwhile. What turns out to be left out was embedded in vain."""

    def __init__(self, work: Work, engine: Engine, at_once: int = AT_ONCE) -> None:
        """at_once: calls, 0 for none."""
        self._work = work
        self._at_once = at_once
        self._engine = engine
        self._offered: set[int] = set()
        self._under_way: deque[_UnderWay] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._under_way:
            one.task.cancel()

    async def offer(self, questions: Iterable[int]) -> None:
        """Ids of questions that are written. Lets those run that wait for this loop."""
        while len(self._under_way) < self._at_once and (new := [one for one in questions if one not in self._offered]):
            del new[_QUESTIONS:]
            self._offered.update(new)
            texts = self._work.exchanges.texts(new)
            self._under_way.append(_UnderWay(new, asyncio.create_task(self._embedded(texts))))
        await asyncio.sleep(0)

    def put_done(self) -> None:
        """Write what is embedded by now. Raises EmbeddingError."""
        while self._under_way and self._under_way[0].task.done():
            one = self._under_way.popleft()
            self._work.put_early(one.questions, one.task.result())

    async def finish(self) -> None:
        """Write the rest too."""
        while self._under_way:
            one = self._under_way.popleft()
            self._work.put_early(one.questions, await one.task)

    async def _embedded(self, texts: Sequence[str]) -> Embedded:
        [embedded] = [one async for one in self._engine.embed([texts])]
        return embedded
