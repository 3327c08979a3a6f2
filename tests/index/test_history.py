"""What partitions that are held hear of their source, whoever holds them."""

from __future__ import annotations

import asyncio

import pytest
from vector_log import Log, unit

from index.history import History, News


class Held:
    def __init__(self, seq=0):
        self.seq = seq
        self.ids = set()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def held():
    return {}


@pytest.fixture
def history(log, held):
    async def take(_, partition, news):
        await log.open.wait()
        partition.ids = partition.ids - set(news.removed) | set(news.added)

    return History(log, held, take, held.pop)


def test_news_of_an_id_that_came_back_removes_its_former_vector_and_adds_it():
    assert News.of([(1, "a", 7, True), (2, "a", 7, False)]) == News([7], [7])
    assert News.of([(1, "a", 7, False), (2, "a", 7, True)]) == News([7], [])


async def test_each_partition_hears_its_own_news_once(history, log, held):
    held |= {"a": Held(), "b": Held()}
    a, b = log.add("a", unit(2)).tolist(), log.add("b", unit(2)).tolist()
    log.remove("a", a[0])
    await history.follow()
    assert (held["a"].ids, held["b"].ids) == ({a[1]}, set(b))
    held["a"].ids = set()
    await history.follow()
    assert held["a"].ids == set()


async def test_while_nothing_is_held_history_is_not_read(history, log, monkeypatch):
    log.add("a", unit(2))
    monkeypatch.setattr(log, "changes", None)
    await history.follow()
    assert await history.told() == 2


async def test_one_that_catches_up_gets_to_where_the_others_are(history, log, held):
    held["a"] = Held()
    log.add("b", unit(3))
    log.open.clear()
    late = Held()
    catching_up = asyncio.create_task(history.catch_up("b", late, 3))
    await asyncio.sleep(0)
    log.add("b", unit(2))
    await history.follow()  # brings nothing to "b", which nobody holds yet
    log.open.set()
    assert await catching_up
    assert (late.seq, late.ids) == (5, {1, 2, 3, 4, 5})


async def test_one_can_not_catch_up_with_what_is_forgotten(history, log):
    log.add("a", unit(3))
    log.forgotten = 2
    assert not await history.catch_up("a", Held(1), 3)
    assert await history.catch_up("a", Held(2), 3)


async def test_the_number_of_a_source_that_was_emptied_drops_what_is_held(history, log, held):
    log.add("a", unit(3))
    held["a"] = Held()
    await history.follow()
    log.history.clear()
    assert await history.beginning() == 0
    assert not held
