"""While a Redis is away, hits that are at hand and the tiers answer; what was written meanwhile is there afterwards."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, SETTINGS, cache_status, running

STORED, EXACT = "fwd=miss; fwd-status=200; stored", "hit; ttl=86400; detail=exact"
BROKEN = "fwd=miss; fwd-status=200; detail=cache-broken"
SEMANTIC = "hit; ttl=86400; detail=semantic"


def on(redis):
    return SETTINGS.replace("sqlite:///${FOLDER}/cache.db", redis.url)


@pytest.fixture
def service(redis_server, tmp_path):
    with running(tmp_path, on(redis_server)) as service:
        yield service


def back(service, redis):
    """Until the service has found it again."""
    redis.start()
    store = service.service.store
    while store.is_away or store.waiting_writes:
        service.provider.calls  # noqa: B018 - every look gives both servers a turn


def forget(service):
    """No row is in memory, as after a start."""
    rows = service.service.cache.rows
    for kept in (rows._known, rows._exact, rows._owned):
        kept.clear()


def test_hits_at_hand_are_given_and_misses_answered_and_all_is_well_afterwards(service, redis_server):
    asker = service.asker()
    assert [asker.status(LIMIT), asker.status(LIMIT_AGAIN)] == [STORED, SEMANTIC]
    redis_server.kill()
    assert [asker.status(prompt) for prompt in (LIMIT, LIMIT_AGAIN, PARCEL)] == [
        EXACT,
        SEMANTIC,
        BROKEN,
    ]
    back(service, redis_server)
    assert [asker.status(prompt) for prompt in (LIMIT, LIMIT_AGAIN, "And then?")] == [EXACT, SEMANTIC, STORED]


def test_an_answer_that_came_meanwhile_is_kept_when_it_is_back(service, redis_server):
    asker = service.asker()
    redis_server.kill()
    asker.ask(PARCEL)
    assert (service.metric("cacheguard_store_away"), service.metric("cacheguard_store_writes_waiting")) == (1, 1)
    back(service, redis_server)
    assert asker.status(PARCEL) == EXACT


async def test_an_answer_that_could_not_be_seen_is_not_replaced_by_one_that_came_meanwhile(service, redis_server):
    asker = service.asker()
    former = asker.ask(LIMIT).headers["x-cacheguard-entry"]
    forget(service)  # else it is at hand, if Redis told of it before it was gone
    redis_server.kill()
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(asker.body()))
        await service.waits_for(lambda: service.waiting == 1)
        await asyncio.to_thread(back, service, redis_server)
    assert [response.headers["cache-status"] for response in await asking] == [f"cacheguard; {BROKEN}"]
    again = asker.ask(LIMIT)
    assert (again.headers["x-cacheguard-entry"], cache_status(again)) == (former, EXACT)


def test_nothing_is_served_past_its_time_to_live(service, redis_server):
    asker = service.asker()
    assert [asker.status(LIMIT), asker.status(LIMIT)] == [STORED, EXACT]
    redis_server.kill()
    service.clock.passes(10 * 86400)
    assert asker.status(LIMIT) == "fwd=stale; fwd-status=200"


def test_a_redis_that_hangs_holds_up_nobody_but_those_who_found_out(service, redis_server):
    asker = service.asker()
    asker.ask(LIMIT)
    os.kill(redis_server._process.pid, signal.SIGSTOP)
    try:
        assert asker.ask(PARCEL).status_code == 200
        assert service.service.store.is_away
        assert [asker.ask(prompt).status_code for prompt in (LIMIT, PARCEL, "And then?")] == [200, 200, 200]
    finally:
        os.kill(redis_server._process.pid, signal.SIGCONT)


async def test_a_hundred_at_once_get_their_answers_while_it_goes_away(service, redis_server):
    asker = service.asker()
    async with asker.at_once() as http:
        asking = [http.post("/v1/chat/completions", json=asker.body(f"Question {n}?")) for n in range(100)]
        gathered = asyncio.gather(*asking)
        await service.waits_for(lambda: service.provider.calls["total"] > 0)
        redis_server.kill()
        assert {response.status_code for response in await gathered} == {httpx.codes.OK}
