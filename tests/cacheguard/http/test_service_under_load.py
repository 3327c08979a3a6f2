"""Limits, readiness, counts, and an end that finishes what was begun."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import httpx
import pytest
from servers import serve
from services import CHAT, LIMIT, LIMIT_AGAIN, PARCEL, PLACES, cache_status, ended, running, settings_in, text_of
from upstreams import ONE_HOUR_MS

from cacheguard.http.app import make_app
from cacheguard.wiring import Service

SETTINGS = (
    PLACES
    + """
server: {max_in_flight: 4}
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong], cache: {ttl_s: 100, stale_while_revalidate_s: 50}}
"""
)


async def test_past_the_limit_clients_are_told_to_come_back_while_the_others_finish(service, asker):
    before = service.metric("cacheguard_errors_total", code="overloaded")
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(*[asker.body(stream=number % 2 == 0) for number in range(4)]))
        await service.waits_for(lambda: service.waiting == 4)
        refused = await asyncio.to_thread(asker.ask)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["code"] == "overloaded"
        assert asker.get("/healthz").status_code == asker.get("/readyz").status_code == 200
    assert {response.status_code for response in await asking} == {200}
    assert asker.status() == "hit; ttl=100; detail=exact"
    assert service.metric("cacheguard_errors_total", code="overloaded") == before + 1


async def test_a_client_that_leaves_makes_room(service, asker, provider):
    provider.play({"latency_ms": ONE_HOUR_MS})
    async with asker.at_once() as http:
        tasks = [asyncio.create_task(http.post(CHAT, json=asker.body())) for _ in range(4)]
        await service.waits_for(lambda: service.waiting == 4)
        await provider.wait_for(in_flight=1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await provider.wait_for(cancelled=1)
    provider.play()
    await service.waits_for(lambda: asker.ask().status_code == 200)


def test_metrics_count_what_happened(tmp_path):
    with running(tmp_path, SETTINGS) as service:
        asker, strong = service.asker(), {"route": "default", "tier": "strong"}
        asker.ask()
        asker.ask(stream=True)
        asker.ask(LIMIT_AGAIN)
        asker.ask(PARCEL, n=2)
        asker.ask("")
        asker.ask(cache_control="only-if-cached", prompt=PARCEL)
        asker.post(CHAT, content="{")
        service.provider.play({"text": ""})
        asker.ask(PARCEL)
        service.provider.play({"cut_after_tokens": 2})
        asker.ask(PARCEL, stream=True)
        counted = {
            outcome: service.metric("cacheguard_answers_total", route="default", outcome=outcome)
            for outcome in ("miss", "hit-exact", "hit-semantic", "bypass", "collapsed")
        }
        assert counted == {"miss": 1, "hit-exact": 1, "hit-semantic": 1, "bypass": 2, "collapsed": 0}
        assert service.metric("cacheguard_answer_seconds_count", outcome="hit-exact") == 1
        assert service.metric("cacheguard_attempts_total", **strong, outcome="answered") == 3
        assert service.metric("cacheguard_attempts_total", **strong, outcome="empty") == 1
        assert service.metric("cacheguard_attempts_total", **strong, outcome="transport") == 1
        for code in ("not_in_cache", "invalid_request_error", "all_tiers_failed", "stream_broken"):
            assert service.metric("cacheguard_errors_total", code=code) == 1
        shown = asker.get("/metrics")
        assert 'cacheguard_answers_total{outcome="hit-semantic",route="default"} 1.0' in shown.text
        assert shown.headers["content-type"].startswith("text/plain")


def test_money_is_counted(tmp_path):
    with running(tmp_path) as service:
        service.provider.play({"text": "In the app, under cards."})
        service.asker().ask()
        cost = service.metric("cacheguard_cost_usd_total", route="default", tier="strong")
        assert cost == pytest.approx(0.017)


async def test_while_it_starts_it_is_alive_not_ready_and_questions_wait(tmp_path):
    service = HeldBack(settings_in(tmp_path, SETTINGS))
    with serve(make_app(service, print)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            body = {"model": "m", "messages": [{"role": "user", "content": LIMIT}]}
            asking = asyncio.create_task(http.post(CHAT, json=body, headers={"Cache-Control": "only-if-cached"}))
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).status_code == 503
            feedback = await http.post("/v1/feedback", json={"id": "x", "verdict": "wrong"})
            assert (feedback.status_code, feedback.headers["retry-after"]) == (503, "1")
            assert not asking.done()
            service.may_start.set()
            assert (await asking).status_code == 504
            assert (await http.get("/readyz")).status_code == 200


async def test_questions_that_wait_for_a_start_that_fails_are_refused(tmp_path):
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    service, failures = HeldBack(settings_in(tmp_path, SETTINGS)), []
    with serve(make_app(service, failures.append)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            body = {"model": "m", "messages": [{"role": "user", "content": LIMIT}]}
            asking = asyncio.create_task(http.post(CHAT, json=body))
            await http.get("/healthz")
            service.may_start.set()
            refused = await asking
        assert refused.status_code == 503
        assert "cache.db" not in refused.text
    assert "cache.db" in str(failures)


class HeldBack(Service):
    """A service that starts when it may."""

    def __init__(self, settings):
        super().__init__(settings)
        self.may_start = threading.Event()

    async def start(self):
        await asyncio.to_thread(self.may_start.wait)
        await super().start()


def until_nobody_new_gets_in(url):
    with suppress(httpx.ConnectError):
        while True:
            httpx.get(f"{url}/healthz")


async def test_asked_to_stop_it_finishes_what_it_began(tmp_path):
    with running(tmp_path, SETTINGS) as before:
        asker = before.asker()
        stale = before.asker()
        await asyncio.to_thread(stale.ask)
        before.clock.passes(120)
        with before.gate.shut():
            asking = asyncio.create_task(asker.ask_all(asker.body(), asker.body(PARCEL, stream=True)))
            await before.waits_for(lambda: before.waiting == 2)
            assert await asyncio.to_thread(stale.status) == "hit; ttl=-20; detail=exact-stale"
            stopping = asyncio.create_task(asyncio.to_thread(before.stop))
            await asyncio.to_thread(until_nobody_new_gets_in, before.url)
            before.gate.open()
        plain, streamed = await asking
        await stopping
        assert cache_status(plain) == "fwd=miss; fwd-status=200; stored"
        assert ended(streamed)
        assert before.provider.calls["total"] == 4
    with running(tmp_path, SETTINGS, clock=before.clock) as after:
        again = after.asker(aside=asker.aside)
        assert text_of(again.ask()) == text_of(plain)
        assert text_of(again.ask(PARCEL)) == text_of(streamed)
        assert after.asker(aside=stale.aside).status() == "hit; ttl=100; detail=exact"
        assert after.provider.calls["total"] == 0
