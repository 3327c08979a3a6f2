from __future__ import annotations

import numpy as np
import pytest
from logs import Unseen, written

from cacheguard.stores.base import Filter
from cacheguard.warming.pipeline import warm
from cacheguard.warming.wish import Wish
from embeddings.base import EmbeddingError

NOW = 1_800_000_000.0


class Listening:
    """An embedder that notes at which stage it was asked what. fails: at everything."""

    def __init__(self, embedder, stages, *, fails=False):
        self.spec = embedder.spec
        self.asked = []
        self._embedder, self._stages, self._fails = embedder, stages, fails

    async def embed(self, texts):
        self.asked += [(self._stages.begun[-1], text) for text in texts]
        if self._fails:
            raise EmbeddingError("the model is gone")
        return await self._embedder.embed(texts)


class Stages(Unseen):
    def __init__(self):
        super().__init__()
        self.begun = []

    def begin(self, what, total):
        self.begun.append(what)
        super().begin(what, total)


@pytest.fixture
def warmed(tmp_path, store, embedder, place):
    async def warmed(*lines, fails=False, **wish):
        path, stages = tmp_path / "log.jsonl", Stages()
        path.write_text("".join(written(*line) for line in lines))
        listening = Listening(embedder, stages, fails=fails)
        await warm([path], place, store, listening, now=NOW, progress=stages, wish=Wish(**wish))
        assert stages.left == 0
        return listening.asked

    return warmed


LINES = [(f"How do I open door {number}?", f"See page {number}.") for number in range(3000)]


async def test_while_a_log_is_read_its_questions_are_embedded_each_once(warmed, store, embedder):
    asked = await warmed(*LINES)
    assert "Reading" in {stage for stage, _ in asked}
    assert sorted(text for _, text in asked) == sorted(prompt for prompt, _ in LINES)
    [scope] = {answer.scope async for answer, _ in store.answers(Filter())}
    phrasings = {one.id: one.text async for _, its in store.answers(Filter()) for one in its}
    kept = await store.vectors(scope)
    expected = await embedder.embed([phrasings[id_] for id_ in kept.ids.tolist()])
    assert np.allclose(kept.vectors, expected.vectors, atol=1e-6)


async def test_where_questions_are_left_out_none_is_embedded_in_vain(warmed):
    asked = await warmed(*LINES, *LINES[:5], at_least=2)
    assert sorted(asked) == sorted(("Embedding", prompt) for prompt, _ in LINES[:5])


async def test_a_question_is_embedded_as_it_was_first_worded(warmed):
    asked = await warmed(*((prompt.upper(), answer) for prompt, answer in LINES[:50]), *LINES)
    assert {text for _, text in asked} >= {prompt.upper() for prompt, _ in LINES[:50]}
    assert len(asked) == len(LINES)


async def test_an_embedder_that_fails_meanwhile_ends_the_warming(warmed):
    with pytest.raises(EmbeddingError, match="the model is gone"):
        await warmed(*LINES, fails=True)
