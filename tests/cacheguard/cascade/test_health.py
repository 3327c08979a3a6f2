"""How well a tier is, by what its calls came to. Time is an argument, so nothing here waits."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.breaker import State, Vote
from cacheguard.cascade.health import SCHEMAS, Health
from cacheguard.cascade.keys import DEAD_S, Blocked, KeyRing
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.chat_shape import write_completion

NOW = 100.0
CUT = write_completion("half an", "model", NOW)


def health(ring=None):
    return Health(Random(1), ring=ring)


def calls(health, failure, times=5, schema="", now=NOW):
    for _ in range(times):
        leave = health.admit(schema, now)
        if leave is not None:
            leave.ended(failure, now)


def failed(failure, **said):
    return AttemptFailed(failure, "", **said)


@pytest.mark.parametrize(
    ("failure", "is_left_alone"),
    [
        (failed(FailureClass.TRANSPORT), True),
        (failed(FailureClass.SLOW), True),
        (failed(FailureClass.SCHEMA), True),
        (failed(FailureClass.EMPTY), True),
        (failed(FailureClass.TRUNCATED), True),
        (failed(FailureClass.TRUNCATED, completion=CUT), False),  # the end marker came: the model's limit, no illness
        (failed(FailureClass.QUOTA), True),
        (failed(FailureClass.AUTH), True),
        (failed(FailureClass.RATE_LIMIT, retry_after_s=7), True),
        (failed(FailureClass.RATE_LIMIT), False),
        (failed(FailureClass.REFUSAL), False),
        (failed(FailureClass.REJECTED), False),
        (failed(FailureClass.CONTENT_FILTER), False),
        (failed(FailureClass.CONTEXT_LENGTH), False),
        (failed(FailureClass.BAD_REQUEST), False),
        (None, False),
    ],
    ids=lambda value: str(getattr(value, "failure", value)),
)
def test_a_tier_is_left_alone_after_what_its_class_says(failure, is_left_alone):
    tier = health()
    calls(tier, failure)
    assert (tier.admit("", NOW) is None) is is_left_alone


def test_a_tier_that_breaks_one_schema_goes_on_answering_without_it():
    tier = health()
    calls(tier, failed(FailureClass.SCHEMA), schema="invoice")
    assert tier.admit("invoice", NOW) is None
    assert tier.admit("", NOW) is not None
    assert tier.state(NOW)[0] is State.CLOSED


def test_a_dead_key_stops_every_model_that_is_asked_with_it():
    ring = KeyRing()
    one, other = health(ring), health(ring)
    calls(one, failed(FailureClass.AUTH), times=1)
    assert other.admit("", NOW) is None
    assert other.state(NOW) == (State.OPEN, "auth")
    assert other.admit("", NOW + DEAD_S) is not None


@given(hints=st.lists(st.floats(0, 1e6), min_size=1))
def test_a_rate_limit_is_never_shortened(hints):
    tier = health()
    leaves = [tier.admit("", NOW) for _ in hints]
    for leave, hint in zip(leaves, hints, strict=True):
        before = tier.retry_at("")
        leave.ended(failed(FailureClass.RATE_LIMIT, retry_after_s=hint), NOW)
        assert tier.retry_at("") >= max(before, NOW + hint)


def test_in_a_break_it_may_be_looked_at_by_whoever_has_nobody_else_to_ask():
    tier = health()
    calls(tier, failed(FailureClass.TRANSPORT))
    calls(tier, failed(FailureClass.TRANSPORT), now=tier.retry_at(""))
    later = tier.look_at("")
    assert later < tier.retry_at("")
    assert tier.admit("", later) is None
    tier.admit("", later, early=True).ended(None, later)
    assert tier.state(later)[0] is State.HALF_OPEN


@pytest.mark.parametrize("schema", ["", "invoice"])
def test_a_break_for_one_schema_is_looked_into_by_those_who_want_it(schema):
    tier = health()
    calls(tier, failed(FailureClass.SCHEMA), schema=schema)
    later = tier.look_at(schema)
    assert NOW < later <= tier.retry_at(schema)
    tier.admit(schema, later, early=True).ended(None, later)
    assert tier.admit(schema, later) is not None


@given(
    of_the_key=st.sampled_from(
        [failed(FailureClass.RATE_LIMIT, retry_after_s=60), failed(FailureClass.QUOTA), failed(FailureClass.AUTH)]
    ),
    others=st.lists(st.sampled_from([failed(FailureClass.TRANSPORT), failed(FailureClass.EMPTY)]), max_size=8),
    wait_s=st.floats(0, 600),
)
def test_a_provider_that_asked_to_be_left_alone_is_never_looked_at_early(of_the_key, others, wait_s):
    tier = health()
    failures = [of_the_key, *others]
    for leave, failure in [(tier.admit("", NOW), failure) for failure in failures]:
        leave.ended(failure, NOW)
    later = NOW + wait_s
    may_look = tier.look_at("") <= later
    assert (tier.admit("", later, early=True) is not None) == may_look
    assert not may_look or tier.keys.retry_at() <= later


def test_an_abandoned_probe_gives_its_seat_back():
    tier = health()
    calls(tier, failed(FailureClass.TRANSPORT))
    later = tier.retry_at("")
    tier.admit("", later).abandoned()
    assert tier.admit("", later) is not None


def test_a_probe_refused_for_its_schema_leaves_the_other_seat_free():
    tier = health()
    calls(tier, failed(FailureClass.SCHEMA), schema="invoice")
    later = tier.retry_at("invoice")
    calls(tier, failed(FailureClass.TRANSPORT), now=later)
    probe = tier.admit("invoice", tier.retry_at(""))
    assert probe is not None
    assert tier.admit("", tier.retry_at("")) is None
    probe.abandoned()
    assert tier.admit("", tier.retry_at("")) is not None


@pytest.mark.parametrize("failure", [FailureClass.TRANSPORT, FailureClass.AUTH, FailureClass.SCHEMA])
def test_a_tier_that_somebody_has_seen_to_is_asked_at_once(failure):
    tier = health()
    calls(tier, failed(failure))
    tier.forget()
    assert tier.admit("", NOW) is not None


def test_only_the_first_word_about_a_call_counts():
    tier = health()
    leaves = [tier.admit("", NOW) for _ in range(5)]
    for leave in leaves:
        leave.ended(None, NOW)
        leave.ended(failed(FailureClass.TRANSPORT), NOW)
        leave.abandoned()
    assert tier.state(NOW) == (State.CLOSED, "")


def test_clients_that_invent_schemas_fill_no_memory():
    tier = health()
    for number in range(SCHEMAS * 3):
        calls(tier, None, times=1, schema=str(number))
    assert len(tier._answers) == SCHEMAS


def test_its_vitals_tell_calls_by_what_they_said():
    tier = health()
    calls(tier, None, times=6)
    calls(tier, failed(FailureClass.TRANSPORT), times=2)
    calls(tier, failed(FailureClass.SLOW), times=1)
    calls(tier, failed(FailureClass.SCHEMA), times=3, schema="invoice")
    calls(tier, failed(FailureClass.REFUSAL), times=1)
    vitals = tier.vitals(NOW)
    assert vitals.calls == {Vote.WELL: 6, Vote.TRANSPORT: 2, Vote.SLOW: 1, Vote.CONTENT: 3}
    assert vitals.schemas == {State.CLOSED: 2}
    assert (vitals.state, vitals.reason, vitals.blocked) == (State.CLOSED, "", ())
    assert tier.vitals(NOW + 61).calls == {}


def test_its_vitals_tell_why_it_is_left_alone_and_until_when():
    tier = health()
    calls(tier, failed(FailureClass.RATE_LIMIT, retry_after_s=500), times=1)
    calls(tier, failed(FailureClass.QUOTA), times=1)
    assert tier.vitals(NOW).blocked == (Blocked(0, "rate_limit", NOW + 500),)
    other = health()
    calls(other, failed(FailureClass.TRANSPORT))
    vitals = other.vitals(NOW)
    assert (vitals.state, vitals.reason) == (State.OPEN, "transport: 5 of 5 calls")
    assert NOW < vitals.retry_at == other.retry_at("")
    assert other.vitals(vitals.retry_at).state is State.HALF_OPEN


def test_a_tier_whose_plain_answers_are_no_use_is_open_as_a_whole():
    tier = health()
    calls(tier, failed(FailureClass.EMPTY))
    assert tier.vitals(NOW).state is State.OPEN
    assert tier.vitals(NOW).reason == "content: 5 of 5 calls"
