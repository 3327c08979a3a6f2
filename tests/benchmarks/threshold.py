"""How often is the nearest earlier question another question, by cosine threshold?

Run it with `python -m tests.benchmarks threshold`; it needs the public question sets (CACHEGUARD_DATA). Other people's
questions (replay) are asked of a cache that holds the warm ones. Texts that fold to the same key are exact matches,
whatever the threshold, and stand in a row of their own. A hit is wrong when its answer is not the one of the label.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cacheguard.question import fold
from embeddings.opening import open_embedder

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(os.environ.get("CACHEGUARD_DATA", Path(__file__).parents[3] / "shared" / "data"))
SETS = ("vira", "banking77")
THRESHOLDS = (0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.90, 0.85, 0.80)
BATCH = 256


@dataclass(frozen=True, slots=True)
class Nearest:
    """For each replayed question: the nearest warm one's cosine, whether their answers differ, whether it is exact."""

    cosine: np.ndarray
    wrong: np.ndarray
    exact: np.ndarray


def labelled(name: str) -> list[tuple[str, str]]:
    """The texts of a stream, each with the answer that it belongs to."""
    with gzip.open(DATA / "streams" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["prompt"], row["answer_id"]) for row in rows]


async def embedded(embedder, texts: Sequence[str], what: str) -> np.ndarray:
    starts = range(0, len(texts), BATCH)
    batches = [await embedder.embed(texts[at : at + BATCH]) for at in track(starts, what, transient=True)]
    return np.vstack([batch.vectors for batch in batches])


async def nearest(embedder, name: str) -> Nearest:
    # Of several warm texts with one key the last is kept, as in a store.
    warm = {fold(text): (text, answer) for text, answer in labelled(f"{name}.warm")}
    replay, answers = zip(*labelled(f"{name}.replay"), strict=True)
    kept, kept_answers = zip(*warm.values(), strict=True)
    similarity = await embedded(embedder, replay, name) @ (await embedded(embedder, kept, name)).T
    place = {key: place for place, key in enumerate(warm)}
    same = np.array([place.get(fold(text), -1) for text in replay])
    closest = np.where(same >= 0, same, similarity.argmax(axis=1))
    return Nearest(similarity.max(axis=1), np.array(kept_answers)[closest] != np.array(answers), same >= 0)


def table(name: str, found: Nearest) -> Table:
    shown = Table("cosine", title=f"{name}: {len(found.cosine):,} questions", title_justify="left")
    for heading in ("hits", "% of questions", "wrong", "% of hits"):
        shown.add_column(heading, justify="right")
    rows = {f"≥ {threshold:.2f}": ~found.exact & (found.cosine >= threshold) for threshold in THRESHOLDS}
    for what, hits in {"exact": found.exact, **rows}.items():
        count, wrong = hits.sum(), (hits & found.wrong).sum()
        shares = f"{100 * hits.mean():.1f}", f"{100 * wrong / max(count, 1):.1f}"
        shown.add_row(what, f"{count}", shares[0], f"{wrong}", shares[1])
    return shown


async def main() -> None:
    embedder = await open_embedder("bundled")
    try:
        for name in SETS:
            Console().print(table(name, await nearest(embedder, name)))
    finally:
        await embedder.aclose()


if __name__ == "__main__":
    asyncio.run(main())
