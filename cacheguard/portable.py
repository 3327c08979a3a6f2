"""A cache's content as JSON lines, to keep it elsewhere or to bring it into another store.

The first line names the format and the model that made the vectors. Then come the answers, each followed by its
phrasings, then the labels and the routes' rules, then a last line with their numbers, without which the file is not
whole. Files of format 1 hold no rules.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from pydantic import TypeAdapter, ValidationError

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine, read_lines, read_object
from cacheguard.stores.base import Label, NewPhrasing
from cacheguard.types import Answer, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cacheguard.stores.base import Filter, Store
    from cacheguard.types import Phrasing
    from embeddings.base import Embedder

VERSION: Final = 2
_READ: Final = frozenset({1, VERSION})
_BATCH: Final = 256
_OFF_UNIT: Final = 1e-3
# Header fields tell an answer's id and tier; what could end a field could begin another.
_FOR_FIELDS: Final = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Head:
    """version: of the format. model: fingerprint of the vectors."""

    version: int
    model: str


@dataclass(frozen=True, slots=True)
class End:
    """How much a whole file holds."""

    answers: int
    phrasings: int
    labels: int
    rules: int = 0


@dataclass(frozen=True, slots=True)
class Worded:
    """A phrasing. vector: float32, little endian, in base64; None: exact matches only."""

    key: str
    text: str
    origin: Origin
    created_at: float
    vector: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A decision rule of a route, as the store keeps it. Its version is given anew where it is brought in."""

    route: str
    body: str
    by: str
    created_at: float


