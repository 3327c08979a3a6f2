from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.precision import average_precision


@pytest.mark.parametrize(
    ("similarities", "same", "precision"),
    [
        ([0.9, 0.8, 0.7], [True, True, False], 1),
        ([0.9, 0.8, 0.7], [False, True, True], (1 / 2 + 2 / 3) / 2),
        ([0.7, 0.9, 0.8], [True, True, False], (1 + 2 / 3) / 2),
    ],
)
def test_average_precision_is_that_of_the_order(similarities, same, precision):
    assert average_precision(np.array(similarities), np.array(same)) == pytest.approx(precision)
