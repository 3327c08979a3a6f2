"""How well the embedder tells questions that ask the same from others, beside sentence-transformers with its weights.

Pairs of qqp_a, drawn at random, ordered by cosine: average precision of those that ask the same. Of the two models the
same pairs, so that only what differs between them counts; how sure the difference is shows in drawing the pairs again
and again. It takes a minute.
"""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING

import numpy as np

from embeddings.export import prepare
from embeddings.files import BUNDLED, find
from embeddings.onnx import Encoder
from tests.benchmarks.figures import Comparison, Findings, at_least
from tests.benchmarks.threshold import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PAIRS, DRAWN_AGAIN = 4_000, 200
BATCH = 256


def average_precision(similarities: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The mean, over the pairs that ask the same, of the share of such among those at least as similar."""
    ordered = same[np.argsort(-similarities, kind="stable")]
    precision = np.cumsum(ordered) / np.arange(1, ordered.size + 1)
    return float(precision[ordered].mean())


def pairs(rng: np.random.Generator) -> tuple[list[str], list[str], NDArray[np.bool_]]:
    with gzip.open(DATA / "pairs" / "qqp_a.tsv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    drawn = [rows[number] for number in rng.choice(len(rows), min(PAIRS, len(rows)), replace=False).tolist()]
    one, other = ([row[side] for row in drawn] for side in ("prompt_a", "prompt_b"))
    return one, other, np.array([row["same"] == "1" for row in drawn])


def cosines(
    encode: Callable[[list[str]], NDArray[np.floating]], one: list[str], other: list[str]
) -> NDArray[np.floating]:
    texts = list(dict.fromkeys(one + other))
    texts.sort(key=len)  # a batch is as long as its longest
    vectors = np.concatenate([encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)])
    row = {text: number for number, text in enumerate(texts)}
    left, right = (vectors[[row[text] for text in side]] for side in (one, other))
    return np.einsum("ij,ij->i", left, right)


def measure() -> Findings:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # 20 s, which a test of this file need not wait

    rng = np.random.default_rng(0)
    one, other, same = pairs(rng)
    original, encoder = SentenceTransformer(find(BUNDLED).place, device="cpu"), Encoder(prepare(BUNDLED))
    ours = cosines(lambda texts: encoder.encode(texts).vectors, one, other)
    theirs = cosines(
        lambda texts: original.encode(texts, normalize_embeddings=True, show_progress_bar=False), one, other
    )
    again = rng.integers(0, same.size, (DRAWN_AGAIN, same.size))
    differences = [average_precision(ours[d], same[d]) - average_precision(theirs[d], same[d]) for d in again]
    what = "average precision"
    return Findings(
        f"precision: {same.size:,} pairs of qqp_a, {same.mean():.0%} of which ask the same",
        {},
        [
            Comparison.of(f"embedder: {what}", "", [average_precision(ours, same)]),
            Comparison.of(f"sentence-transformers: {what}", "", [average_precision(theirs, same)]),
            Comparison.of(
                f"embedder: {what} beyond sentence-transformers', drawn {DRAWN_AGAIN} times",
                "",
                differences,
                goal=at_least(-0.005),
            ),
        ],
    )
