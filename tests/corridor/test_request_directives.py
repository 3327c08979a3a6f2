"""Cache-Control on a request (RFC 9111, 5.2.1): it tightens what the route allows, and never loosens it."""

from __future__ import annotations

import asyncio

import pytest
from services import LIMIT_AGAIN, PLACES, cache_status, text_of

SETTINGS = (
    PLACES
    + """
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong], cache: {ttl_s: 100, stale_while_revalidate_s: 50, stale_if_error_s: 1000}}
"""
)


@pytest.fixture
def aged(service, asker):
    """An asker whose question was answered so many seconds ago."""

    def age(seconds):
        asker.ask()
        service.clock.passes(seconds)
        return asker

    return age


@pytest.mark.parametrize(
    ("age_s", "directives", "expected"),
    [
        (60, "max-age=60", "hit; ttl=40"),
        (60, "max-age=59", "fwd=stale"),
        (0, "max-age=0", "hit; ttl=100"),
        (1, "max-age=0", "fwd=stale"),
        (60, "max-age=999999", "hit; ttl=40"),
        (160, "max-age=999999", "fwd=stale"),
        (60, "min-fresh=40", "hit; ttl=40"),
        (60, "min-fresh=41", "fwd=stale"),
        (120, "max-stale=21", "hit; ttl=-20"),
        (120, "max-stale=20", "fwd=stale"),
        (120, "max-stale", "hit; ttl=-20"),
        (160, "max-stale", "fwd=stale"),
        (160, "max-stale=999999", "fwd=stale"),
        (60, "no-cache", "fwd=request"),
        (60, "NO-CACHE", "fwd=request"),
        (60, 'max-age="59"', "fwd=stale"),
        (60, "max-age=59, max-stale=999", "fwd=stale"),
        (60, "no-transform, something-new=3, max-age=60", "hit; ttl=40"),
        (60, ", ,", "hit; ttl=40"),
    ],
)
def test_directives_tighten_the_routes_terms(aged, age_s, directives, expected):
    assert aged(age_s).status(cache_control=directives).startswith(expected)


def test_all_fields_of_a_request_count(aged, service):
    asker = aged(60)
    two = [("Cache-Control", "no-transform"), ("Cache-Control", "no-cache"), *asker.headers.items()]
    response = asker.post("/v1/chat/completions", json=asker.body(), headers=two)
    assert cache_status(response) == "fwd=request; fwd-status=200; stored"


@pytest.mark.parametrize(
    "directives", ["max-age=soon", "max-age=-1", "max-age=", "max-age", "min-fresh=1.5", "max-stale=x", "max-age=²"]
)
def test_a_number_that_is_none_is_refused(asker, provider, directives):
    refused = asker.post(
        "/v1/chat/completions", json=asker.body(), headers={"Cache-Control": directives.encode("latin-1")}
    )
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "Cache-Control"
    assert "takes whole seconds" in refused.json()["error"]["message"]
    assert provider.calls["total"] == 0


def test_no_store_keeps_nothing(asker):
    assert asker.status(cache_control="no-store") == "fwd=miss; fwd-status=200"
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


def test_no_store_is_answered_from_what_is_stored_already(asker):
    asker.ask()
    assert asker.status(cache_control="no-store") == "hit; ttl=100; detail=exact"


async def test_stale_hits_with_no_store_start_no_calls(service, aged, provider):
    asker = aged(120)
    for _ in range(5):
        assert asker.status(LIMIT_AGAIN, cache_control="no-store") == "hit; ttl=-20; detail=semantic-stale"
    await asyncio.to_thread(lambda: asker.status(cache_control="no-cache"))  # goes the same way, behind them
    assert provider.calls["total"] == 2


def test_no_cache_refreshes_the_entry_for_everyone(aged, provider):
    provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    asker = aged(10)
    fresh = asker.ask(cache_control="no-cache")
    assert text_of(fresh) == "New."
    again = asker.ask()
    assert (text_of(again), cache_status(again)) == ("New.", "hit; ttl=100; detail=exact")
    assert again.headers["x-cacheguard-entry"] == fresh.headers["x-cacheguard-entry"]


def test_no_cache_is_answered_by_an_earlier_answer_when_all_tiers_fail(aged, provider):
    asker = aged(10)
    provider.play({"status": 401})
    assert asker.status(cache_control="no-cache") == "hit; ttl=90; detail=exact"


@pytest.mark.parametrize("stream", [False, True])
def test_only_if_cached_never_reaches_a_tier(service, asker, provider, stream):
    missed = asker.ask(cache_control="only-if-cached", stream=stream)
    assert missed.status_code == 504
    assert missed.json()["error"]["code"] == "not_in_cache"
    assert provider.calls["total"] == 0
    asker.ask()
    assert asker.status(cache_control="only-if-cached", stream=stream) == "hit; ttl=100; detail=exact"
    service.clock.passes(151)
    assert asker.ask(cache_control="only-if-cached", stream=stream).status_code == 504
    assert provider.calls["total"] == 1


def test_only_if_cached_holds_for_what_passes_the_cache_by(asker, provider):
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    assert asker.ask(cache_control="only-if-cached", tools=tools).status_code == 504
    assert provider.calls["total"] == 0
