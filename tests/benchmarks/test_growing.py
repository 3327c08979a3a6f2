"""What a store is filled with beyond the real questions lies as near to them as people's own words would."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.growing import REAL, copies

VECTORS = np.eye(REAL, 384, dtype=np.float32)[np.arange(REAL) % 384]


def test_the_real_ones_stay_as_they_are():
    assert np.array_equal(copies(VECTORS, range(10), np.random.default_rng(0)), VECTORS[:10])


def test_copies_are_moved_to_a_cosine_of_nine_tenths():
    numbers = range(REAL, 3 * REAL)
    moved = copies(VECTORS, numbers, np.random.default_rng(0))
    assert np.linalg.norm(moved, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = np.einsum("ij,ij->i", moved, VECTORS[np.asarray(numbers) % REAL])
    assert cosines.mean() == pytest.approx(0.9, abs=0.01)
    assert cosines.min() > 0.8
