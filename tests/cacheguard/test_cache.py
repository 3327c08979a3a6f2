"""Store, embedder and index as one."""

from __future__ import annotations

import pytest

from cacheguard.cache import Cache
from cacheguard.matching.decide import Judged, Miss, MissReason
from cacheguard.request import Recalled
from cacheguard.stores.base import NewPhrasing
from cacheguard.types import Answer, Origin, Provenance
from index.partitions import Partitions

SHORT, LONG = "What about delivery?", "To which countries do you deliver?"


@pytest.fixture
async def cache(store, embedder):
    index = Partitions(store, dimension=embedder.spec.dimension, fingerprint=embedder.spec.fingerprint)
    yield Cache(store, embedder, index)
    await index.aclose()


@pytest.mark.parametrize(
    ("reason", "said_to_others"),
    [(MissReason.NOT_SURE, "To all."), (MissReason.GUARDED, "Tomorrow."), (MissReason.EXPIRED, "Tomorrow.")],
)
async def test_equal_words_that_are_no_proof_get_an_answer_of_their_own(cache, store, place, reason, said_to_others):
    asked, other = place.asked(SHORT), place.asked(LONG)
    scope = asked.scope
    known = Answer("ans_1", scope.key, scope.tenant, scope.route, "To all.", Provenance("log"), 0, 0)
    questions = [asked.question, other.question]
    await store.keep(known, [NewPhrasing(question.key, question.text, Origin.LOG, 0) for question in questions])
    match = await cache.exact(scope, asked.question)
    recalled = Recalled(Miss(reason, Judged(match, 0.5, accepted=False)))
    await cache.keep(asked, recalled, "Tomorrow.", Provenance("strong"), now=1)
    assert (await cache.exact(scope, asked.question)).answer.text == "Tomorrow."
    assert (await cache.exact(scope, other.question)).answer.text == said_to_others
