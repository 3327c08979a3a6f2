"""A request that came before, to the byte, is answered in front of the corridor as the corridor would answer it."""

from __future__ import annotations

import pytest
from services import PLACES, cache_status, text_of

SETTINGS = (
    PLACES
    + """
auth:
  keys:
  - {key: key-of-ann, tenant: ann, admin: true}
  - {key: key-of-bob, tenant: bob}
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default:
    tiers: [strong]
    cache: {ttl_s: 100, stale_while_revalidate_s: 50, stale_if_error_s: 1000, context: chain}
  popular: {tiers: [strong], cache: {ttl_s: 100, refresh_ahead_hits: 1}}
"""
)
OWN = {"date", "x-request-id"}


@pytest.fixture
def asker(service):
    service.behaves()
    return service.asker(key="key-of-ann")


@pytest.fixture
def lane(service, monkeypatch):
    """How many requests were answered in front of the corridor."""
    corridor = service.service.corridor
    found = []

    def repeated(*args):
        reply = type(corridor).repeated(corridor, *args)
        found.extend([reply] if reply else [])
        return reply

    monkeypatch.setattr(corridor, "repeated", repeated)
    return found


@pytest.fixture
def regular(asker, lane):
    """Whoever has asked the same twice, and so is answered in front of the corridor from now on."""
    asker.ask()
    asker.ask()
    assert not lane
    return asker


def test_it_says_what_the_corridor_says(asker, lane):
    asker.ask()
    walked, driven = asker.ask(), asker.ask()
    assert len(lane) == 1
    assert {**driven.headers, **dict.fromkeys(OWN)} == {**walked.headers, **dict.fromkeys(OWN)}
    assert {**driven.json(), "id": ""} == {**walked.json(), "id": ""}
    assert driven.json()["id"] != walked.json()["id"]


def test_its_way_is_traced_and_counted(service, asker, regular, lane):
    before = service.metric("cacheguard_answers_total", route="default", outcome="hit-exact")
    said = regular.ask()
    assert lane
    found = service.service.telemetry.traces.find(said.headers["x-request-id"]).as_json()
    assert (found["outcome"], found["completion_id"]) == ("hit-exact", said.json()["id"])
    assert [step["name"] for step in found["steps"]] == ["exact", "decide"]
    assert service.metric("cacheguard_answers_total", route="default", outcome="hit-exact") == before + 1


@pytest.mark.parametrize(
    ("age_s", "directives", "expected"),
    [
        (60, "max-age=60", "hit; ttl=40"),
        (60, "max-age=59", "fwd=stale"),
        (60, "no-cache", "fwd=request"),
        (60, "only-if-cached", "hit; ttl=40"),
        (120, None, "hit; ttl=-20; detail=exact-stale"),
        (160, None, "fwd=stale"),
    ],
)
def test_an_answers_age_counts(service, regular, age_s, directives, expected):
    service.clock.passes(age_s)
    assert regular.status(cache_control=directives).startswith(expected)


def test_an_answer_called_wrong_is_not_given_again(provider, regular):
    provider.play({"text": "Another."})
    regular.feedback(regular.ask(), "wrong")
    assert text_of(regular.ask()) == "Another."


def test_what_was_removed_is_not_given_again(regular):
    entry = regular.ask().headers["x-cacheguard-entry"]
    assert regular.delete(f"/admin/api/entries/{entry}").status_code == 204
    assert regular.status().startswith("fwd=miss")


def test_a_refreshed_answer_is_given_at_once(provider, regular):
    provider.play({"text": "Newer."})
    assert text_of(regular.ask(cache_control="no-cache")) == "Newer."
    assert text_of(regular.ask()) == "Newer."


def test_the_same_bytes_from_another_tenant_are_another_request(service, regular):
    bob = service.asker(key="key-of-bob", aside=regular.aside)
    assert bob.status().startswith("fwd=miss")


def test_who_wants_a_stream_gets_one(asker, lane):
    for _ in range(3):
        assert asker.ask(stream=True).headers["content-type"].startswith("text/event-stream")
    assert not lane


def test_hits_of_answers_that_are_refreshed_ahead_are_counted_in_the_corridor(asker, lane):
    for _ in range(3):
        assert cache_status(asker.ask(model="popular"))
    assert not lane


def test_a_later_turn_that_had_a_first_turns_answer_looks_at_its_own_history_first(asker, lane):
    asker.ask()
    chat = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello, what can I do for you?"},
        {"role": "user", "content": "How do I raise my card limit?"},
    ]
    assert [asker.status(chat) for _ in range(3)] == ["hit; ttl=100; detail=exact"] * 3
    assert not lane
