"""Fits the model that is shipped: `python -m cacheguard.tuning.train`; CACHEGUARD_DATA holds the public question sets.

Each domain is held out in turn first, and the table says what a model of the others does on it, next to the cosine and
the margin alone. Then all of them together become matching/default_model.json.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from cacheguard.matching.decide import Match
from cacheguard.question import Question, fold
from cacheguard.tuning.fitting import Lessons, fit_model, lessons_alone, lessons_among
from cacheguard.tuning.labels import Labelled, Verdicts
from cacheguard.tuning.rehearsal import Cached, answered, unanswered, young
from cacheguard.types import Answer, Origin, Phrasing, Provenance
from embeddings.opening import open_embedder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cacheguard.matching.confidence import ConfidenceModel
    from embeddings.base import Embedder

STREAMS: Final = ("vira", "banking77")
PAIRS: Final = "qqp_a"
MODEL: Final = Path(__file__).parent.parent / "matching" / "default_model.json"
LIMITS: Final = (0.01, 0.02, 0.05)
# Enough for the one weight of a lone phrasing, and a minute less of embedding.
_PAIRS_READ: Final = 10_000
_BATCH: Final = 128


@dataclass(frozen=True, slots=True)
class Domain:
    """What one public stream teaches, and what is asked of the others' model. Features are computed once."""

    name: str
    labelled: Lessons
    answered: Lessons
    unanswered: Lessons
    young: Lessons
    replay: Sequence[Labelled]
    first_days: Sequence[Labelled]

    def lessons(self) -> Lessons:
        """Each kind counts as so many questions, whatever the size of its domain."""
        kinds = ((self.labelled, 1000), (self.answered, 300), (self.unanswered, 300), (self.young, 1000))
        return Lessons.together([lessons.counting(count) for lessons, count in kinds])


async def main(folder: Path) -> None:
    embedder = await open_embedder("bundled")
    try:
        domains = [await _stream(embedder, folder, name) for name in STREAMS]
        pairs = await _pairs(embedder, folder)
    finally:
        await embedder.aclose()
    _say("held out   questions      model        % served at <= 1 / 2 / 5 % wrong")
    for out in domains:
        model = _fit([domain for domain in domains if domain is not out], lessons_alone(pairs))
        for part, labelled in (("replay", out.replay), ("young", out.first_days)):
            for name, sure in _judged(model, labelled).items():
                _say(f"{out.name:10} {part:14} {name:12} {_figures(sure, len(labelled))}")
    model = _fit(domains, lessons_alone(pairs))
    duplicates = sum(bool(pair.fits(pair.matches[0].answer)) for pair in pairs)
    for name, sure in _judged(model, pairs).items():
        _say(f"{PAIRS:10} {'pairs':14} {name:12} {_figures(sure, duplicates, only_right=True)}")
    MODEL.write_text(json.dumps(model.to_json(), indent=2) + "\n", "utf-8")


def _fit(domains: Sequence[Domain], pairs: Lessons) -> ConfidenceModel:
    among = Lessons.together([domain.lessons() for domain in domains])
    provenance = {
        "fitted_by": "python -m cacheguard.tuning.train",
        "on": [*(domain.name for domain in domains), PAIRS],
        "embedding": "bundled all-MiniLM-L6-v2, int8",
        "rows": {"among": len(among.right), "alone": len(pairs.right)},
    }
    return fit_model(among, pairs, provenance)


def _judged(model: ConfidenceModel, labelled: Sequence[Labelled]) -> dict[str, list[tuple[float, bool]]]:
    """For each way to be sure of an answer, how sure of its best one, and whether that is right."""
    found: dict[str, list[tuple[float, bool]]] = {"ours": [], "margin": [], "cosine": []}
    for one in labelled:
        best = model.weigh(one.question.text, one.matches)[0]
        nearest = one.matches[0]
        others = [match.similarity for match in one.matches if match.answer.id != nearest.answer.id]
        is_right = bool(one.fits(nearest.answer))
        found["ours"].append((best.confidence, bool(one.fits(best.match.answer))))
        found["margin"].append((nearest.similarity - max(others, default=0.0), is_right))
        found["cosine"].append((nearest.similarity, is_right))
    return found


def _figures(sure: list[tuple[float, bool]], of: int, *, only_right: bool = False) -> str:
    """What the loosest threshold serves under which at most 1, 2, 5 % of what is served are wrong."""
    right = np.array([is_right for _, is_right in sorted(sure, key=lambda one: -one[0])])
    served = np.arange(1, len(right) + 1)
    wrong = np.cumsum(~right)
    counted = np.cumsum(right) if only_right else served
    best = [max(counted[wrong <= limit * served], default=0) for limit in LIMITS]
    return " / ".join(f"{100 * count / of:4.1f}" for count in best)


async def _stream(embedder: Embedder, folder: Path, name: str) -> Domain:
    chance = np.random.default_rng(1)
    warm, labelled, replay = (
        [json.loads(line) for line in _lines(folder / "streams" / f"{name}.{part}.jsonl.gz")]
        for part in ("warm", "labelled", "replay")
    )
    cached = Cached(_phrasings([(row["prompt"], row["answer_id"]) for row in warm], await _vectors(embedder, warm)))
    asked = {}
    for part, rows in (("labelled", labelled), ("replay", replay)):
        asked[part] = [
            Labelled(
                Question(row["prompt"], fold(row["prompt"])),
                vector,
                cached.near(vector),
                Verdicts(frozenset([row["answer_id"]])),
            )
            for row, vector in zip(rows, await _vectors(embedder, rows), strict=True)
        ]
    first_days = list(young(cached, chance))
    return Domain(
        name,
        lessons_among(asked["labelled"]),
        lessons_among(answered(cached)),
        lessons_among(unanswered(cached, chance)),
        lessons_among(first_days),
        asked["replay"],
        first_days,
    )


async def _pairs(embedder: Embedder, folder: Path) -> list[Labelled]:
    rows = [line.split("\t") for line in _lines(folder / "pairs" / f"{PAIRS}.tsv.gz")[1 : _PAIRS_READ + 1]]
    vectors = await _vectors(embedder, [{"prompt": text} for row in rows for text in row[:2]])
    known = _phrasings([(row[1], "other") for row in rows], vectors[1::2])
    return [
        Labelled(
            Question(row[0], fold(row[0])),
            vector,
            (Match(match.phrasing, match.answer, float(vector @ other), vector=other),),
            Verdicts(frozenset(["other"] if row[2] == "1" else [])),
        )
        for row, match, vector, other in zip(rows, known, vectors[::2], vectors[1::2], strict=True)
    ]


def _phrasings(rows: Iterable[tuple[str, str]], vectors: NDArray[np.float32]) -> list[Match]:
    """rows: text, and id of its answer."""
    return [
        Match(
            Phrasing(at, answer_id, "", fold(text), text, Origin.LOG, 0),
            Answer(answer_id, "", "", "", "", Provenance("log"), 0, 0),
            1.0,
            vector=vector,
        )
        for at, ((text, answer_id), vector) in enumerate(zip(rows, vectors, strict=True), 1)
    ]


async def _vectors(embedder: Embedder, rows: Sequence[dict[str, str]]) -> NDArray[np.float32]:
    texts = [row["prompt"] for row in rows]
    batches = [await embedder.embed(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
    return np.concatenate([batch.vectors for batch in batches])


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return file.read().split("\n")[:-1]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(os.environ.get("CACHEGUARD_DATA", "../shared/data"))))
