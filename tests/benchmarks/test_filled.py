"""Lessons that are remembered are the same lessons."""

from __future__ import annotations

import numpy as np

from cacheguard.tuning.fitting import Lessons
from tests.benchmarks.filled import Remembered


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
