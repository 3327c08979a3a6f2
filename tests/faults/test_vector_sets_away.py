"""Neighbours out of a Redis with vector sets, which comes and goes: what is answered is never an error."""

from __future__ import annotations

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, SETTINGS, running

STORED, EXACT = "fwd=miss; fwd-status=200; stored", "hit; ttl=86400; detail=exact"
SEMANTIC = "hit; ttl=86400; detail=semantic"
BROKEN = "detail=cache-broken"
PARCEL_AGAIN = "How long does the parcel take?"


def on(redis):
    return SETTINGS.replace('folder: "${FOLDER}/index"', f'backend: redis, url: "{redis.url}"')


@pytest.fixture
def service(redis_server, tmp_path):
    with running(tmp_path, on(redis_server)) as service:
        yield service


def found_again(asker, prompt):
    """Its Cache-Status once it is found in the cache."""
    while (response := asker.ask(prompt, cache_control="only-if-cached")).status_code == 504:
        pass
    return response.headers["cache-status"].removeprefix("cacheguard; ")


def test_what_one_replica_wrote_another_finds(service, redis_server, tmp_path):
    one = service.asker()
    assert [one.status(LIMIT), one.status(LIMIT_AGAIN)] == [STORED, SEMANTIC]
    with running(tmp_path, on(redis_server)) as other:
        same = other.asker(aside=one.aside)
        assert same.status(LIMIT_AGAIN) == SEMANTIC
        assert same.status(PARCEL) == STORED
    assert one.status(PARCEL_AGAIN) == SEMANTIC


def test_answers_and_vectors_may_lie_in_one_redis(redis_server, tmp_path):
    settings = SETTINGS.replace('folder: "${FOLDER}/index"', "backend: redis")
    settings = settings.replace("sqlite:///${FOLDER}/cache.db", redis_server.url)
    with running(tmp_path, settings) as one, running(tmp_path, settings) as other:
        asker = one.asker()
        same = other.asker(aside=asker.aside)
        assert [asker.status(LIMIT), same.status(LIMIT_AGAIN)] == [STORED, SEMANTIC]
        assert [same.status(PARCEL), asker.status(PARCEL_AGAIN)] == [STORED, SEMANTIC]
        redis_server.kill()
        assert [each.ask(prompt).status_code for each in (asker, same) for prompt in (LIMIT, LIMIT_AGAIN)] == [200] * 4


def test_while_it_is_away_exact_matches_and_tiers_answer_and_afterwards_all_is_found(service, redis_server):
    asker = service.asker()
    assert [asker.status(LIMIT), asker.status(LIMIT_AGAIN)] == [STORED, SEMANTIC]
    redis_server.kill()
    assert [asker.status(LIMIT), asker.status(PARCEL)] == [EXACT, f"{STORED}; {BROKEN}"]
    assert asker.ask(LIMIT_AGAIN, cache_control="only-if-cached").status_code == 504
    assert service.metric("cacheguard_cache_broken_total", step="recall") > 0
    redis_server.start()
    assert found_again(asker, LIMIT_AGAIN) == SEMANTIC
    assert found_again(asker, PARCEL_AGAIN) == SEMANTIC


def test_a_service_starts_while_it_is_away(redis_server, tmp_path):
    redis_server.kill()
    with running(tmp_path, on(redis_server)) as service:
        asker = service.asker()
        assert asker.status(LIMIT) == f"{STORED}; {BROKEN}"
        redis_server.start()
        assert found_again(asker, LIMIT_AGAIN) == SEMANTIC
