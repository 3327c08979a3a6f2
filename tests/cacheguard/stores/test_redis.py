"""What a Redis store promises beyond the contract: several processes on one Redis, and what goes wrong with one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
import redis
from redis_servers import RedisCluster, RedisServer, free_port

from cacheguard.errors import StoreAway, StoreError, StoreUnusable
from cacheguard.stores.base import Account, Known, Label, NewPhrasing, SpendingKey
from cacheguard.stores.redis import RedisStore
from cacheguard.stores.redis_place import read_place
from cacheguard.stores.redis_rows import answer_fields, phrasing_fields
from cacheguard.stores.redis_turns import _Turn
from cacheguard.types import Answer, Origin, Provenance, new_answer_id

PATIENCE_S = 60


def answer(text="yes", scope="scope"):
    return Answer(new_answer_id(), scope, "tenant", "faq", text, Provenance("strong"), 1.0, 1.0)


def asked(key):
    return NewPhrasing(key, key, Origin.MISS, 1.0, np.ones(8, np.float32))


def wrong(answer_id, key="k"):
    return Label("scope", "faq", key, key, answer_id, right=False, by="ann", created_at=2.0)


@asynccontextmanager
async def opened(url, number=1, **options):
    """So many replicas' stores on one Redis."""
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(number):
            store = RedisStore(read_place(url), **options)
            await store.open("model")
            stack.push_async_callback(store.aclose)
            stores.append(store)
        yield stores


async def heard(store, after):
    """The changes after this number, once there are any."""
    while not (changes := await store.changes(after)):
        await store.changed(PATIENCE_S)
    return changes


@pytest.fixture(params=["alone", "cluster"])
def shared(request):
    """The URL of a Redis that replicas share."""
    if request.param == "alone":
        return request.getfixturevalue("redis_url")
    return request.getfixturevalue("redis_cluster").url


async def test_what_one_replica_writes_is_told_to_the_others(shared):
    async with opened(shared, 2) as (one, other):
        after = await other.latest_change()
        other.news()
        kept = answer()
        (id_,) = await one.keep(kept, [asked("k")])
        assert [change[1:] for change in await heard(other, after)] == [("scope", id_, False)]
        assert ("scope", "k", id_) in {one[1:] for one in other.news()}
        assert (await other.exact("scope", "k")).answer == kept


async def test_an_answer_that_one_replica_calls_wrong_is_barred_at_the_others(shared):
    async with opened(shared, 2) as (one, other):
        kept = answer()
        await one.keep(kept, [asked("k")])
        await one.add_labels([wrong(kept.id)])
        await one.keep(answer(), [asked("later")])  # in the same scope, so it is told after it
        await heard(other, (await heard(other, 0))[0].seq)
        assert await other.barred("scope", "k") == {kept.id}
    async with opened(shared) as (new,):
        assert await new.barred("scope", "k") == {kept.id}


async def test_a_replica_that_starts_anew_goes_on_from_where_another_was(shared):
    async with opened(shared) as (one,):
        await one.keep(answer(), [asked("a")])
        seen = await one.latest_change()
        (id_,) = await one.keep(answer(), [asked("b")])
    async with opened(shared) as (other,):
        changes = await other.changes(seen)
        assert id_ in {change.phrasing_id for change in changes}
        assert await other.changes(changes[-1].seq) == []
        (later,) = await other.keep(answer(), [asked("c")])
        assert [change.phrasing_id for change in await other.changes(changes[-1].seq)] == [later]


async def test_the_number_of_a_replica_that_heard_of_more_is_no_other_stores(shared):
    async with opened(shared) as (store,):
        (id_,) = await store.keep(answer(), [asked("a")])
        ahead = await store.latest_change() + 1_000
        assert id_ in {change.phrasing_id for change in await store.changes(ahead)}
        assert await store.changes(ahead + (60_000 << 20)) is None


async def test_a_replica_that_starts_anew_after_too_much_was_written_loads_again(shared):
    async with opened(shared, history=5) as (one,):
        await one.keep(answer(), [asked("a")])
        seen = await one.latest_change() - (60_000 << 20)  # a minute ago: servers' clocks may differ by seconds
        for n in range(8):
            await one.keep(answer(), [asked(str(n))])
    async with opened(shared, history=5) as (other,):
        assert await other.changes(max(seen, 1)) is None


