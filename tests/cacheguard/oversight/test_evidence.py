"""Whether a promise is broken: noticed soon after a change, and not cried out while it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.oversight.evidence import ALARM, NONE, evidence

PROMISES = pytest.mark.parametrize("max_wrong", [0.01, 0.02, 0.05])


def hits(seed, number, share):
    """Of each hit, whether it is wrong."""
    return np.random.default_rng(seed).random(number) < share


def noticed_after(wrong, max_wrong):
    """So many hits were looked at when the promise was found broken; None: it never was."""
    return next((n for n in range(1, len(wrong) + 1) if evidence(wrong[:n], max_wrong).breaks), None)


def test_without_a_hit_there_is_no_evidence():
    assert evidence([], 0.01) == NONE


@PROMISES
def test_right_hits_alone_are_none(max_wrong):
    assert evidence([False] * 10_000, max_wrong).peak <= 1


@PROMISES
def test_a_single_wrong_hit_breaks_no_promise_but_is_noted(max_wrong):
    found = evidence([False] * 100 + [True], max_wrong)
    assert not found.breaks
    assert found.casts_doubt
    assert not evidence([False] * 100 + [True] + [False] * 100, max_wrong).casts_doubt


@PROMISES
def test_a_route_that_keeps_its_promise_is_left_in_peace(max_wrong):
    """Half as many wrong hits as promised, in 100 runs of 5,000 judged ones: at a sample of 5 %, 100,000 hits each."""
    assert not any(evidence(hits(seed, 5000, max_wrong / 2), max_wrong).breaks for seed in range(100))


@PROMISES
def test_as_many_wrong_hits_as_promised_are_rarely_taken_for_more(max_wrong):
    """On average an alarm comes once in `ALARM` judged hits at most: among 1,000, in a third of all runs at most."""
    alarms = sum(evidence(hits(seed, 1000, max_wrong), max_wrong).breaks for seed in range(100))
    assert alarms <= 100 * 1000 / ALARM


@pytest.mark.parametrize(("share", "within"), [(0.1, 210), (0.2, 80), (0.3, 60), (0.5, 30)])
def test_a_change_of_domain_half_way_is_noticed_soon(share, within):
    """Judged hits after the change, in 95 of 100 runs; promised is 1 %, and kept before."""
    calm = 2000
    delays = []
    for seed in range(100):
        wrong = np.concatenate([hits(seed, calm, 0.005), hits(1000 + seed, within, share)])
        assert not evidence(wrong[:calm], 0.01).breaks
        delays.append(evidence(wrong, 0.01).breaks)
    assert sum(delays) >= 95


def noticed_after_hits(seed, share, calm=500, most=2000):
    """So many hits after a change a promise of 1 % is found broken, where 1 hit of 20 is judged, and all in doubt."""
    chance = np.random.default_rng(seed)
    wrong, found = [], NONE
    for hit in range(calm + most):
        if chance.random() < (1.0 if found.casts_doubt else 0.05):
            wrong.append(chance.random() < (0.005 if hit < calm else share))
            found = evidence(wrong, 0.01)
            if found.breaks:
                return hit - calm
    return most


@pytest.mark.parametrize(("share", "within"), [(0.05, 550), (0.1, 250), (0.3, 80)])
def test_a_change_is_noticed_soon_where_one_hit_of_twenty_is_judged(share, within):
    """In half of 100 runs, and in none before the change."""
    delays = [noticed_after_hits(seed, share) for seed in range(100)]
    assert min(delays) >= 0
    assert np.median(delays) <= within


def test_a_long_good_time_does_not_buy_a_bad_one():
    bad = [True] * 5
    assert evidence([False] * 100_000 + bad, 0.01).breaks
    assert noticed_after([False] * 300 + bad, 0.01) == 304


@given(st.lists(st.booleans(), max_size=200), st.floats(0.001, 0.4))
def test_what_was_broken_once_stays_broken(wrong, max_wrong):
    peaks = [evidence(wrong[:n], max_wrong).peak for n in range(len(wrong) + 1)]
    assert peaks == sorted(peaks)
    assert all(np.isfinite(peaks))
