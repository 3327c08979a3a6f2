"""Rows in FAISS: how exactly each form keeps them, and what comes back from disk."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index import table as adapter
from index.base import SnapshotUnusable
from index.table import Form, Table

SIZE = 384


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((rows, SIZE), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def table(form, vectors, like=None):
    made = Table(SIZE, form)
    if form is Form.COMPACT:
        made.learn(like or table(Form.FLAT, vectors))
    made.put(np.arange(len(vectors)), vectors)
    return made


@pytest.mark.parametrize(("form", "off"), [(Form.FLAT, 1e-4), (Form.GRAPH, 1e-4), (Form.COMPACT, 2e-3)])
def test_a_similarity_is_as_exact_as_the_form_says(form, off):
    vectors = unit(500)
    rows = table(form, vectors)
    for query in unit(50, seed=1):
        assert all(abs(n.similarity - vectors[n.id] @ query) <= off for n in rows.search(query, 20))


def test_a_compact_table_is_copied_without_loss():
    vectors = unit(500)
    first = table(Form.COMPACT, vectors)
    once = np.array(list(first.vectors(range(500)).values()))
    again = np.array(list(table(Form.COMPACT, once, like=first).vectors(range(500)).values()))
    assert np.array_equal(once, again)


@pytest.mark.parametrize(("likeness", "off"), [(1.0, 2.5e-4), (0.9, 3e-4)])
def test_the_more_alike_the_more_exact_a_compact_table_is(likeness, off):
    vectors, others = unit(2_000), unit(2_000, seed=1)
    rows = table(Form.COMPACT, vectors)
    queries = likeness * vectors + np.sqrt(1 - likeness**2) * others
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    kept = np.array(list(rows.vectors(range(2_000)).values()))
    assert np.std(np.einsum("ij,ij->i", kept - vectors, queries)) <= off


def test_what_does_not_fit_the_ranges_is_kept_nearly_as_exactly():
    usual, queer = unit(500), unit(500, seed=1)
    usual[:, :20] /= 3
    rows = table(Form.COMPACT, queer, like=table(Form.FLAT, usual))
    kept = np.array(list(rows.vectors(range(500)).values()))
    cut_off = np.einsum("ij,ij->i", kept, queer)
    assert np.abs(cut_off - 1).max() <= 2e-3


def where(rows):
    """Where FAISS's arrays lie."""
    return [faiss.rev_swig_ptr(held.data(), held.size()).ctypes.data for held in adapter._arrays(rows._rows)]


@pytest.mark.parametrize("form", Form)
def test_rows_for_which_room_was_made_move_nothing(form):
    vectors = unit(2_000)
    rows = table(form, vectors[:1_000])
    rows.make_room()
    before = where(rows)
    rows.put(np.arange(1_000, 1_900), vectors[1_000:1_900])
    assert where(rows) == before
    assert [rows.search(vector, 1)[0].id for vector in vectors[:1_900:19]] == list(range(0, 1_900, 19))


def test_a_small_table_is_never_full_and_a_large_one_is_until_room_is_made(monkeypatch):
    rows = table(Form.GRAPH, unit(300))
    assert not rows.is_full(1)
    monkeypatch.setattr(adapter, "SOON_MOVED", 100_000)
    assert rows.is_full(1)
    rows.make_room()
    assert not rows.is_full(270)
    assert rows.is_full(271)
    assert not Table.load(*rows.dump(), dimension=SIZE).is_full(1)


@pytest.mark.parametrize("form", [Form.GRAPH, Form.COMPACT])
def test_a_graph_comes_back_in_its_form_and_takes_more(form):
    vectors = unit(600)
    rows = table(form, vectors[:500])
    loaded = Table.load(*rows.dump(), dimension=SIZE)
    assert loaded.form is form
    loaded.put(np.arange(500, 600), vectors[500:])
    assert [loaded.search(vector, 1)[0].id for vector in vectors] == list(range(600))


def test_a_graph_of_another_kind_is_refused():
    other = faiss.IndexHNSWFlat(SIZE, 32, faiss.METRIC_INNER_PRODUCT)
    other.add(unit(10))
    with pytest.raises(SnapshotUnusable, match="no graph of 10 rows"):
        Table.load(np.arange(10), faiss.serialize_index(other), SIZE)
