"""Which of a provider's keys a model is asked with. Time is an argument, so nothing here waits."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.breaker import State
from cacheguard.cascade.health import Health
from cacheguard.cascade.keys import DEAD_S, PASSED_BY_S, Blocked, KeyRing, Keys
from cacheguard.failures import AttemptFailed, FailureClass

NOW = 100.0
AUTH, QUOTA, RATE_LIMIT = FailureClass.AUTH, FailureClass.QUOTA, FailureClass.RATE_LIMIT
of_the_key = pytest.mark.parametrize(
    ("failure", "back_s"),
    [
        (AttemptFailed(AUTH, ""), DEAD_S),
        (AttemptFailed(QUOTA, ""), DEAD_S),
        (AttemptFailed(RATE_LIMIT, "", retry_after_s=7), 7),
        (AttemptFailed(RATE_LIMIT, ""), PASSED_BY_S),
    ],
    ids=["auth", "quota", "rate_limit with a hint", "rate_limit"],
)


def health(keys, ring=None):
    return Health(Random(1), ring=ring or KeyRing("host", keys))


def used(tier, times, now=NOW):
    """The keys of so many calls, all of them answered."""
    leaves = [tier.admit("", now) for _ in range(times)]
    for leave in leaves:
        leave.ended(None, now)
    return [leave.key for leave in leaves]


def test_keys_take_turns():
    assert used(health(3), 7) == [0, 1, 2, 0, 1, 2, 0]


@of_the_key
def test_a_failure_stops_the_key_that_was_used_and_no_other(failure, back_s):
    tier = health(3)
    used(tier, 1)
    tier.admit("", NOW).ended(failure, NOW)
    assert tier.has_another_key(NOW)
    assert tier.state(NOW) == (State.CLOSED, "")
    assert tier.vitals(NOW).blocked == (Blocked(1, failure.failure, NOW + back_s),)
    assert used(tier, 4) == [2, 0, 2, 0]
    assert used(tier, 3, NOW + back_s) == [1, 2, 0]


@of_the_key
def test_a_tier_without_a_key_to_use_is_left_alone_until_the_first_is_back(failure, back_s):
    tier = health(2)
    for wait_s in (1, 0):
        tier.admit("", NOW - wait_s / 2).ended(failure, NOW - wait_s / 2)
    assert not tier.has_another_key(NOW)
    assert tier.admit("", NOW) is None
    assert tier.state(NOW) == (State.OPEN, failure.failure)
    assert tier.retry_at("") == NOW - 0.5 + back_s
    assert used(tier, 1, tier.retry_at("")) == [0]


def test_a_lone_key_has_no_other():
    assert not health(1).has_another_key(NOW)


def test_a_dead_key_is_dead_for_every_model_and_a_limited_one_for_its_own():
    ring = KeyRing("host", 2)
    one, other = health(2, ring), health(2, ring)
    one.admit("", NOW).ended(AttemptFailed(AUTH, ""), NOW)
    assert used(other, 2) == [1, 1]
    one.admit("", NOW).ended(AttemptFailed(RATE_LIMIT, "", retry_after_s=60), NOW)
    assert one.admit("", NOW) is None
    assert used(other, 1) == [1]


def test_a_death_is_told_once_by_calls_that_were_under_way_together():
    told = []
    tier = health(2)
    tier.keys.ring.alert = lambda *said: told.append(said)
    leaves = [tier.admit("", NOW) for _ in range(6)]
    for leave in leaves[::2]:
        leave.ended(AttemptFailed(AUTH, ""), NOW)
    assert told == [("host", 0, "auth")]
    leaves[1].ended(AttemptFailed(RATE_LIMIT, "", retry_after_s=60), NOW)
    leaves[3].ended(AttemptFailed(QUOTA, ""), NOW)
    assert told[1:] == [("host", 1, "quota")]
    later = NOW + DEAD_S
    tier.admit("", later).ended(AttemptFailed(AUTH, ""), later)
    assert len(told) == 3


def test_keys_that_somebody_has_seen_to_are_used_at_once():
    tier = health(2)
    for failure in (AUTH, QUOTA):
        tier.admit("", NOW).ended(AttemptFailed(failure, ""), NOW)
    tier.forget()
    assert used(tier, 2) == [0, 1]


@given(
    count=st.integers(1, 4),
    said=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 100), st.floats(0, 100)), max_size=20),
)
def test_no_key_is_used_before_its_time_and_none_that_may_be_is_left_out(count, said):
    keys, now = Keys(KeyRing("host", count)), NOW
    for key, is_dead, wait_s, pause_s in said:
        if is_dead:
            keys.ring.die(key % count, "auth", now)
        else:
            keys.limit(key % count, "rate_limit", wait_s, now)
        now += pause_s
        live = {key for key in range(count) if keys.until(key) <= now}
        assert {blocked.key for blocked in keys.blocked(now)} == set(range(count)) - live
        assert {keys.take(now) for _ in range(count)} == (live or {None})
        assert (keys.retry_at() <= now) is bool(live)
