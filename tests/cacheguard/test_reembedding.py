from __future__ import annotations

import asyncio

import numpy as np
import pytest

from cacheguard.errors import ModelMismatch
from cacheguard.reembedding import reembed
from cacheguard.stores.base import NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance

LONG = "word " * 2000


@pytest.fixture
async def former(tmp_path):
    """A store in which another model made 600 vectors, one of them of a long prompt."""
    store = SqliteStore(tmp_path / "cache.db")
    await store.open("former")
    answer = Answer("ans_1", "scope", "default", "faq", "Yes.", Provenance("log"), 0, 0)
    vector = np.ones(8, np.float32)
    texts = [f"question {number}" for number in range(599)] + [LONG]
    await store.keep(answer, [NewPhrasing(text, text, Origin.LOG, 0, vector) for text in texts])
    await store.aclose()
    return tmp_path / "cache.db"


async def opened(path, embedder, **how):
    store = SqliteStore(path)
    await store.open(embedder.spec.fingerprint, **how)
    return store


async def test_every_vector_is_made_anew_and_the_store_opens_again(former, embedder):
    with pytest.raises(ModelMismatch):
        await opened(former, embedder)
    store = await opened(former, embedder, reembedding=True)
    told = []
    assert await reembed(store, embedder, told.append, now=1.0) == sum(told) == 600
    await store.aclose()
    store = await opened(former, embedder)
    ids, vectors = await store.vectors("scope")
    known = await store.known(ids)
    expected = (await embedder.embed([one.phrasing.text for one in known])).vectors
    np.testing.assert_allclose(vectors, expected, atol=0.02)  # int8 differs a little with a batch's padding
    await store.aclose()


async def test_a_prompt_too_long_for_the_new_model_is_left_to_exact_matches(former, embedder):
    store = await opened(former, embedder, reembedding=True)
    await reembed(store, embedder, lambda _: None, now=1.0)
    counts = await store.counts()
    assert (counts.phrasings, counts.vectors) == (600, 599)
    assert await store.exact("scope", LONG)
    await store.aclose()


async def test_a_run_that_is_stopped_goes_on_later(former, embedder):
    store = await opened(former, embedder, reembedding=True)
    running = asyncio.create_task(reembed(store, embedder, lambda _: running.cancel(), now=1.0))
    with pytest.raises(asyncio.CancelledError):
        await running
    left = len(await store.outdated(1000))
    assert 0 < left < 600
    assert await reembed(store, embedder, lambda _: None, now=1.0) == left
    await store.aclose()


async def test_a_rule_that_was_tuned_on_the_former_vectors_gives_way_once(former, embedder):
    store = await opened(former, embedder, reembedding=True)
    await store.add_rule("faq", '{"threshold": 0.9}', by="tune", created_at=0.0)
    await reembed(store, embedder, lambda _: None, now=1.0)
    await reembed(store, embedder, lambda _: None, now=2.0)
    assert [(rule.version, rule.body, rule.by) for rule in await store.rules("faq")] == [
        (1, '{"threshold": 0.9}', "tune"),
        (2, "", "re-embed"),
    ]
    await store.aclose()
