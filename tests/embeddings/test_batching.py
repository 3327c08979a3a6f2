"""Gathering: one run for concurrent calls, fair turns, and nobody harmed by another's cancelling or failing."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from embeddings.base import Embedded, EmbedderSpec, EmbeddingError
from embeddings.batching import Gathering


class Held:
    """A model whose runs wait until they are let go, so that a test decides what is in flight when.

    The real one is too fast to be caught in the middle. A text's vector is (its length, 1).
    """

    spec = EmbedderSpec("held", 2, "f", 8)

    def __init__(self):
        self.runs = []
        self.gate = threading.Semaphore(0)

    def encode(self, texts):
        self.runs.append(list(texts))
        assert self.gate.acquire(timeout=30)
        if "bad" in texts:
            raise EmbeddingError("bad text")
        return Embedded(
            np.array([[len(text), 1] for text in texts], np.float32), tuple(len(text) > 8 for text in texts)
        )

    def let_go(self, runs=1000):
        self.gate.release(runs)


@pytest.fixture
async def held():
    """A model, its embedder, and a call of it that is in its run: what comes now has to queue."""
    model = Held()
    embedder = Gathering(model)
    first = asyncio.create_task(embedder.embed(["first"]))
    while not model.runs:  # noqa: ASYNC110  # the run begins in another thread
        await asyncio.sleep(0)
    yield model, embedder, first
    model.let_go()
    await embedder.aclose()
    await first


async def start(*calls):
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_calls_that_arrive_during_a_run_share_the_next_one(held):
    model, embedder, _ = held
    tasks = await start(*(embedder.embed(["x" * n]) for n in range(1, 11)))
    model.let_go()
    results = await asyncio.gather(*tasks)
    assert [len(run) for run in model.runs] == [1, 10]
    assert [embedded.vectors[0, 0] for embedded in results] == list(range(1, 11))
    assert [embedded.cut for embedded in results] == [(n > 8,) for n in range(1, 11)]


async def test_calls_of_one_moment_on_an_idle_model_share_a_run():
    model = Held()
    embedder = Gathering(model)
    model.let_go()
    await asyncio.gather(*(embedder.embed([text]) for text in "abc"))
    await embedder.aclose()
    assert model.runs == [["a", "b", "c"]]


async def test_who_asks_again_upon_an_answer_shares_the_next_run_with_those_who_wait(held):
    model, embedder, _ = held

    async def twice(text):
        await embedder.embed([text])
        await asyncio.sleep(0)  # an answer is sent, and the next question read
        await embedder.embed([f"{text} again"])

    tasks = await start(twice("a"), twice("b"))
    model.let_go(1)
    while len(model.runs) == 1:  # noqa: ASYNC110  # as above
        await asyncio.sleep(0)
    tasks += await start(embedder.embed(["late"]))
    model.let_go()
    await asyncio.gather(*tasks)
    assert [sorted(run) for run in model.runs] == [["first"], ["a", "b"], ["a again", "b again", "late"]]


async def test_a_text_that_many_have_in_flight_is_embedded_once(held):
    model, embedder, _ = held
    tasks = await start(*(embedder.embed(["same", "same", "first"]) for _ in range(100)))
    model.let_go()
    results = await asyncio.gather(*tasks)
    assert model.runs == [["first"], ["same"]]
    assert all(embedded.vectors[:, 0].tolist() == [4, 4, 5] for embedded in results)


async def test_a_large_call_does_not_starve_a_small_one(held):
    model, embedder, _ = held
    large, small, known = await start(
        embedder.embed([f"{n:05}" for n in range(10_000)]),
        embedder.embed(["small"]),
        embedder.embed(["09999"]),
    )
    model.let_go(2)
    await asyncio.gather(small, known)
    assert not large.done()
    model.let_go()
    assert len((await large).vectors) == 10_000
    texts = [text for run in model.runs for text in run]
    assert len(texts) == len(set(texts)) == 10_002


async def test_many_callers_share_a_run_but_one_call_has_only_a_part_of_it(held):
    model, embedder, _ = held
    single = [embedder.embed([f"{n:05}"]) for n in range(64)]
    tasks = await start(*single, embedder.embed(["x" * n for n in range(100)]))
    model.let_go()
    await asyncio.gather(*tasks)
    assert [len(run) for run in model.runs] == [1, 64, 16, 16, 16, 16, 16, 16, 4]


async def test_cancelling_one_caller_harms_no_other(held):
    model, embedder, _ = held
    one, other, alone = await start(
        embedder.embed(["shared", "mine"]), embedder.embed(["shared"]), embedder.embed(["nobody's"])
    )
    one.cancel()
    alone.cancel()
    model.let_go()
    assert (await other).vectors[0, 0] == 6
    assert model.runs == [["first"], ["shared"]], "what nobody waits for any more is not embedded"
    assert (await embedder.embed(["mine"])).vectors[0, 0] == 4


async def test_an_error_reaches_every_caller_of_that_run_and_no_other(held):
    model, embedder, first = held
    bad, beside = await start(embedder.embed(["bad"]), embedder.embed(["beside"]))
    model.let_go()
    for task in (bad, beside):
        with pytest.raises(EmbeddingError, match="bad text"):
            await task
    assert (await first).vectors[0, 0] == 5
    assert (await embedder.embed(["beside"])).vectors[0, 0] == 6


async def test_closing_finishes_what_was_begun_and_takes_no_more(held):
    model, embedder, first = held
    (queued,) = await start(embedder.embed(["queued"]))
    (closing,) = await start(embedder.aclose())
    with pytest.raises(EmbeddingError, match="closed"):
        await embedder.embed(["late"])
    model.let_go()
    await closing
    assert first.done()
    assert queued.done()
    assert queued.result().vectors[0, 0] == 6


async def test_no_texts_need_no_run(held):
    model, embedder, _ = held
    assert (await embedder.embed([])).vectors.shape == (0, 2)
    assert model.runs == [["first"]]


async def test_the_real_model_gives_each_caller_its_own_vectors(bundled):
    embedder = Gathering(bundled, workers=2)
    texts = [f"question number {n}" for n in range(100)]
    results = await asyncio.gather(*(embedder.embed([text]) for text in texts))
    await embedder.aclose()
    together = bundled.encode(texts).vectors
    assert (np.vstack([embedded.vectors for embedded in results]) * together).sum(axis=1).min() > 0.9999
