"""How old an answer may be: time to live, stale while revalidate, stale if error. The clock is the test's."""

from __future__ import annotations

import pytest
from services import LIMIT, LIMIT_AGAIN, PLACES, cache_status, text_of

SETTINGS = (
    PLACES
    + """
tiers:
  strong: {provider: host, model: strong-model}
  sorry: {template: "Please come back later."}
routes:
  default: {tiers: [strong], cache: &terms {ttl_s: 100, stale_while_revalidate_s: 50, stale_if_error_s: 1000}}
  apology: {tiers: [strong, sorry], cache: *terms}
  strict: {tiers: [strong], cache: {ttl_s: 100, stale_while_revalidate_s: 0, stale_if_error_s: 0}}
  reading: {tiers: [strong], cache: {mode: read-only}}
  writing: {tiers: [strong], cache: {mode: write-only}}
  off: {tiers: [strong], cache: {mode: "off"}}
  popular: {tiers: [strong], cache: {ttl_s: 100, refresh_ahead_hits: 3}}
"""
)
DOWN = {"text": ""}  # a failure that is not tried again


def on_route(service, route):
    service.behaves()
    return service.asker(route=route)


async def settled(service):
    """Wait for refreshes behind the clients' backs."""
    flights = service.service.corridor._upstream._flights
    await service.waits_for(lambda: not flights._by_key)


async def test_within_its_time_an_answer_is_given_and_past_it_refreshed_once_behind_the_back(service, asker, provider):
    provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    entry = asker.ask().headers["x-cacheguard-entry"]
    service.clock.passes(99)
    assert cache_status(asker.ask()) == "hit; ttl=1; detail=exact"
    service.clock.passes(11)
    stale = asker.ask()
    assert (text_of(stale), cache_status(stale), stale.headers["age"]) == (
        "Old.",
        "hit; ttl=-10; detail=exact-stale",
        "110",
    )
    await settled(service)
    fresh = asker.ask()
    assert (text_of(fresh), cache_status(fresh), fresh.headers["age"]) == ("New.", "hit; ttl=100; detail=exact", "0")
    assert fresh.headers["x-cacheguard-entry"] == entry
    assert provider.calls["total"] == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stale_answer_near_the_question_is_refreshed_in_its_own_words(service, asker, provider, stream):
    entry = asker.ask().headers["x-cacheguard-entry"]
    service.clock.passes(120)
    stale = asker.ask(LIMIT_AGAIN, stream=stream)
    assert cache_status(stale) == "hit; ttl=-20; detail=semantic-stale"
    await settled(service)
    assert [asked["messages"][-1]["content"] for asked in provider.calls["bodies"]] == [LIMIT, LIMIT]
    assert asker.status(LIMIT_AGAIN) == "hit; ttl=100; detail=semantic"
    assert asker.ask().headers["x-cacheguard-entry"] == entry


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
async def test_fifty_stale_hits_at_once_are_one_refresh(service, asker, provider, prompt):
    asker.ask()
    service.clock.passes(120)
    with service.gate.shut():
        responses = await asker.ask_all(*[asker.body(prompt)] * 50)
    await settled(service)
    assert all("-stale" in cache_status(response) for response in responses)
    assert provider.calls["total"] == 2


async def test_a_refresh_that_fails_leaves_the_stale_answer(service, asker, provider):
    asker.ask()
    service.clock.passes(120)
    provider.play(DOWN)
    for calls in (1, 2):
        assert asker.status() == "hit; ttl=-20; detail=exact-stale"
        await settled(service)
        assert provider.calls["total"] == calls


@pytest.mark.parametrize(
    "then",
    [{"truncate_after_tokens": 1}, {"text": ""}, {"refusal": "I can't help with that."}],
    ids=lambda then: next(iter(then)),
)
async def test_a_refresh_that_may_not_be_kept_leaves_the_stale_answer(service, asker, provider, then):
    said = text_of(asker.ask())
    service.clock.passes(120)
    provider.play(then)
    asker.ask()
    await settled(service)
    again = asker.ask()
    assert (text_of(again), cache_status(again)) == (said, "hit; ttl=-20; detail=exact-stale")


@pytest.mark.parametrize("stream", [False, True])
def test_past_the_stale_time_the_tiers_are_asked_and_the_entry_keeps_its_id(service, asker, provider, stream):
    entry = asker.ask().headers["x-cacheguard-entry"]
    service.clock.passes(151)
    expected = "fwd=stale; fwd-status=200" if stream else "fwd=stale; fwd-status=200; stored"
    assert cache_status(asker.ask(stream=stream)) == expected
    again = asker.ask()
    assert cache_status(again) == "hit; ttl=100; detail=exact"
    assert again.headers["x-cacheguard-entry"] == entry
    assert provider.calls["total"] == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
