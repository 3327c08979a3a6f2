"""Vector sets that several processes share, each of which is played by an object with connections of its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import pytest
import redis
from redis_servers import RedisCluster, vector_servers
from vector_log import SIZE, Log, unit

from index import shared
from index.base import IndexFailed
from index.marked import KEEP_S, LEASE_S
from index.redis import Kept
from index.shared import SharedPartitions


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def join():
    """Another process with this source, on this Redis or cluster."""
    async with AsyncExitStack() as open_:

        def joined(log, url, **options):
            servers = vector_servers(url, options.pop("away_s", 0))
            partitions = SharedPartitions(log, servers, **{"dimension": SIZE, "fingerprint": "model"} | options)
            open_.push_async_callback(partitions.aclose)
            return partitions

        yield joined


@pytest.fixture
def partitions(join, log, redis_url):
    return join(log, redis_url)


async def found(partitions, scope="a", vector=None, k=1_000):
    return {n.id for n in await partitions.search(scope, unit(1)[0] if vector is None else vector, k)}


def keys(url, pattern="*"):
    with redis.Redis.from_url(url) as client:
        return client.keys(pattern)


def holds(url):
    """How many vectors are in all of the sets."""
    with redis.Redis.from_url(url) as client:
        return sum(client.vset().vcard(key) for key in client.scan_iter() if client.type(key) == b"vectorset")


async def test_an_unknown_partition_holds_nothing(partitions):
    assert await partitions.search("nobody", unit(1)[0], 5) == []
    assert await partitions.vectors("nobody", [1]) == {}


async def test_a_vector_of_one_partition_is_never_found_in_another(partitions, log):
    ids = {scope: set(log.add(scope, unit(20)).tolist()) for scope in ("a", "b", "a\0b")}
    for scope, own in ids.items():
        assert await found(partitions, scope) == own


async def test_sets_of_another_model_another_source_or_other_numbers_are_not_taken_for_its_own(join, redis_url):
    log, foreign = Log(), Log("foreign")
    log.add("a", unit(10))
    foreign.add("a", unit(30, seed=1))
    others = [
        join(log, redis_url),
        join(log, redis_url, fingerprint="new model"),
        join(log, redis_url, kept=Kept.FLOAT32),
        join(log, redis_url, shards=2),
        join(foreign, redis_url),
    ]
    assert [len(await found(other)) for other in others] == [10, 10, 10, 10, 30]
    assert len(keys(redis_url, "*:seq")) == 6


async def test_what_one_process_built_is_there_for_the_next_without_reading_it_all(join, log, redis_url):
    log.add("a", unit(200))
    assert len(await found(join(log, redis_url))) == 200
    log.rows["a"].pop(7)  # of which its history doesn't tell
    assert 7 in await found(join(log, redis_url))


async def test_a_partition_is_built_once_however_many_ask_in_however_many_processes(join, log, redis_url):
    log.add("a", unit(300))
    processes = [join(log, redis_url) for _ in range(3)]
    assert {len(await each) for each in [found(process) for process in processes for _ in range(5)]} == {300}
    asked = await asyncio.gather(*(found(process, "b") for process in processes for _ in range(20)))
    assert asked == [set()] * 60
    assert holds(redis_url) == 300


async def test_nothing_is_found_before_all_is_there(partitions, log, monkeypatch):
    log.add("a", unit(50))
    log.open.clear()
    monkeypatch.setattr(shared, "PATIENCE_S", 0)
    assert await found(partitions) == set()
    log.open.set()
    await partitions._opening["a"]
    assert len(await found(partitions)) == 50


async def test_what_one_process_adds_another_finds_at_once(join, log, redis_url):
    one, other = join(log, redis_url), join(log, redis_url)
    assert await found(one) == await found(other) == set()
    vectors = unit(3)
    await one.add("a", ids := log.add("a", vectors), vectors)
    assert await found(other) == set(ids.tolist())
    assert (await other.vectors("a", [1]))[1] @ vectors[0] == pytest.approx(1, abs=0.01)


async def test_what_others_wrote_to_the_source_is_followed(partitions, log):
    log.add("a", unit(5))
    await found(partitions)
    await partitions.follow()
    late = log.add("a", unit(2, seed=1)).tolist()
    log.remove("a", 2)
    log.remove("a", late[1])
    await partitions.follow()
    assert await found(partitions) == {1, 3, 4, 5, late[0]}


async def test_a_process_that_comes_later_goes_through_what_happened_since_the_mark(join, log, redis_url):
    first = join(log, redis_url)
    log.add("a", unit(5))
    await found(first)
    late = set(log.add("a", unit(2, seed=1)).tolist())
    log.remove("a", 3)
    assert await found(join(log, redis_url)) == {1, 2, 4, 5} | late


async def test_a_mark_tells_what_was_followed_so_that_forgotten_history_is_not_missed(join, log, redis_url):
    first = join(log, redis_url)
    log.add("a", unit(5))
    await found(first)
    await first.follow()
    log.remove("a", 3)
    await first.follow()
    await first.save()
    log.forgotten = len(log.history)
    log.readings = 0
    assert await found(join(log, redis_url)) == {1, 2, 4, 5}
    assert log.readings == 1  # of witnesses


async def test_forgotten_history_makes_a_set_anew(join, log, redis_url):
    log.add("a", unit(5))
    await found(join(log, redis_url))
    log.remove("a", 3)
    log.forgotten = len(log.history)
    assert await found(join(log, redis_url)) == {1, 2, 4, 5}


async def test_a_source_that_was_put_back_to_an_earlier_state_makes_a_set_anew(join, redis_url):
    later, log = Log(), Log()
    later.add("a", unit(100))
    await found(join(later, redis_url))
    log.add("a", unit(50, seed=1))
    assert await found(join(log, redis_url), vector=unit(1, seed=1)[0], k=1) == {1}
    assert holds(redis_url) == 50


async def test_a_server_that_was_emptied_is_filled_again(partitions, log, redis_url):
    log.add("a", unit(20))
    await found(partitions)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    assert await found(partitions) == set()
    assert len(await found(partitions)) == 20


async def test_a_set_that_was_lost_beside_its_mark_is_made_anew(partitions, log, redis_url):
    log.add("a", unit(20))
    await found(partitions)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*[key for key in client.scan_iter() if client.type(key) == b"vectorset"])
    assert await found(partitions) == set()
    assert len(await found(partitions)) == 20


async def test_a_mark_is_not_set_again_where_it_was_lost(partitions, log, redis_url):
    log.add("a", unit(20))
    await found(partitions)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    await partitions.save()
    assert keys(redis_url) == []


async def test_away_is_said_at_once_and_what_was_written_meanwhile_is_there_afterwards(join, log, redis_server):
    partitions = join(log, redis_server.url, away_s=3_600)
    log.add("a", unit(20))
    assert len(await found(partitions)) == 20
    redis_server.kill()
    with pytest.raises(IndexFailed, match="can't reach Redis"):
        await found(partitions)
    with pytest.raises(IndexFailed, match="did not answer a moment ago"):
        await found(partitions)
    await partitions.add("a", log.add("a", unit(1, seed=1)), unit(1, seed=1))
    redis_server.start()
    partitions._servers._away_until = 0
    assert len(await found(partitions)) == 21


async def test_what_cant_be_added_is_not_lost(partitions, join, log, redis_url, monkeypatch):
    await found(partitions)
    with monkeypatch.context() as away:
        away.setattr(partitions._servers, "_away_until", float("inf"))
        await partitions.add("a", log.add("a", unit(2)), unit(2))
    assert await found(join(log, redis_url)) == await found(partitions) == {1, 2}


async def test_what_a_killed_server_had_not_written_down_is_put_there_again(join, log, redis_server):
    partitions = join(log, redis_server.url)
    log.add("a", unit(20))
    await found(partitions)
    with redis_server.client() as client:
        client.waitaof(1, 0, 0)
        client.config_set("appendonly", "no")  # what comes now is lost
    late = log.add("a", unit(5, seed=1))
    await partitions.add("a", late, unit(5, seed=1))
    await partitions.follow()
    redis_server.kill()
    redis_server.start()
    with pytest.raises(IndexFailed):
        await found(partitions)
    assert len(await found(partitions)) == 25


async def test_a_change_that_fails_is_made_later(partitions, log, monkeypatch):
    await found(partitions)
    log.add("a", unit(3))
    with monkeypatch.context() as patched:
        patched.setattr(log, "vectors", None)
        with pytest.raises(TypeError):
            await partitions.follow()
    assert len(await found(partitions)) == 3


async def test_whoever_dies_while_building_is_followed_by_another(join, log, redis_url, monkeypatch):
    log.add("a", unit(50))
    dies = join(log, redis_url)
    log.open.clear()
    monkeypatch.setattr(shared, "PATIENCE_S", 0)
    await found(dies)
    await log.asked.wait()
    with redis.Redis.from_url(redis_url) as client:
        [lock] = client.keys("*:building")
        assert 0 < client.ttl(lock) <= LEASE_S
        client.delete(lock)  # as time does
    log.open.set()
    other = join(log, redis_url)
    await found(other)
    await other._opening["a"]
    assert len(await found(other)) == 50


async def test_all_that_lies_in_redis_goes_when_nobody_asks_for_it(partitions, log, redis_url):
    log.add("a", unit(70))
    await found(partitions)
    log.add("b", unit(1))
    await found(partitions, "c")
    await partitions.save()
    with redis.Redis.from_url(redis_url) as client:
        assert len(client.keys()) == 3
        assert all(0 < client.ttl(key) <= KEEP_S for key in client.scan_iter())


async def test_shards_lie_on_all_masters_and_find_what_one_set_finds(join, log, redis_cluster):
    ids = log.add("a", unit(600))
    partitions = join(log, redis_cluster.url, shards=6)
    found_ = await partitions.search("a", unit(600)[17], 10)
    true = np.sort(unit(600) @ unit(600)[17])[::-1][:10]
    np.testing.assert_allclose([n.similarity for n in found_], true, atol=0.01)
    assert (await partitions.vectors("a", ids.tolist())).keys() == set(ids.tolist())
    assert all(holds(server.url) for server in redis_cluster.servers)


async def test_a_master_that_is_away_leaves_what_lies_on_the_others(join, log, redis_program, tmp_path):
    scopes = [str(number) for number in range(30)]
    for scope in scopes:
        log.add(scope, unit(3))
    options = ("--cluster-require-full-coverage", "no")
    with RedisCluster(redis_program, tmp_path, options=options) as cluster:
        partitions = join(log, cluster.url)
        assert [len(await found(partitions, scope)) for scope in scopes] == [3] * 30
        cluster.servers[1].kill()
        asked = await asyncio.gather(*(found(partitions, scope) for scope in scopes), return_exceptions=True)
        away = [isinstance(each, IndexFailed) for each in asked]
        assert 0 < sum(away) < 30
        assert all(is_away or len(each) == 3 for is_away, each in zip(away, asked, strict=True))
        cluster.servers[1].start()  # with nothing in it
        while any(isinstance(each, IndexFailed) or len(each) < 3 for each in asked):
            await asyncio.sleep(0.1)
            asked = await asyncio.gather(*(found(partitions, scope) for scope in scopes), return_exceptions=True)
