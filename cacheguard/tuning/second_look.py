"""Teaches a second look what a route's phrasings and labels say, and how far it may be believed."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from cacheguard.errors import FileUnusable
from cacheguard.matching.confidence import Logistic
from cacheguard.matching.decide import Match
from cacheguard.matching.second_look import SECOND_LOOK, figures, look_again, texts_to_read
from cacheguard.tuning.fitting import Lessons, fit_logistic
from cacheguard.tuning.rehearsal import Cached
from embeddings.cross_encoder import CrossEncoder
from embeddings.fine_tuning import Pair, fine_tune, read_cross_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cacheguard.matching.decide import Judged, Rule
    from cacheguard.stores.base import Store
    from cacheguard.tuning.labels import Labelled

WEIGHTS_FILE: Final = "second_look.json"
# Labels whose surest answer is neither sure nor hopeless: with fewer, three weights are guesses.
LEAST_LABELS: Final = 50
# Below it, no look makes an answer sure: of vira's replay, 1 in 10 of these answers is right.
_HOPELESS: Final = 0.3
# Of a question's neighbours, so many that fit and that don't teach. The nearest are the hardest to tell apart.
_TAUGHT_BY: Final = 2


class Teaching(NamedTuple):
    """model: where the weights begin, as for fine_tune. now: Unix seconds."""

    model: str
    max_minutes: float
    now: float


class Taught(NamedTuple):
    """What came of it. pairs: shown to the model. labels: that weighed it. look_ms: for one look, on an idle machine.

    gained, wrong: of these labels, how many more the route would serve, and how many of those are wrong. The labels
    that chose three weights are a little too kind to them.
    """

    pairs: int
    seconds: float
    labels: int
    look_ms: float
    gained: int
    wrong: int


class _Doubted(NamedTuple):
    asked: Labelled
    surest: Judged
    fits: bool


def pairs_of(asked: Iterable[Labelled]) -> Iterator[Pair]:
    """Each question with the nearest phrasings that ask the same, and with the nearest of others, one for an answer."""
    for one in asked:
        fitting: list[str] = []
        other: dict[str, str] = {}
        for match in one.matches:
            fits = one.fits(match.answer)
            if fits:
                fitting.append(match.phrasing.text)
            elif fits is False:
                other.setdefault(match.answer.id, match.phrasing.text)
        yield from (Pair(one.question.text, text, same=True) for text in fitting[:_TAUGHT_BY])
        yield from (Pair(one.question.text, text, same=False) for text in list(other.values())[:_TAUGHT_BY])


def teach(pairs: Sequence[Pair], proving: Sequence[Labelled], rule: Rule, teaching: Teaching, folder: Path) -> Taught:
    """Write a second look into `folder`, which exists. Blocks for minutes.

    proving: labels that are none of the pairs. Raises FileUnusable where they are too few, and EmbeddingError.
    """
    doubted = [one for one in map(partial(_doubted, rule=rule, now=teaching.now), proving) if one]
    _check(doubted)
    manifest = fine_tune(pairs, folder, model=teaching.model, max_minutes=teaching.max_minutes)
    scorer = CrossEncoder(read_cross_encoder(folder))
    begun = time.perf_counter()
    read = [scorer.score(one.asked.question.text, texts_to_read(one.surest, one.asked.matches)) for one in doubted]
    look_ms = (time.perf_counter() - begun) * 1000 / len(doubted)
    values = [figures(one.surest.confidence, logits) for one, logits in zip(doubted, read, strict=True)]
    right = np.array([one.fits for one in doubted])
    weights = fit_logistic(SECOND_LOOK, Lessons(np.array(values), right, np.ones(len(right))))
    served = [
        rule.reconsider(
            one.asked.question, look_again(one.surest, logits, weights), one.asked.matches, teaching.now
        ).accepted
        and not one.surest.accepted
        for one, logits in zip(doubted, read, strict=True)
    ]
    gained = int(np.sum(served))
    write_weights(weights, {"pairs": manifest.pairs, "labels": len(doubted), "model": manifest.name}, folder)
    return Taught(manifest.pairs, manifest.seconds, len(doubted), look_ms, gained, int(np.sum(~right[served])))


def _doubted(one: Labelled, rule: Rule, now: float) -> _Doubted | None:
    """A label that can tell what a look is worth; None where none would be taken, or nobody knows what is right."""
    judged = rule.judge(one.question, one.matches, now, one.vector)
    if not judged or judged[0].match.exact or judged[0].confidence < _HOPELESS:
        return None
    fits = one.fits(judged[0].match.answer)
    return None if fits is None else _Doubted(one, judged[0], fits)


def _check(doubted: Sequence[_Doubted]) -> None:
    right = sum(one.fits for one in doubted)
    if len(doubted) < LEAST_LABELS or right in {0, len(doubted)}:
        raise FileUnusable(
            f"a second look is weighed by {LEAST_LABELS} labels or more, with right answers among them and wrong ones; "
            f"there are {len(doubted)} whose answer is not quite beyond hope, {right} of them right: label more"
        )


async def phrasings(store: Store, scope: str) -> Cached | None:
    """All of a scope that can be found by similarity; None where there is none."""
    ids, vectors = await store.vectors(scope)
    vector_of = dict(zip(ids.tolist(), vectors, strict=True))
    known = await store.known(list(vector_of))
    matches = [Match(phrasing, answer, 1.0, vector=vector_of[phrasing.id]) for phrasing, answer in known]
    return Cached(matches) if matches else None


def write_weights(weights: Logistic, provenance: dict[str, Any], folder: Path) -> None:
    body = {**weights.to_json(), "provenance": provenance}
    (folder / WEIGHTS_FILE).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def read_weights(folder: Path) -> Logistic:
    """Raises FileUnusable."""
    try:
        return Logistic.from_json(json.loads((folder / WEIGHTS_FILE).read_bytes()), SECOND_LOOK)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise FileUnusable(
            f"{folder / WEIGHTS_FILE} can't be read ({exc}): train again, with cacheguard second-look"
        ) from exc
