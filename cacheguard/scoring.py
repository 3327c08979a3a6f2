"""What the service would decide, for replayed questions and for pairs whose right decision is known."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine, Line, read_lines, read_object, text_in
from cacheguard.matching.decide import Hit, Match, Miss, Stale
from cacheguard.telemetry.trace import Trace
from cacheguard.types import Answer, Origin, Phrasing, Provenance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.matching.decide import Decision, Judged
    from cacheguard.place import Place
    from cacheguard.question import Question
    from cacheguard.request import Asked, Recalled
    from embeddings.base import Embedder

    Scorer: TypeAlias = Callable[[str], Awaitable["Scored"]]

PAIRS_HEADER: Final = "prompt_a\tprompt_b\tsame"
SCORED_PAIRS_HEADER: Final = f"{PAIRS_HEADER}\tsimilarity\tconfidence\tdecision"
# Lines in work at once: four runs of the model for each of two workers.
_AT_ONCE: Final = 128
_SHOWN: Final = 5


class Recall(Protocol):
    """The part of the corridor that asks nobody."""

    async def recall(self, asked: Asked, trace: Trace) -> Recalled: ...


@dataclass(frozen=True, slots=True)
class Scored:
    """row: what is written for a line. is_wrong: it is served, and should not be."""

    row: str
    is_served: bool
    is_wrong: bool


@dataclass(slots=True)
class Summary:
    """Counts of lines. bad_lines: the first of those that can't be scored."""

    scored: int = 0
    served: int = 0
    wrong: int = 0
    bad: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)

    def add(self, result: Scored | BadLine) -> None:
        if isinstance(result, Scored):
            self.scored += 1
            self.served += result.is_served
            self.wrong += result.is_wrong
            return
        self.bad += 1
        if len(self.bad_lines) < _SHOWN:
            self.bad_lines.append(result)


class Scoring:
    """Scores the questions of a tenant on a route."""

    def __init__(self, place: Place, corridor: Recall, embedder: Embedder) -> None:
        self._place = place
        self._corridor = corridor
        self._embedder = embedder
        self.summary = Summary()

    async def rows(self, path: Path, advance: Callable[[int], None]) -> AsyncIterator[str]:
        """What is to be written for a stream or for pairs, line by line in the order of the file.

        advance: told how many bytes of the file were read. Raises FileUnusable when no line can be scored.
        """
        lines = read_lines(path, advance)
        first = next(lines, None)
        if first is None:
            raise FileUnusable(f"{path} holds no line")
        scorer: Scorer = self.stream_line
        if isinstance(first, Line) and first.text == PAIRS_HEADER:
            yield SCORED_PAIRS_HEADER
            scorer = self.pairs_line
        else:
            lines = chain([first], lines)
        while batch := list(islice(lines, _AT_ONCE)):
            for result in await asyncio.gather(*(_scored(line, scorer, path.name) for line in batch)):
                self.summary.add(result)
                if isinstance(result, Scored):
                    yield result.row
        if not self.summary.scored:
            raise FileUnusable(
                f"nothing in {path} can be scored: {next(iter(self.summary.bad_lines), 'no line in it')}"
            )

    async def stream_line(self, line: str) -> Scored:
        """`served` and `nearest` are the answer's id in its log where it has one. Raises ValueError."""
        fields = read_object(line)
        prompt, right = text_in(fields, "prompt"), text_in(fields, "answer_id")
        recalled = await self._corridor.recall(self._place.asked(prompt), Trace(time.perf_counter))
        served, nearest = _outcome(recalled.decision)
        row = {
            "prompt": prompt,
            "answer_id": right,
            "served": served and _name(served),
            "nearest": nearest and _name(nearest),
            "similarity": nearest and round(nearest.match.similarity, 6),
            "confidence": round(nearest.confidence, 6) if nearest else 0.0,
        }
        is_served = served is not None
        return Scored(json.dumps(row, ensure_ascii=False), is_served, is_served and row["served"] != right)

    async def pairs_line(self, line: str) -> Scored:
        """Would the one prompt be a hit if the other alone were in the cache? Raises ValueError."""
        prompt, other, is_same = read_pair(line)
        question, vector, match, is_readable = await self._pair(prompt, other)
        [judged] = self._place.route.rule.judge(question, [match], time.time(), vector)
        is_hit = is_readable and judged.accepted
        confidence = judged.confidence if is_readable else 0.0
        row = [line, f"{match.similarity:.6f}", f"{confidence:.6f}", "hit" if is_hit else "miss"]
        return Scored("\t".join(row), is_hit, is_hit and not is_same)

    async def _pair(self, prompt: str, other: str) -> tuple[Question, NDArray[np.float32] | None, Match, bool]:
        """The question and its vector, how near the other is to it, and whether the model read both to their ends."""
        asked, known = self._place.asked(prompt), self._place.asked(other)
        scope = known.scope
        answer = Answer("", scope.key, scope.tenant, scope.route, "", Provenance(""), 0, 0)
        phrasing = Phrasing(0, "", scope.key, known.question.key, other, Origin.LOG, 0)
        exact = asked.question.key == phrasing.key
        if exact and self._place.route.rule.trusts_exact:
            return asked.question, None, Match(phrasing, answer, 1.0, exact=True), True
        embedded = await self._embedder.embed([prompt, other])
        mine, its = embedded.vectors
        return asked.question, mine, Match(phrasing, answer, float(mine @ its), exact, its), not any(embedded.cut)


def read_pair(line: str) -> tuple[str, str, bool]:
    """Both prompts, and whether they ask the same. Raises ValueError, which says what is wrong."""
    columns = line.split("\t")
    if len(columns) != 3 or columns[2] not in {"0", "1"}:  # noqa: PLR2004 - the header names three
        raise ValueError("is not prompt_a, prompt_b and 0 or 1, with tabs between them")
    return columns[0], columns[1], columns[2] == "1"


async def _scored(line: Line | BadLine, scorer: Scorer, file: str) -> Scored | BadLine:
    if isinstance(line, BadLine):
        return line
    try:
        return await scorer(line.text)
    except ValueError as exc:
        return BadLine(file, line.number, str(exc))


def _outcome(decision: Decision) -> tuple[Judged | None, Judged | None]:
    """What is served, and what is nearest."""
    match decision:
        case Hit(found) | Stale(found, servable=True):
            return found, found
        case Stale(found):
            return None, found
        case Miss(judged=nearest):
            return None, nearest


def _name(judged: Judged) -> str:
    answer = judged.match.answer
    return answer.source_id or answer.id