def test_when_all_tiers_fail_an_old_answer_is_given(service, asker, provider, prompt, stream):
    said = text_of(asker.ask())
    service.clock.passes(1000)
    provider.play(DOWN)
    stale = asker.ask(prompt, stream=stream)
    assert text_of(stale) == said
    assert cache_status(stale).startswith("hit; ttl=-900")
    assert stale.headers["age"] == "1000"


def test_past_the_last_bound_the_client_is_told_to_come_back(service, asker, provider):
    asker.ask()
    service.clock.passes(1101)
    provider.play(DOWN)
    failed = asker.ask()
    assert failed.status_code == 503
    assert int(failed.headers["retry-after"]) >= 1


def test_an_answer_past_every_bound_is_never_given_again(service, asker, provider):
    provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    asker.ask()
    service.clock.passes(10_000)
    fresh = asker.ask()
    assert (text_of(fresh), cache_status(fresh)) == ("New.", "fwd=stale; fwd-status=200; stored")
    assert provider.calls["total"] == 2


def test_a_route_may_rule_out_stale_answers(service):
    asker = on_route(service, "strict")
    asker.ask()
    service.clock.passes(100)
    service.provider.play(DOWN)
    assert asker.ask().status_code == 503


def test_hits_never_renew_an_answers_age(service, asker):
    asker.ask()
    for age in range(10, 100, 10):
        service.clock.passes(10)
        assert asker.ask(LIMIT_AGAIN).headers["age"] == asker.ask().headers["age"] == str(age)


@pytest.mark.parametrize("stream", [False, True])
def test_a_template_is_marked_and_never_stored(service, stream):
    asker = on_route(service, "apology")
    service.provider.play(DOWN)
    sorry = asker.ask(stream=stream)
    assert (text_of(sorry), cache_status(sorry)) == ("Please come back later.", "fwd=miss; detail=template")
    assert sorry.headers["x-cacheguard-tier"] == "sorry"
    service.provider.play()
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


@pytest.mark.parametrize("stream", [False, True])
def test_an_old_answer_comes_before_a_template(service, stream):
    asker = on_route(service, "apology")
    said = text_of(asker.ask())
    service.clock.passes(500)
    service.provider.play(DOWN)
    stale = asker.ask(stream=stream)
    assert (text_of(stale), cache_status(stale)) == (said, "hit; ttl=-400; detail=exact-stale")
    service.clock.passes(601)
    assert cache_status(asker.ask(stream=stream)) == "fwd=stale; detail=template"


def test_a_clock_that_goes_back_makes_no_answer_negative_years_old(service, asker):
    asker.ask()
    service.clock.passes(-10)
    assert asker.ask().headers["age"] == "0"
    service.clock.passes(10)


def test_a_route_that_only_reads_stores_nothing(service):
    asker = on_route(service, "reading")
    assert [asker.status() for _ in range(2)] == ["fwd=miss; fwd-status=200"] * 2


def test_a_route_that_only_writes_gives_nothing_back(service):
    asker = on_route(service, "writing")
    assert [asker.status() for _ in range(2)] == ["fwd=miss; fwd-status=200; stored"] * 2


def test_a_route_whose_cache_is_off_passes_it_by(service):
    asker = on_route(service, "off")
    assert [asker.status() for _ in range(2)] == ["fwd=bypass; fwd-status=200; detail=off"] * 2


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
async def test_a_popular_answer_is_fetched_anew_once_before_it_is_stale(service, provider, prompt):
    asker = on_route(service, "popular")
    provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    asker.ask()
    assert [text_of(asker.ask(prompt)) for _ in range(3)] == ["Old."] * 3
    service.clock.passes(89)
    asker.ask(prompt)
    await settled(service)
    assert provider.calls["total"] == 1
    service.clock.passes(2)
    with service.gate.shut():
        answers = await asker.ask_all(*[asker.body(prompt)] * 20)
    await settled(service)
    assert {text_of(answer) for answer in answers} == {"Old."}
    assert (text_of(asker.ask(prompt)), provider.calls["total"]) == ("New.", 2)
    assert [asked["messages"][-1]["content"] for asked in provider.calls["bodies"]] == [LIMIT, LIMIT]


async def test_an_answer_that_nobody_wants_is_not_fetched_ahead_and_a_failed_one_not_twice(service, provider):
    asker = on_route(service, "popular")
    asker.ask()
    service.clock.passes(95)
    asker.ask()
    await settled(service)
    assert provider.calls["total"] == 1
    provider.play(DOWN)
    for _ in range(5):
        asker.ask()
        await settled(service)
    assert provider.calls["total"] == 1
    assert asker.status() == "hit; ttl=5; detail=exact"
