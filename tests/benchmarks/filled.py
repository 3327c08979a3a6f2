"""A service whose cache holds the warm questions of a public stream, and what is asked of it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.matching.guards import GUARDS, make_guards
from cacheguard.matching.stored_rule import write_rule
from cacheguard.place import Place
from cacheguard.rules import InForce, follow
from cacheguard.scoring import Scoring
from cacheguard.settings import Settings
from cacheguard.tuning import fitting, heads
from cacheguard.tuning.fitting import Lessons
from cacheguard.tuning.labels import Gathering
from cacheguard.tuning.tuning import fit_for
from cacheguard.warming.pipeline import warm
from cacheguard.wiring import running, storage
from embeddings.base import Embedded
from embeddings.opening import open_embedder
from tests.benchmarks.threshold import DATA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cacheguard.matching.confidence import Calibrated
    from cacheguard.matching.decide import Match
    from cacheguard.tuning.labels import Labelled
    from cacheguard.tuning.tuning import Fit
    from cacheguard.wiring import Service
    from embeddings.base import Embedder, EmbedderSpec

ROUTE, TENANT = "default", "default"
GUARDED = make_guards(GUARDS)


class Unseen:
    """Progress that nobody looks at."""

    def begin(self, what: str, total: int) -> None:
        pass

    def advance(self, steps: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Filled:
    """A running service with the stream's warm questions in its cache."""

    service: Service
    place: Place

    async def labelled(self, path: Path) -> Sequence[Labelled]:
        """The questions of a file, with what the cache holds near them."""
        return (await self._gathering().from_file(path, Unseen().advance)).labelled

    async def phrasings(self) -> Sequence[Match]:
        """All that the cache holds."""
        return await self._gathering().phrasings()

    async def fit(self) -> Fit:
        """What makes a model of the route's labels, as `tune` does."""
        return fit_for(await self.phrasings())

    def _gathering(self) -> Gathering:
        service = self.service
        return Gathering(self.place, service.cache, service.store, service.embedder)

    async def apply(self, rule: Calibrated) -> None:
        """Put it in force by way of the store, as `tune --apply` does."""
        in_force = self.place.route.rule
        assert isinstance(in_force, InForce)
        await self.service.store.add_rule(ROUTE, write_rule(rule), by="tune", created_at=time.time())
        await follow(self.service.store, {ROUTE: in_force})

    async def scored(self, path: Path) -> list[dict]:
        """The rows that `cacheguard score` writes for a stream."""
        scoring = Scoring(self.place, self.service.corridor, self.service.embedder)
        return [json.loads(row) async for row in scoring.rows(path, Unseen().advance)]


def stream(name: str, part: str) -> Path:
    return DATA / "streams" / f"{name}.{part}.jsonl.gz"


@asynccontextmanager
async def filled(name: str, **cache: object) -> AsyncIterator[Filled]:
    """cache: settings of the route's cache."""
    settings = Settings.model_validate(
        {
            "store": {"url": "memory://"},
            "tiers": {"sorry": {"template": "Nothing fits."}},
            "routes": {ROUTE: {"tiers": ["sorry"], "cache": cache}},
        }
    )
    async with running(settings) as service:
        place = Place(service.routes.named(ROUTE), TENANT)
        into = service.store, service.embedder
        await warm([stream(name, "warm")], place, *into, now=time.time(), progress=Unseen())
        yield Filled(service, place)


def remember_lessons() -> None:
    """From now on, what a labelled question teaches is computed once, and not for every fit again."""
    for module, name in ((heads, "lessons_headed"), (heads, "lessons_among"), (fitting, "lessons_among")):
        lessons = getattr(module, name)
        if not isinstance(lessons, Remembered):
            setattr(module, name, Remembered(lessons))


class Remembered:
    """Lessons of labels, which come as a sequence again and again, always with one head. A stream of them, such as a
    rehearsal's, comes once, with a head of its own.
    """

    def __init__(self, lessons: Callable[..., Lessons]) -> None:
        self._lessons = lessons
        self._known: dict[int, tuple[Labelled, Lessons]] = {}  # with the question, so that its id stays its own

    def __call__(self, labelled: Iterable[Labelled], *head: object) -> Lessons:
        if not isinstance(labelled, Sequence):
            return self._lessons(labelled, *head)
        for one in labelled:
            if id(one) not in self._known:
                self._known[id(one)] = one, self._lessons([one], *head)
        return Lessons.together([self._lessons([], *head), *(self._known[id(one)][1] for one in labelled)])


def remember_vectors() -> None:
    """From now on services share one embedder that makes each text's vector once, however many caches it fills."""
    known: dict[str, Remembering] = {}

    async def opened(model: str, **options: Any) -> Remembering:
        if model not in known:
            known[model] = Remembering(await open_embedder(model, **options))
        return known[model]

    storage.open_embedder = opened


class Remembering:
    """An embedder that stays open, since the next service asks it again."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, tuple[NDArray[np.float32], bool]] = {}

    @property
    def spec(self) -> EmbedderSpec:
        return self._embedder.spec

    async def embed(self, texts: Sequence[str]) -> Embedded:
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            made = await self._embedder.embed(new)
            self._known |= zip(new, zip(made.vectors, made.cut, strict=True), strict=True)
        vectors, cut = zip(*(self._known[text] for text in texts), strict=True)
        return Embedded(np.array(vectors), cut)

    async def aclose(self) -> None:
        pass
