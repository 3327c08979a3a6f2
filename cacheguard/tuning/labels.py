"""Questions whose right answer is known, from files and from what was said of answers in service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine, Line, read_lines, read_object, text_in
from cacheguard.matching.decide import Match
from cacheguard.question import Question
from cacheguard.scope import Scope
from cacheguard.scoring import PAIRS_HEADER, read_pair
from cacheguard.stores.base import Filter
from cacheguard.types import Answer, Origin, Phrasing, Provenance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.cache import Cache
    from cacheguard.place import Place
    from cacheguard.stores.base import Label, Store
    from embeddings.base import Embedder

    Reader: TypeAlias = Callable[[str], Awaitable["Labelled | None"]]

# Lines in work at once: four runs of the model for each of two workers.
_AT_ONCE: Final = 128
_SHOWN: Final = 5
_OTHER: Final = "the other of a pair"


class Verdicts(NamedTuple):
    """Names of answers: ids, or the ids that their log gave them. wrong: None for all but the right ones."""

    right: frozenset[str]
    wrong: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question with what the cache holds near it, nearest first, and what is known of these answers.

    at: Unix seconds, or None. is_complaint: it was labelled because of the answer that it got: it can teach, but proves
    nothing, since the right answers to such questions are seldom labelled.
    """

    question: Question
    vector: NDArray[np.float32]
    matches: tuple[Match, ...]
    verdicts: Verdicts
    at: float | None = None
    is_complaint: bool = False

    def fits(self, answer: Answer) -> bool | None:
        """Whether this answer is right; None where nobody said."""
        names = {answer.id, answer.source_id}
        if names & self.verdicts.right:
            return True
        if self.verdicts.wrong is None or self.verdicts.right or names & self.verdicts.wrong:
            return False
        return None


@dataclass(slots=True)
class Gathered:
    """labelled: in the order of their files, then of time. cut: longer than the model reads.

    absent: questions whose right answer is not in the cache. bad_lines: the first of those that can't be read.
    """

    labelled: list[Labelled] = field(default_factory=list)
    are_pairs: bool = False
    cut: int = 0
    absent: int = 0
    bad: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)

    def add(self, found: Labelled | BadLine | None) -> None:
        """None: the model read only the beginning of it."""
        if found is None:
            self.cut += 1
        elif isinstance(found, Labelled):
            self.labelled.append(found)
        else:
            self.bad += 1
            if len(self.bad_lines) < _SHOWN:
                self.bad_lines.append(found)

    def extend(self, others: Gathered) -> None:
        """others: labels that came in service."""
        self.labelled += others.labelled
        self.cut += others.cut


