"""The breaker: time is an argument, so nothing here waits."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cacheguard.cascade.breaker import VOTES, Breaker, Permit, State, Terms, Vote
from cacheguard.failures import FailureClass

TERMS = Terms()


def calls(breaker, votes, now=100.0):
    for vote in votes:
        permit = breaker.admit(now)
        if permit is not None:
            breaker.record(permit, vote, now)


@pytest.mark.parametrize(
    ("votes", "opens"),
    [
        ([Vote.TRANSPORT] * 5, True),
        ([Vote.TRANSPORT] * 4, False),  # too few calls to tell
        ([Vote.WELL, Vote.WELL, Vote.WELL, Vote.TRANSPORT, Vote.TRANSPORT, Vote.TRANSPORT], True),  # a half
        ([Vote.WELL] * 6 + [Vote.TRANSPORT] * 4, False),
        ([Vote.WELL] * 2 + [Vote.SLOW] * 3, False),  # slow needs four fifths
        ([Vote.WELL] + [Vote.SLOW] * 4, True),
        ([Vote.WELL] * 3 + [Vote.CONTENT] * 3, True),
    ],
)
def test_it_opens_at_its_shares_and_not_before(votes, opens):
    breaker = Breaker(TERMS, Random(1))
    calls(breaker, votes)
    assert (breaker.state(100.0) is State.OPEN) is opens


def test_a_minute_old_vote_counts_no_more():
    breaker = Breaker(TERMS, Random(1))
    calls(breaker, [Vote.TRANSPORT] * 4, now=0.0)
    calls(breaker, [Vote.WELL, Vote.TRANSPORT], now=61.0)
    assert breaker.state(61.0) is State.CLOSED


def test_as_many_failures_in_a_row_open_it_however_far_apart():
    breaker = Breaker(TERMS, Random(1))
    for now in range(0, 5 * 3600, 3600):
        assert breaker.state(now) is State.CLOSED
        calls(breaker, [Vote.SLOW], now=now)
    assert breaker.state(now) is State.OPEN


def test_half_open_lets_one_probe_through_and_two_successes_close_it():
    breaker = Breaker(TERMS, Random(1))
    calls(breaker, [Vote.TRANSPORT] * 5)
    now = breaker.retry_at()
    for _ in range(2):
        assert breaker.state(now) is State.HALF_OPEN
        probe = breaker.admit(now)
        assert probe == Permit(is_probe=True)
        assert breaker.admit(now) is None
        breaker.record(probe, Vote.WELL, now)
    assert breaker.state(now) is State.CLOSED
    assert not breaker.reason


def test_a_failed_probe_doubles_the_break_up_to_five_minutes():
    breaker, now, breaks = Breaker(TERMS, Random(1)), 100.0, []
    calls(breaker, [Vote.TRANSPORT] * 5, now)
    for _ in range(10):
        breaks.append(breaker.retry_at() - now)
        now = breaker.retry_at()
        breaker.record(breaker.admit(now), Vote.TRANSPORT, now)
    assert all(later > earlier for earlier, later in pairwise(breaks[:6]))
    assert max(breaks) <= TERMS.longest_break_s * 1.2


def test_a_probe_that_says_nothing_gives_its_seat_back():
    breaker = Breaker(TERMS, Random(1))
    calls(breaker, [Vote.TRANSPORT] * 5)
    now = breaker.retry_at()
    breaker.give_back(breaker.admit(now))
    assert breaker.admit(now) == Permit(is_probe=True)


def test_a_straggler_from_before_the_break_neither_closes_nor_prolongs_it():
    breaker = Breaker(TERMS, Random(1))
    straggler = breaker.admit(100.0)
    calls(breaker, [Vote.TRANSPORT] * 5)
    retry_at = breaker.retry_at()
    breaker.record(straggler, Vote.TRANSPORT, 101.0)
    breaker.record(straggler, Vote.WELL, 101.0)
    assert breaker.retry_at() == retry_at
    assert breaker.state(101.0) is State.OPEN


def in_a_long_break():
    """A breaker half a minute into a break of over two."""
    breaker, now = Breaker(TERMS, Random(1)), 100.0
    calls(breaker, [Vote.TRANSPORT] * 5, now)
    for _ in range(5):
        now = breaker.retry_at()
        breaker.record(breaker.admit(now), Vote.TRANSPORT, now)
    return breaker, now + 30


def test_a_look_that_finds_it_well_ends_the_break_and_one_more_success_closes_it():
    breaker, now = in_a_long_break()
    assert breaker.admit(now) is None
    breaker.record(breaker.admit(now, early=True), Vote.WELL, now)
    assert breaker.state(now) is State.HALF_OPEN
    breaker.record(breaker.admit(now), Vote.WELL, now)
    assert breaker.state(now) is State.CLOSED


def test_the_next_break_after_a_look_that_was_mistaken_is_twice_as_long_as_before():
    breaker, now = in_a_long_break()
    begun_s = breaker.retry_at() - now + 30
    breaker.record(breaker.admit(now, early=True), Vote.WELL, now)
    breaker.record(breaker.admit(now), Vote.TRANSPORT, now)
    assert breaker.retry_at() - now > begun_s


def test_a_look_that_lasts_beyond_the_break_is_the_probe_that_it_kept_waiting():
    breaker, now = in_a_long_break()
    look, over = breaker.admit(now, early=True), breaker.retry_at()
    assert breaker.admit(over) is None
    breaker.record(look, Vote.TRANSPORT, over)
    assert breaker.state(over) is State.OPEN


@given(waits=st.lists(st.floats(0, 20)), vote=st.sampled_from([vote for vote in Vote if vote is not Vote.WELL]))
def test_looks_are_as_far_apart_as_a_first_break_is_long_and_their_failures_do_not_prolong_it(waits, vote):
    breaker, now = in_a_long_break()
    back, reason, looks = breaker.retry_at(), breaker.reason, []
    for wait_s in waits:
        now += wait_s
        if now < back and (look := breaker.admit(now, early=True)):
            looks.append(now)
            breaker.record(look, vote, now)
        assert (breaker.retry_at(), breaker.reason) == (back, reason)
    assert all(later >= earlier + TERMS.first_break_s for earlier, later in pairwise(looks))


@pytest.mark.parametrize("failure", [c for c in FailureClass if c not in VOTES])
def test_what_is_not_an_illness_has_no_vote(failure):
    assert failure in {
        FailureClass.RATE_LIMIT,
        FailureClass.QUOTA,
        FailureClass.AUTH,
        FailureClass.BAD_REQUEST,
        FailureClass.CONTEXT_LENGTH,
        FailureClass.CONTENT_FILTER,
        FailureClass.REFUSAL,
        FailureClass.REJECTED,
    }


class Sequences(RuleBasedStateMachine):
    """Any order of calls, votes and pauses."""

    def __init__(self):
        super().__init__()
        self.breaker = Breaker(TERMS, Random(1))
        self.now = 0.0
        self.under_way: list[Permit] = []

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def call(self):
        permit = self.breaker.admit(self.now)
        match self.breaker.state(self.now):
            case State.CLOSED:
                assert permit == Permit(is_probe=False)
            case State.OPEN:
                assert permit is None
            case State.HALF_OPEN:
                assert permit in {None, Permit(is_probe=True)}
        if permit is not None:
            self.under_way.append(permit)

    @rule()
    def look(self):
        may_look = self.breaker.look_at() <= self.now
        permit = self.breaker.admit(self.now, early=True)
        assert (permit is not None) == may_look
        if permit is not None:
            self.under_way.append(permit)

    @precondition(lambda self: self.under_way)
    @rule(vote=st.sampled_from(Vote), place=st.integers(0, 10))
    def end(self, vote, place):
        permit = self.under_way.pop(place % len(self.under_way))
        self.breaker.record(permit, vote, self.now)

    @precondition(lambda self: self.under_way)
    @rule(place=st.integers(0, 10))
    def abandon(self, place):
        self.breaker.give_back(self.under_way.pop(place % len(self.under_way)))

    @invariant()
    def at_most_one_probe_is_under_way(self):
        assert sum(permit.is_probe for permit in self.under_way) <= 1

    @invariant()
    def it_says_when_to_come_back(self):
        is_open = self.breaker.state(self.now) is State.OPEN
        assert is_open == (self.breaker.retry_at() > self.now)

    @invariant()
    def a_look_is_never_later_than_the_next_call(self):
        is_probing = any(permit.is_probe for permit in self.under_way)
        assert self.breaker.look_at() <= (inf if is_probing else self.breaker.retry_at())

    @invariant()
    def nothing_is_shut_for_ever(self):
        later = self.now + TERMS.longest_break_s * 1.2
        assert self.breaker.state(later) is not State.OPEN


TestSequences = Sequences.TestCase
