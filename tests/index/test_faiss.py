"""An index that goes on serving while it is changed."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from index import table
from index.faiss import FaissIndex
from index.table import Table

SIZE = 64


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((rows, SIZE), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("graph_from", [0, 10_000])
async def test_searches_go_on_while_room_is_made_for_what_is_added(graph_from, monkeypatch):
    index = FaissIndex(SIZE, graph_from=graph_from)
    vectors = unit(200)
    await index.add(np.arange(100), vectors[:100])
    begun, go_on = asyncio.Event(), threading.Event()
    loop, make_room = asyncio.get_running_loop(), Table.make_room

    def slowly(self):
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        make_room(self)

    monkeypatch.setattr(Table, "make_room", slowly)
    monkeypatch.setattr(table, "SOON_MOVED", 0)
    adding = asyncio.create_task(index.add(np.arange(100, 200), vectors[100:]))
    await begun.wait()
    assert (await index.search(vectors[7], 1))[0].id == 7
    assert not adding.done()
    go_on.set()
    await adding
    assert [(await index.search(vector, 1))[0].id for vector in vectors] == list(range(200))