class Gathering:
    """Looks up what the cache holds near labelled questions of a place."""

    def __init__(self, place: Place, cache: Cache, store: Store, embedder: Embedder) -> None:
        self._place = place
        self._scope = place.asked("?").scope  # the same for every question, as none has turns before it
        self._cache = cache
        self._store = store
        self._embedder = embedder

    async def from_file(self, path: Path, advance: Callable[[int], None]) -> Gathered:
        """A stream, or pairs. advance: told how many bytes were read. Raises FileUnusable when nothing is a label."""
        gathered = Gathered()
        lines = read_lines(path, advance)
        first = next(lines, None)
        if first is None:
            raise FileUnusable(f"{path} holds no line")
        reader: Reader = self._of_stream
        if isinstance(first, Line) and first.text == PAIRS_HEADER:
            gathered.are_pairs = True
            reader = self._of_pairs
        else:
            lines = chain([first], lines)
        while batch := list(islice(lines, _AT_ONCE)):
            for found in await asyncio.gather(*(_read(line, reader, path.name) for line in batch)):
                gathered.add(found)
        if not gathered.labelled:
            raise FileUnusable(f"nothing in {path} is a label: {next(iter(gathered.bad_lines), 'no line in it')}")
        if not gathered.are_pairs:
            known = await self._names()
            gathered.absent = sum(known.isdisjoint(one.verdicts.right) for one in gathered.labelled)
        return gathered

    async def from_store(self) -> Gathered:
        """What feedback, judges and people said on the route, whoever asked, by the time of the last word."""
        gathered = Gathered()
        questions: dict[tuple[str, str], list[Label]] = {}
        for label in await self._store.labels(self._place.route.name):
            said = questions.pop((label.scope, label.key), [])
            questions[label.scope, label.key] = [*said, label]
        rest = iter(questions.values())
        while batch := list(islice(rest, _AT_ONCE)):
            for found in await asyncio.gather(*map(self._of_service, batch)):
                gathered.add(found)
        return gathered

    async def phrasings(self) -> list[Match]:
        """All that the place's cache holds and the model has read, each with its vector."""
        scope = self._scope
        ids, vectors = await self._store.vectors(scope.key)
        known = dict(zip(ids.tolist(), vectors, strict=True))
        return [
            Match(phrasing, answer, similarity=1.0, vector=known[phrasing.id])
            async for answer, phrasings in self._answers()
            for phrasing in phrasings
            if phrasing.id in known
        ]

    async def _of_stream(self, line: str) -> Labelled | None:
        """Raises ValueError."""
        fields = read_object(line)
        prompt, right = text_in(fields, "prompt"), text_in(fields, "answer_id")
        asked = self._place.asked(prompt)
        vector = await self._cache.vector(asked.question)
        if vector is None:
            return None
        matches = await self._cache.neighbours(asked.scope, asked.question, vector)
        return Labelled(asked.question, vector, tuple(matches), Verdicts(frozenset([right])))

    async def _of_pairs(self, line: str) -> Labelled | None:
        """As if the other prompt were all that is near. Raises ValueError."""
        prompt, other, is_same = read_pair(line)
        asked, known = self._place.asked(prompt), self._place.asked(other)
        embedded = await self._embedder.embed([prompt, other])
        if any(embedded.cut):
            return None
        vector, its = embedded.vectors
        scope = known.scope
        answer = Answer(_OTHER, scope.key, scope.tenant, scope.route, "", Provenance(""), 0, 0)
        phrasing = Phrasing(0, _OTHER, scope.key, known.question.key, other, Origin.LOG, 0)
        match = Match(phrasing, answer, float(vector @ its), asked.question.key == phrasing.key, its)
        verdicts = Verdicts(frozenset([_OTHER] if is_same else []))
        return Labelled(asked.question, vector, (match,), verdicts)

    async def _of_service(self, said: list[Label]) -> Labelled | None:
        """As the question was asked then: what it became itself since is not near it yet, unless it was an exact match.

        said: all labels of one question.
        """
        *_, last = said
        question = Question(last.text, last.key)
        vector = await self._cache.vector(question)
        if vector is None:
            return None
        scope = Scope("", last.route, last.scope)
        was_exact = any(label.similarity == 1 for label in said)
        nearest = await self._cache.nearest(scope, question, vector)
        return Labelled(
            question,
            vector,
            tuple(match for match in nearest if was_exact or not match.exact),
            _verdicts(said),
            last.created_at,
            is_complaint=all(label.by == "feedback" for label in said),
        )

    async def _names(self) -> set[str]:
        """What the place's answers are called."""
        return {name async for answer, _ in self._answers() for name in (answer.id, answer.source_id)}

    async def _answers(self) -> AsyncIterator[tuple[Answer, list[Phrasing]]]:
        scope = self._scope
        async for answer, phrasings in self._store.answers(Filter(tenant=scope.tenant, route=scope.route)):
            if answer.scope == scope.key:
                yield answer, phrasings


def _verdicts(said: Iterable[Label]) -> Verdicts:
    """The last word on each answer."""
    last = {label.answer_id: label.right for label in said}
    right = frozenset(name for name, is_right in last.items() if is_right)
    return Verdicts(right, frozenset(last) - right)


async def _read(line: Line | BadLine, reader: Reader, file: str) -> Labelled | BadLine | None:
    if isinstance(line, BadLine):
        return line
    try:
        return await reader(line.text)
    except ValueError as exc:
        return BadLine(file, line.number, str(exc))