async def test_a_replica_that_missed_what_was_trimmed_trusts_nothing_it_read(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        async with opened(redis_url, 2) as (one, other):
            await one.keep(answer(), [asked("a")])
            after = (await heard(other, 0))[-1].seq
            other.news()
            client.hincrby("{cacheguard:0}:meta", "told", 7)  # as if seven entries had come and gone
            await one.keep(answer(), [asked("b")])
            await other.changed(PATIENCE_S)
            assert other.news() is None
            assert await other.latest_change() > after


async def test_followers_of_a_redis_that_was_emptied_load_again_and_no_id_is_given_twice(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        async with opened(redis_url) as (store,):
            (former,) = await store.keep(answer(), [asked("a")])
            after = await store.latest_change()
            client.flushdb()
            (now,) = await store.keep(answer(), [asked("b")])
            assert now > former
            assert await store.changes(after) is None


async def test_what_a_killed_redis_had_acknowledged_is_there_when_it_is_back(redis_server):
    async with opened(redis_server.url) as (store,):
        for n in range(50):
            await store.keep(answer(str(n)), [asked(str(n))])
        redis_server.kill()
        with pytest.raises(StoreAway, match="start it, or correct"):
            await store.exact("scope", "0")
        with pytest.raises(StoreAway):
            await store.keep(answer("late"), [asked("late")])
        redis_server.start()
        while store.is_away or store.waiting_writes:
            await store.changed(0.01)
        for n in range(50):
            assert (await store.exact("scope", str(n))).answer.text == str(n)
        assert (await store.exact("scope", "late")).answer.text == "late"


async def test_what_waited_never_replaces_what_was_written_meanwhile(redis_url):
    async with opened(redis_url) as (store,):
        kept = answer("meanwhile")
        await store.keep(kept, [asked("k")])
        for late in (answer("waited"), replace(kept, text="waited", refreshed_at=0.5)):
            fields = [*answer_fields(late), *phrasing_fields(asked("k"))]
            await store._shards.write(0, "keep", 1, *fields)
        assert (await store.exact("scope", "k")).answer == kept
        assert (await store.counts()).answers == 1


async def test_more_than_may_wait_is_dropped_and_counted(redis_server, monkeypatch):
    monkeypatch.setattr("cacheguard.stores.redis._MOST_LATE", 3)
    async with opened(redis_server.url) as (store,):
        redis_server.kill()
        for n in range(5):
            with pytest.raises(StoreAway):
                await store.keep(answer(), [asked(str(n))])
        assert (store.waiting_writes, store.dropped_writes) == (3, 2)


async def test_spending_that_is_told_twice_is_added_once(redis_url):
    async with opened(redis_url) as (store,):
        key = SpendingKey(Account("tenant", "shop"), "day", 86400)
        named = ("name of the call", '["tenant", "shop", "day", 86400]', "0.5")
        for _ in range(2):
            assert await store._shards.read(0, "add_spending", *named) == [b"0.5"]
        assert await store.add_spending({key: 0.0}) == {key: 0.5}


async def test_a_cluster_that_lost_a_master_is_used_again_when_it_is_back(redis_program, tmp_path):
    with RedisCluster(redis_program, tmp_path) as cluster:
        async with opened(cluster.url) as (store,):
            scopes = [f"scope {number}" for number in range(30)]  # in shards of all masters
            for scope in scopes:
                await store.keep(answer(scope, scope), [asked("k")])
            cluster.servers[1].kill()
            outcomes = await asyncio.gather(*(store.exact(scope, "k") for scope in scopes), return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} <= {StoreAway, Known}
            assert any(isinstance(outcome, StoreAway) for outcome in outcomes)
            cluster.servers[1].start()
            while store.is_away:
                await store.changed(0.05)
            for scope in scopes:
                await store.keep(answer("again", scope), [asked("k")])
                assert (await store.exact(scope, "k")).answer.text == "again"


# Turns


async def test_who_asks_the_same_waits_until_the_turn_is_given_back(shared):
    async with opened(shared, 2) as (one, other):
        entered = asyncio.Event()

        async def ask():
            async with other.turns.turn("scope", "k", PATIENCE_S) as waited_s:
                entered.set()
                return waited_s

        async with one.turns.turn("scope", "k", PATIENCE_S) as waited_s:
            assert waited_s < PATIENCE_S
            asking = asyncio.create_task(ask())
            async with other.turns.turn("scope", "another", PATIENCE_S):
                assert not entered.is_set()
        assert 0 < await asking < PATIENCE_S


async def test_nobody_waits_longer_than_its_patience(shared):
    async with (
        opened(shared, 2) as (one, other),
        one.turns.turn("scope", "k", PATIENCE_S),
        other.turns.turn("scope", "k", 0.05) as waited_s,
    ):
        assert waited_s >= 0.05


async def test_the_turn_of_a_process_that_died_runs_out(shared, monkeypatch):
    monkeypatch.setattr("cacheguard.stores.redis_turns.LASTS_S", 0.1)
    async with opened(shared, 2) as (dead, other):
        await _Turn(dead._shards, "scope", "k").enter(PATIENCE_S)
        async with other.turns.turn("scope", "k", PATIENCE_S) as waited_s:
            assert waited_s < PATIENCE_S


async def test_turns_are_nobodys_while_the_redis_is_away(redis_server):
    async with opened(redis_server.url) as (store,):
        redis_server.kill()
        async with store.turns.turn("scope", "k", PATIENCE_S) as waited_s:
            assert waited_s < PATIENCE_S


# Places, and what is wrong with them


async def test_a_wrong_password_is_told_without_quoting_it(redis_server):
    with redis_server.client() as client:
        client.config_set("requirepass", "right")
    with pytest.raises(StoreUnusable, match="refuses the user") as refused:
        async with opened(redis_server.url.replace("redis://", "redis://:s3cret@")):
            pass
    assert "s3cret" not in str(refused.value)


async def test_a_user_with_no_more_rights_than_the_message_names_will_do(redis_server):
    with redis_server.client() as client:
        rights = ("~{cacheguard:*", "+@all", "-@dangerous", "+info")
        client.execute_command("ACL", "SETUSER", "guard", "on", ">pw", *rights)
    async with opened(redis_server.url.replace("redis://", "redis://guard:pw@")) as (store,):
        await store.keep(answer(), [asked("k")])
        assert (await store.exact("scope", "k")).answer.text == "yes"
        assert await store.remarks() == []


async def test_nobody_at_the_place_is_told_with_the_way_out():
    with pytest.raises(StoreUnusable, match=r"can't reach redis://127.0.0.1:1 .*start it, or correct store.url"):
        async with opened("redis://127.0.0.1:1"):
            pass


async def test_a_single_server_is_no_cluster_and_a_clusters_node_no_single_server(redis_url, redis_cluster):
    with pytest.raises(StoreUnusable, match="redis://"):
        async with opened(redis_url.replace("redis://", "redis+cluster://").removesuffix("/0")):
            pass
    with pytest.raises(StoreUnusable, match=r"redis\+cluster://"):
        async with opened(redis_cluster.url.replace("+cluster", "")):
            pass


async def test_a_newer_layout_is_left_alone(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        client.hset("{cacheguard:0}:meta", "version", 2)
    with pytest.raises(StoreUnusable, match="upgrade cacheguard"):
        async with opened(redis_url):
            pass


async def test_a_redis_that_throws_keys_away_is_remarked_on(redis_server):
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    async with opened(redis_server.url) as (store,):
        (remark,) = await store.remarks()
        assert "maxmemory-policy noeviction" in remark


async def test_a_full_redis_refuses_writes_with_the_way_out_and_reads_on(redis_server):
    async with opened(redis_server.url) as (store,):
        await store.keep(answer(), [asked("k")])
        with redis_server.client() as client:
            client.config_set("maxmemory", "1mb")
        with pytest.raises(StoreError, match="raise maxmemory"):
            await store.keep(answer(), [asked("l")])
        assert (await store.exact("scope", "k")).answer.text == "yes"


async def test_a_master_is_found_by_its_sentinel(redis_server, redis_program, tmp_path):
    folder = tmp_path / "sentinel"
    folder.mkdir()
    (folder / "sentinel.conf").write_text(f"sentinel monitor main 127.0.0.1 {redis_server.port} 1\n")
    watching = RedisServer([*redis_program, str(folder / "sentinel.conf")], folder, "--sentinel")
    with watching:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                async with opened(f"redis+sentinel://127.0.0.1:{watching.port}/main") as (store,):
                    await store.keep(answer(), [asked("k")])
                    assert (await store.exact("scope", "k")).answer.text == "yes"
                    return
            except StoreUnusable:  # it has not looked yet
                continue
        raise AssertionError("no master")


@pytest.fixture
def certificate(tmp_path):
    """Of 127.0.0.1, signed by itself; its key lies beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path / "cert.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1")
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, "-keyout", tmp_path / "key.pem", "-out", path)
    subprocess.run(["openssl", *made], check=True, capture_output=True)
    return path


async def test_an_encrypted_place_is_used_with_its_certificate(redis_program, tmp_path, certificate):
    port = free_port()
    files = (
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(tmp_path / "key.pem"),
        "--tls-ca-cert-file",
        str(certificate),
    )
    with RedisServer(redis_program, tmp_path, "--tls-port", str(port), "--tls-auth-clients", "no", *files):
        async with opened(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as (store,):
            await store.keep(answer(), [asked("k")])
            assert (await store.exact("scope", "k")).answer.text == "yes"
        with pytest.raises(StoreUnusable, match="certificate"):
            async with opened(f"rediss://127.0.0.1:{port}"):
                pass
