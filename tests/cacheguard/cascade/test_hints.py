"""Hints of other processes are heeded, bounded, and not told on."""

from __future__ import annotations

from random import Random

import pytest

from cacheguard.cascade.breaker import State
from cacheguard.cascade.health import Health
from cacheguard.cascade.hints import MOST_S, Hint, heed, hints
from cacheguard.cascade.keys import KeyRing
from cacheguard.failures import AttemptFailed, FailureClass


class Model:
    """As much of a tier as hints look at."""

    name = "strong"
    is_template = False

    def __init__(self):
        self.health = Health(Random(1), ring=KeyRing("host", 2))


def failed(tier, failure, now):
    tier.health.admit("", now).ended(AttemptFailed(failure, "no"), now)


def test_a_refused_key_is_told_and_left_alone_elsewhere_for_a_minute_at_most():
    one, other = Model(), Model()
    failed(one, FailureClass.AUTH, 10.0)
    told = list(hints([one], 10.0))
    assert [(hint.tier, hint.key) for hint in told] == [("strong", 0)]
    assert told[0].for_s > MOST_S
    heed({"strong": other}, told, 1_000.0)
    assert other.health.keys.until(0) == 1_000.0 + MOST_S
    assert other.health.admit("", 1_000.0).key == 1


def test_what_was_only_heard_is_not_told_on():
    tier = Model()
    heed({"strong": tier}, [Hint("strong", 0, "auth", 5.0), Hint("strong", None, "", 5.0)], 10.0)
    assert list(hints([tier], 10.0)) == []


@pytest.mark.parametrize("now", [11.0, 16.0])
def test_where_a_tier_fails_elsewhere_one_failure_is_enough_for_as_long_as_it_was_said(now):
    tier = Model()
    heed({"strong": tier}, [Hint("strong", None, "", 5.0)], 10.0)
    assert tier.health.calls(now) is State.CLOSED
    failed(tier, FailureClass.TRANSPORT, now)
    assert tier.health.calls(now) is (State.OPEN if now < 15 else State.CLOSED)


def test_a_tier_that_is_left_alone_is_told_of():
    tier = Model()
    for _ in range(5):
        failed(tier, FailureClass.TRANSPORT, 10.0)
    [(name, key, _, for_s)] = hints([tier], 10.0)
    assert (name, key) == ("strong", None)
    assert for_s > 0


def test_hints_of_tiers_and_keys_that_are_not_known_here_say_nothing():
    tier = Model()
    heed({"strong": tier}, [Hint("other", 0, "auth", 5.0), Hint("strong", 7, "auth", 5.0)], 10.0)
    assert tier.health.keys.retry_at() <= 10.0
