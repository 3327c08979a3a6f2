from __future__ import annotations

import numpy as np

from index.rows import alike
from index.table import Form, Table


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((rows, 384), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_that_are_cut_off_in_bytes_are_still_alike_and_others_are_not():
    usual, queer = unit(500), unit(500, seed=1)
    usual[:, :20] /= 3
    known, rows = Table(384, Form.FLAT), Table(384, Form.COMPACT)
    known.put(np.arange(500), usual)
    rows.learn(known)
    rows.put(np.arange(500), queer)
    _, kept = rows.living(0, 500)
    assert alike(kept, queer)
    assert not alike(kept[1:], queer[:-1])
    assert alike(kept[:0], queer[:0])
