"""Fills a store with so many phrasings, without asking the model for each: for what grows with them.

Run it with `python -m tests.benchmarks.growing CONFIG LOG SIZE`. The first thousand are the log's real questions. The
others are written straight into the store: copies of those, with a number behind and a vector that is moved to a cosine
of about 0.9, ten of one answer. The index is built and saved as well, so that a service finds it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cacheguard.place import Place
from cacheguard.question import fold
from cacheguard.settings.load import load
from cacheguard.stores.base import NewPhrasing
from cacheguard.types import Answer, Origin, Provenance
from cacheguard.wiring import running
from tests.benchmarks.asking import ROUTE, lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REAL = 1000
EACH = 10
# Phrasings written at a time.
_BATCH = 10_000
# How far a copy is moved, against a vector's length: to a cosine of 0.9.
_NOISE = 0.5


async def grow(config: Path, log: Path, size: int) -> None:
    real = {line["prompt"]: line["answer"] for line in lines(log)}
    texts = list(real)[:REAL]
    async with running(load(config, os.environ, Path()).settings) as service:
        place = Place(service.routes.named(ROUTE), "default")
        scope = place.asked("?").scope
        vectors = (await service.embedder.embed(texts)).vectors
        where = scope.key, scope.tenant, scope.route
        rng, now = np.random.default_rng(0), time.time()

        for start in range(0, size, _BATCH):
            numbers = range(start, min(start + _BATCH, size))
            moved = copies(vectors, numbers, rng)
            phrasings = [
                NewPhrasing(fold(text), text, Origin.LOG, now, vector)
                for text, vector in zip((_text(texts, number) for number in numbers), moved, strict=True)
            ]
            answers = [
                Answer(f"ans_{first}", *where, real[texts[first % REAL]], Provenance("log"), now, now)
                for first in numbers[::EACH]
            ]
            keeping = (service.store.keep(its, phrasings[at * EACH :][:EACH]) for at, its in enumerate(answers))
            await asyncio.gather(*keeping)
        await service.cache.nearest(scope, place.asked(texts[0]).question, vectors[0])  # begins the index
        await service.cache._index.settled()


def _text(texts: Sequence[str], number: int) -> str:
    copy, of = divmod(number, REAL)
    return f"{texts[of]} ({copy})" if copy else texts[of]


def copies(vectors: NDArray[np.float32], numbers: Sequence[int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Of each number its vector, the first thousand as they are. Unit length."""
    moved = vectors[np.asarray(numbers) % REAL]
    noise = rng.standard_normal(moved.shape, dtype=np.float32) * (_NOISE / np.sqrt(moved.shape[1]))
    noise[np.asarray(numbers) < REAL] = 0
    moved = moved + noise
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


if __name__ == "__main__":
    asyncio.run(grow(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