Row: TypeAlias = Head | Answer | Worded | Label | Rule | End
_KINDS: Final[Mapping[str, type[Row]]] = {
    "cacheguard_export": Head,
    "answer": Answer,
    "phrasing": Worded,
    "label": Label,
    "rule": Rule,
    "end": End,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


async def export(store: Store, model: str, which: Filter, routes: Iterable[str]) -> AsyncIterator[str]:
    """The lines of an export: the answers that fit, and the labels and rules of their routes and of `routes`.

    model: fingerprint that the store was opened for.
    """
    yield _written(Head(VERSION, model))
    answers = phrasings = labels = rules = 0
    labelled = dict.fromkeys(routes)
    async for answer, its in store.answers(which):
        yield _written(answer)
        for start in range(0, len(its), _BATCH):
            for worded in await _worded(store, its[start : start + _BATCH]):
                yield _written(worded)
        labelled[answer.route] = None
        answers += 1
        phrasings += len(its)
    for route in labelled:
        for label in await store.labels(route):
            yield _written(label)
            labels += 1
    for route in labelled:
        for rule in await store.rules(route):
            yield _written(Rule(rule.route, rule.body, rule.by, rule.created_at))
            rules += 1
    yield _written(End(answers, phrasings, labels, rules))


async def _worded(store: Store, phrasings: list[Phrasing]) -> list[Worded]:
    """All of one scope."""
    found = await store.vectors(phrasings[0].scope, [phrasing.id for phrasing in phrasings])
    vectors = dict(zip(found.ids.tolist(), found.vectors, strict=True))
    return [
        Worded(one.key, one.text, one.origin, one.created_at, _encoded(vectors[one.id]) if one.id in vectors else None)
        for one in phrasings
    ]


class Importing:
    """Brings exports into a store. made_anew: the file's vectors are another model's, so that they are made again."""

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._labels: dict[str, set[Label]] = {}  # by route, as far as the store has them
        self._rules: dict[str, set[Rule]] = {}  # likewise
        self.made_anew = False

    async def read(self, path: Path, advance: Callable[[int], None]) -> End:
        """Bring in the file; how much it holds. Doing so twice changes nothing.

        advance: told how many bytes were read. Raises FileUnusable at the first line that is none of an export; what
        came before it stays.
        """
        rows = _rows(path, advance)
        self._begin(path, next(rows, None))
        answers: list[tuple[Answer, list[Worded]]] = []
        labels: list[Label] = []
        rules: list[Rule] = []
        counts = {Answer: 0, Worded: 0, Label: 0, Rule: 0}
        waiting = 0
        for row in rows:
            match row:
                case Answer():
                    answers.append((row, []))
                case Worded() if answers:
                    answers[-1][1].append(row)
                case Label():
                    labels.append(row)
                case Rule():
                    rules.append(row)
                case End():
                    await self._keep(answers)
                    await self._keep_labels(labels)
                    await self._keep_rules(rules)
                    if row != End(*counts.values()):
                        raise FileUnusable(f"{path} lacks lines: it ends as one with {row}")
                    return row
                case Head() | Worded():
                    raise FileUnusable(f"{path} has its lines in disorder")
            counts[type(row)] += 1
            waiting += 1
            if waiting >= _BATCH:
                await self._keep(answers)
                await self._keep_labels(labels)
                answers, labels, waiting = [(answer, []) for answer, _ in answers[-1:]], [], 0
        raise FileUnusable(f"{path} breaks off before its last line; what it holds is in the cache")

    def _begin(self, path: Path, head: Row | None) -> None:
        if not isinstance(head, Head):
            raise FileUnusable(f"{path} is no export of a cache: its first line does not say so")
        if head.version not in _READ:
            known = ", ".join(map(str, sorted(_READ)))
            raise FileUnusable(f"{path} has the format {head.version}; this version reads formats {known}")
        self.made_anew = head.model != self._embedder.spec.fingerprint

    async def _keep(self, answers: list[tuple[Answer, list[Worded]]]) -> None:
        vectors = iter(await self._vectors([worded for _, its in answers for worded in its]))
        keeping = []
        for answer, its in answers:
            phrasings = [NewPhrasing(one.key, one.text, one.origin, one.created_at, next(vectors)) for one in its]
            keeping.append(self._store.keep(answer, phrasings))
        await asyncio.gather(*keeping)

    async def _vectors(self, phrasings: list[Worded]) -> list[NDArray[np.float32] | None]:
        if not self.made_anew:
            return [None if one.vector is None else self._decoded(one.vector) for one in phrasings]
        embedded = await self._embedder.embed([one.text for one in phrasings])
        return [None if cut else vector for vector, cut in zip(embedded.vectors, embedded.cut, strict=True)]

    async def _keep_labels(self, labels: list[Label]) -> None:
        for route in {label.route for label in labels} - self._labels.keys():
            self._labels[route] = set(await self._store.labels(route))
        new = [label for label in labels if label not in self._labels[label.route]]
        if new:
            await self._store.add_labels(new)

    async def _keep_rules(self, rules: list[Rule]) -> None:
        """Those that the store never had, in their order: the last one of a route is then in force."""
        for rule in rules:
            if rule.route not in self._rules:
                had = await self._store.rules(rule.route)
                self._rules[rule.route] = {Rule(one.route, one.body, one.by, one.created_at) for one in had}
            if rule not in self._rules[rule.route]:
                await self._store.add_rule(rule.route, rule.body, by=rule.by, created_at=rule.created_at)

    def _decoded(self, vector: str) -> NDArray[np.float32]:
        dimension = self._embedder.spec.dimension
        try:
            numbers = np.frombuffer(base64.b64decode(vector, validate=True), "<f4").astype(np.float32)
        except ValueError:
            numbers = np.empty(0, np.float32)
        if numbers.shape != (dimension,) or not abs(np.linalg.norm(numbers) - 1) < _OFF_UNIT:  # so written for NaN
            raise FileUnusable(f"the file is damaged: a vector in it is not {dimension} numbers of unit length")
        return numbers


def _rows(path: Path, advance: Callable[[int], None]) -> Iterator[Row]:
    for line in read_lines(path, advance):
        if isinstance(line, BadLine):
            raise FileUnusable(str(line))
        try:
            yield _read(read_object(line.text))
        except ValueError as exc:
            raise FileUnusable(str(BadLine(path.name, line.number, str(exc)))) from None


def _read(fields: dict[str, Any]) -> Row:
    """Raises ValueError."""
    kind = next(iter(fields), "")
    if kind not in _KINDS:
        raise ValueError(f"is none of an export's lines, which begin with one of {', '.join(_KINDS)}")
    try:
        row = _shape(kind).validate_python(fields[kind])
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ValueError(f"{'.'.join(map(str, (kind, *error['loc'])))}: {error['msg']}") from None
    if isinstance(row, Answer):
        for place, name in (("id", row.id), ("provenance.tier", row.provenance.tier)):
            if not _FOR_FIELDS.fullmatch(name):
                raise ValueError(f"{kind}.{place}: {name!r} can't stand in a header field of HTTP")
    return row


@cache
def _shape(kind: str) -> TypeAdapter[Row]:
    return TypeAdapter(_KINDS[kind])


def _written(row: Row) -> str:
    return json.dumps({_NAMES[type(row)]: asdict(row)}, ensure_ascii=False)


def _encoded(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
