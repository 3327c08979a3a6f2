"""What is remembered, lessons or vectors, is the same as before."""

from __future__ import annotations

import numpy as np

from cacheguard.tuning.fitting import Lessons
from embeddings.base import Embedded
from tests.benchmarks.filled import Remembered, Remembering


def lessons(labelled, factor=1.0):
    """Of each label one row."""
    labelled = list(labelled)
    return Lessons(
        factor * np.array(labelled, float).reshape(-1, 1), np.ones(len(labelled), bool), np.ones(len(labelled))
    )


def test_labels_teach_the_same_when_they_come_again():
    remembered, labels = Remembered(lessons), [1000, 2000, 3000]
    for part in (labels, labels[1:], []):
        assert remembered(part).values.tolist() == lessons(part).values.tolist()


def test_a_stream_of_questions_is_learned_whole_with_the_head_that_it_came_with():
    remembered, labels = Remembered(lessons), [1000, 2000, 3000]
    for factor in (2.0, 3.0):
        assert remembered(iter(labels), factor).values.tolist() == lessons(labels, factor).values.tolist()


class Lengths:
    """An embedder that counts letters, and which texts it was asked for."""

    def __init__(self):
        self.asked = []

    async def embed(self, texts):
        self.asked += texts
        return Embedded(np.array([[len(text)] for text in texts], np.float32), tuple(len(text) > 3 for text in texts))


async def test_each_text_is_embedded_once_and_its_vector_stays_its_own():
    lengths = Lengths()
    remembering = Remembering(lengths)
    for texts in (["a", "four", "a"], ["four", "ab"]):
        embedded = await remembering.embed(texts)
        assert embedded.vectors.tolist() == [[len(text)] for text in texts]
        assert embedded.cut == tuple(len(text) > 3 for text in texts)
    assert lengths.asked == ["a", "four", "ab"]
