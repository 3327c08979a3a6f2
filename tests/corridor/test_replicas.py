"""Replicas that share a Redis: an answer of one is a hit at the other, and each question is asked once."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack, closing

import pytest
import redis
from servers import serve
from services import (
    LIMIT,
    LIMIT_AGAIN,
    PARCEL,
    SETTINGS,
    Running,
    cache_status,
    on_failed_start,
    running,
    settings_in,
    text_of,
    wait_until_ready,
)

from cacheguard.http.app import make_app
from cacheguard.wiring import Service

EXACT = "hit; ttl=86400; detail=exact"


@pytest.fixture(scope="module", params=["alone", "cluster"])
def redis_place(request):
    """The URL of an empty Redis."""
    if request.param == "cluster":
        cluster = request.getfixturevalue("redis_cluster_shared")
        yield cluster.url
        cluster.clear()
        return
    shared = request.getfixturevalue("redis_shared")
    yield shared
    with redis.Redis.from_url(shared) as client:
        client.flushdb()


@pytest.fixture(scope="module")
def started(redis_place, tmp_path_factory):
    """Two services on one Redis, with one provider and one clock."""
    settings = SETTINGS.replace("sqlite:///${FOLDER}/cache.db", redis_place)
    folders = [tmp_path_factory.mktemp(name) for name in "ab"]
    with running(folders[0], settings) as one, ExitStack() as serving:
        service = Service(settings_in(folders[1], settings, one.provider.base_url), one.clock)
        other_url = serving.enter_context(serve(make_app(service, on_failed_start)))
        wait_until_ready(other_url)
        parts = {"service": service, "url": other_url, "clock": one.clock, "provider": one.provider, "gate": one.gate}
        with closing(Running(**parts, stop=serving.close)) as other:
            yield one, other


@pytest.fixture
def replicas(started):
    for replica in started:
        replica.behaves()
    return started


@pytest.fixture
def askers(replicas):
    """Somebody whom nobody else is, and who asks at one replica as well as at the other."""
    aside = {"asker": secrets.token_hex(4)}
    return [replica.asker(aside=aside) for replica in replicas]


def test_an_answer_of_one_is_a_hit_at_the_other(askers):
    one, other = askers
    one.ask(LIMIT)
    assert other.status(LIMIT) == EXACT
    assert other.status(LIMIT_AGAIN) == "hit; ttl=86400; detail=semantic"


def test_what_one_keeps_is_near_at_the_other_that_had_loaded_its_index_before(askers, replicas):
    one, other = askers
    one.ask(PARCEL)
    other.ask("How can I track a parcel?")
    one.ask(LIMIT)
    for _ in range(5000):
        if (status := other.status(LIMIT_AGAIN)) == "hit; ttl=86400; detail=semantic":
            return
        other.ask(LIMIT_AGAIN, cache_control="only-if-cached")
    raise AssertionError(status)


@pytest.mark.parametrize("stream", [False, True])
async def test_one_question_at_both_at_once_is_one_call(askers, replicas, stream):
    one, _ = replicas
    with one.gate.shut():
        asking = [asyncio.create_task(asker.ask_all(*[asker.body(stream=stream)] * 5)) for asker in askers]
        for replica in replicas:
            await replica.waits_for(lambda replica=replica: replica.waiting >= 5)
    responses = [response for each in asking for response in await each]
    assert one.provider.calls["total"] == 1
    assert sum("collapsed" in cache_status(response) for response in responses) == 9
    assert len({text_of(response) for response in responses}) == 1


async def test_who_waits_for_a_call_that_fails_asks_itself(askers, replicas):
    one, _ = replicas
    one.provider.play({"when": {"calls": {"to": 1}}, "then": {"status": 400}}, {"text": "Fine."})
    with one.gate.shut():
        asking = [asyncio.create_task(asker.ask_all(asker.body())) for asker in askers]
        for replica in replicas:
            await replica.waits_for(lambda replica=replica: replica.waiting >= 1)
    statuses = sorted([response.status_code for each in asking for response in await each])
    assert statuses[0] == 200


async def test_a_tier_that_one_must_leave_alone_is_left_alone_by_the_other(askers, replicas):
    one, other = replicas
    one.provider.play({"status": 429, "retry_after_s": 1000})
    askers[0].ask(LIMIT)
    health = other.service.tiers["strong"].health
    await other.waits_for(lambda: health.keys.retry_at() > other.service.clock())
    assert [block.reason for block in health.keys.blocked(other.service.clock())] == ["rate_limit"]


def test_a_stale_answer_is_refreshed_once(replicas, askers):
    one, _ = replicas
    askers[0].ask(LIMIT)
    for asker in askers:
        assert asker.status(LIMIT) == EXACT
    one.clock.passes(86_400 + 60)
    with one.gate.shut():
        assert [cache_status(asker.ask(LIMIT)) for asker in askers] == ["hit; ttl=-60; detail=exact-stale"] * 2
    for replica in replicas:
        for _ in range(5000):
            if not replica.service.corridor._upstream._flights._tasks:
                break
            replica.provider.calls  # noqa: B018 - every look gives both servers a turn
    assert one.provider.calls["total"] == 2
    assert [asker.status(LIMIT) for asker in askers] == [EXACT] * 2
