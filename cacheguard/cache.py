"""The cache as the corridor sees it: store, embedder and index as one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cacheguard.matching.decide import Judged, Match, Miss, MissReason, Stale
from cacheguard.stores.base import NewPhrasing, Served
from cacheguard.stores.first_level import FirstLevel
from cacheguard.types import Answer, Origin, new_answer_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cacheguard.question import Question
    from cacheguard.request import Asked, Recalled
    from cacheguard.scope import Scope
    from cacheguard.stores.base import Store
    from cacheguard.types import Provenance
    from embeddings.base import Embedder
    from index.base import Neighbour

# How many phrasings are looked at: whether a question is an answer's is told by who else is near.
NEIGHBOURS = 20


class Partitioned(Protocol):
    """Vector indexes, one per scope."""

    async def search(self, partition: str, vector: NDArray[np.float32], k: int) -> list[Neighbour]: ...

    async def vectors(self, partition: str, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]: ...

    async def add(self, partition: str, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None: ...


class Cache:
    """Finds and keeps. The store is the truth: what the index names and the store no longer has, does not exist."""

    def __init__(self, store: Store, embedder: Embedder, index: Partitioned) -> None:
        self._store = store
        self.rows = FirstLevel(store)
        self._embedder = embedder
        self._index = index

    async def exact(self, scope: Scope, question: Question) -> Match | None:
        """The phrasing with the same folded text."""
        known = await self.rows.exact(scope.key, question.key)
        return Match(known.phrasing, known.answer, similarity=1.0, exact=True) if known else None

    async def vector(self, question: Question) -> NDArray[np.float32] | None:
        """float32 (dimension,), unit length; None where the model read only the beginning of the question."""
        embedded = await self._embedder.embed([question.text])
        return None if embedded.cut[0] else embedded.vectors[0]

    async def neighbours(self, scope: Scope, question: Question, vector: NDArray[np.float32]) -> list[Match]:
        """The nearest phrasings of the scope with their answers, nearest first.

        Answers that someone called wrong for this very question are left out.
        """
        nearest = await self.nearest(scope, question, vector)
        barred = await self._store.barred(scope.key, question.key)
        return [match for match in nearest if match.answer.id not in barred]

    async def nearest(self, scope: Scope, question: Question, vector: NDArray[np.float32]) -> list[Match]:
        """As neighbours, with what was called wrong."""
        nearest = await self._index.search(scope.key, vector, NEIGHBOURS)
        similarity = dict(nearest)
        ids = [neighbour.id for neighbour in nearest]
        known = await self.rows.known(ids)
        vectors = await self._index.vectors(scope.key, ids)
        return [
            Match(
                phrasing,
                answer,
                similarity[phrasing.id],
                exact=phrasing.key == question.key,
                vector=vectors.get(phrasing.id),
            )
            for phrasing, answer in known
        ]

    async def keep(self, asked: Asked, recalled: Recalled, text: str, provenance: Provenance, now: float) -> Match:
        """Keep a new answer: it refreshes the one whose phrasing was asked, or is founded by the question.

        A new phrasing comes with its vector, to be placed. Where an equal text was no proof, people mean different
        things by it: others' answer stays as it is.
        """
        match recalled.decision:
            case Miss(reason=MissReason.NOT_SURE):
                pass
            case Stale(Judged(match)) | Miss(judged=Judged(match)) if match.exact:
                answer = replace(match.answer, text=text, provenance=provenance, refreshed_at=now)
                await self._store.keep(answer, [])
                return match._replace(answer=answer, vector=None)
        scope, question = asked.scope, asked.question
        vector = recalled.vector if recalled.vector is not None else await self.vector(question)
        answer = Answer(new_answer_id(), scope.key, scope.tenant, scope.route, text, provenance, now, now)
        phrasing = NewPhrasing(question.key, question.text, Origin.MISS, now, vector)
        kept, answer = await self.rows.keep_new(answer, phrasing)
        return Match(kept, answer, similarity=1.0, exact=True, vector=vector)

    async def place(self, match: Match) -> None:
        """Let a new phrasing, one with its vector, be found by those who ask alike."""
        if match.vector is not None:
            await self._index.add(match.answer.scope, np.array([match.phrasing.id]), match.vector[np.newaxis])

    async def remember(self, completion_id: str, asked: Asked, match: Match, now: float) -> None:
        """Note what was served under an id that does not tell by itself, so that feedback finds it."""
        await self._store.add_served(
            Served(
                completion_id,
                asked.scope.key,
                asked.question.key,
                asked.question.text,
                match.answer.id,
                match.phrasing.id,
                match.similarity,
                now,
                "" if match.exact else asked.route.name,
            )
        )
