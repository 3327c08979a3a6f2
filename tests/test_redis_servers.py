"""The servers that other tests stand on."""

from __future__ import annotations

import redis
from redis_servers import SLOTS


def test_a_server_that_is_killed_comes_back_where_it_was_with_what_it_kept(redis_server):
    with redis_server.client() as client:
        client.set("key", "value")
        client.waitaof(1, 0, 0)
        redis_server.kill()
        redis_server.start()
        assert client.get("key") == "value"


def test_a_test_finds_an_empty_database_with_vector_sets(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        assert client.vset().vadd("set", [1.0, 0.0], "1") == 1


def test_a_database_is_empty_again_for_the_next_test(redis_url):
    test_a_test_finds_an_empty_database_with_vector_sets(redis_url)


def test_masters_share_all_slots(redis_cluster):
    with redis.RedisCluster.from_url(redis_cluster.url.replace("+cluster", "")) as client:
        assert client.cluster_info()["cluster_slots_ok"] == str(SLOTS)
        for number in range(100):
            client.set(f"key {number}", number)
    held = []
    for server in redis_cluster.servers:
        with server.client() as client:
            held.append(client.dbsize())
    assert all(held)
    assert sum(held) == 100
