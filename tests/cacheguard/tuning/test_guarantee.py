"""The promise, against known tables and simulated labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.tuning.guarantee import (
    THRESHOLDS,
    Point,
    at_most,
    choose,
    hits_needed,
    labels_needed,
    most_provable,
    upper_bound,
)

COUNTS = st.integers(1, 5000).flatmap(lambda served: st.tuples(st.integers(0, served), st.just(served)))


@pytest.mark.parametrize(
    ("wrong", "served", "confidence", "bound"),
    [  # scipy 1.17: beta.ppf(confidence, wrong + 1, served - wrong)
        (0, 59, 0.95, 0.0495),
        (0, 149, 0.95, 0.0199),
        (0, 299, 0.95, 0.00997),
        (0, 10, 0.95, 0.2589),
        (1, 10, 0.95, 0.3942),
        (5, 10, 0.95, 0.7776),
        (3, 100, 0.95, 0.0757),
        (0, 10, 0.99, 0.3690),
        (10, 10, 0.95, 1.0),
        (0, 0, 0.95, 1.0),
    ],
)
def test_the_bound_is_that_of_the_tables(wrong, served, confidence, bound):
    assert upper_bound(wrong, served, confidence) == pytest.approx(bound, abs=6e-5)


@pytest.mark.parametrize(("max_wrong", "hits"), [(0.05, 59), (0.02, 149), (0.01, 299), (0.001, 2995)])
def test_without_a_wrong_hit_so_many_prove_it(max_wrong, hits):
    assert hits_needed(max_wrong) == hits
    assert upper_bound(0, hits) <= max_wrong < upper_bound(0, hits - 1)


def test_no_number_of_hits_proves_what_is_not_so():
    assert hits_needed(0.02, 0.02) is None


@given(COUNTS, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_bound_lies_above_what_was_seen_and_rises_with_every_wrong_hit(counts, confidence):
    wrong, served = counts
    bound = upper_bound(wrong, served, confidence)
    assert wrong / served < bound <= 1 or wrong == served
    if wrong < served:
        assert bound < upper_bound(wrong + 1, served, confidence) or wrong + 1 == served
        assert bound > upper_bound(wrong, served + 1, confidence)
        assert at_most(wrong, served, bound) == pytest.approx(1 - confidence, rel=1e-6)


@given(COUNTS, st.floats(0.0001, 0.9999))
def test_chances_are_chances_and_sum_up(counts, share):
    wrong, served = counts
    assert 0 <= at_most(wrong, served, share) <= 1
    assert at_most(wrong, served, share) >= at_most(max(wrong - 1, 0), served, share) - 1e-12
    assert at_most(served, served, share) == 1


def test_a_million_hits_are_no_trouble():
    assert upper_bound(10_000, 1_000_000) == pytest.approx(0.010166, abs=2e-6)
    assert upper_bound(0, 1_000_000) == pytest.approx(3e-6, rel=0.01)


def labels(rng, asked, honest=1.0):
    """Confidences, and whether they were right. honest: below 1, they say more than is so."""
    logits = rng.normal(3, 3, asked)
    is_right = rng.random(asked) < 1 / (1 + np.exp(-honest * logits))
    return 1 / (1 + np.exp(-logits)), is_right


class Truth:
    """The true share of wrong hits at a threshold."""

    def __init__(self, honest=1.0):
        self._logits = np.sort(np.random.default_rng(7).normal(3, 3, 400_000))[::-1]
        self._wrong = np.cumsum(1 / (1 + np.exp(honest * self._logits)))

    def risk(self, threshold):
        served = np.searchsorted(-self._logits, -np.log(threshold / (1 - threshold)), side="right")
        return self._wrong[served - 1] / served


@pytest.mark.parametrize("honest", [1.0, 0.5, 2.0], ids=["calibrated", "too sure of itself", "too modest"])
@pytest.mark.parametrize("max_wrong", [0.02, 0.05])
def test_the_promise_is_broken_in_at_most_one_set_of_labels_of_twenty(max_wrong, honest):
    """Over 1,000 sets: 5 % and three standard deviations of such a count."""
    truth, rng = Truth(honest), np.random.default_rng(1)
    broken = 0
    for _ in range(1000):
        choice = choose(*labels(rng, 600, honest), max_wrong)
        broken += choice.chosen is not None and truth.risk(choice.chosen.threshold) > max_wrong
    assert broken <= 1000 * 0.05 + 3 * (1000 * 0.05 * 0.95) ** 0.5


def test_more_labels_come_closer_to_what_could_be_served():
    rng = np.random.default_rng(2)
    truth = Truth()
    possible = max(THRESHOLDS, key=lambda threshold: (truth.risk(threshold) <= 0.05, -threshold))
    served = []
    for asked in (500, 5000, 50_000):
        choice = choose(*labels(rng, asked), 0.05)
        served.append(choice.chosen.served / asked)
    share = float((labels(rng, 100_000)[0] >= possible).mean())
    assert served == sorted(served)
    assert served[-1] > 0.95 * share


def test_what_is_chosen_is_proven():
    choice = choose(*labels(np.random.default_rng(3), 2000), 0.02, 0.99)
    assert upper_bound(choice.chosen.wrong, choice.chosen.served, 0.99) <= 0.02
    assert choice.asked == 2000
    assert [point.threshold for point in choice.points] == sorted(THRESHOLDS, reverse=True)


def test_fifty_eight_right_answers_prove_nothing_and_one_more_does():
    assert choose([0.99] * 58, [True] * 58, 0.05).chosen is None
    chosen = choose([0.99] * 59, [True] * 59, 0.05).chosen
    assert (chosen.served, chosen.wrong) == (59, 0)


def test_nothing_labelled_chooses_nothing():
    assert choose([], [], 0.05).chosen is None


def test_where_answers_are_wrong_nothing_is_chosen():
    assert choose([0.99] * 500, [False] * 500, 0.05).chosen is None


def test_labels_needed_say_how_many_are_likely_to_do():
    points = [Point(0.99, served=100, wrong=0), Point(0.9, served=300, wrong=4)]
    assert labels_needed(points[:1], 1000, 0.01) == 2990  # 299 hits, of which a label in ten is one
    assert labels_needed(points, 1000, 0.05) < 1000  # proven already
    enough = labels_needed(points[1:], 1000, 0.02)
    expected = 4 / 1000 * enough
    assert upper_bound(round(expected + expected**0.5), round(0.3 * enough)) <= 0.02
    assert labels_needed([Point(0.9, 100, 3)], 1000, 0.01) is None
    assert labels_needed([Point(0.9, 0, 0)], 1000, 0.01) is None


@pytest.mark.parametrize("max_wrong", [0.01, 0.02, 0.05])
def test_what_is_chosen_is_never_looser_than_what_one_test_proves_and_hardly_stricter_where_labels_are_many(max_wrong):
    rng = np.random.default_rng(5)
    for asked in (100, 1000, 20_000):
        said = labels(rng, asked)
        chosen, most = choose(*said, max_wrong).chosen, most_provable(*said, max_wrong)
        assert chosen is None or (most is not None and most <= chosen.threshold)
    assert chosen.served > 0.97 * (said[0] >= most).sum()


def test_a_proof_is_looked_for_where_labels_allow_a_wrong_hit():
    """Two of the surest are wrong, so that a test of those alone would fail; 1,000 others are right."""
    sure = np.concatenate([np.full(50, 0.995), np.linspace(0.994, 0.98, 1000)])
    is_right = np.ones(1050, bool)
    is_right[[10, 20]] = False
    assert choose(sure, is_right, 0.02).chosen.served > 1000


def test_a_threshold_serves_all_who_are_as_sure():
    chosen = choose([0.99] * 100 + [0.5] * 10, [True] * 100 + [False] * 10, 0.05).chosen
    assert (chosen.threshold, chosen.served, chosen.wrong) == (0.99, 100, 0)


def test_answers_of_no_confidence_are_not_served_however_right():
    assert choose([0.0] * 500, [True] * 500, 0.05).chosen is None
    assert most_provable([0.0] * 500, [True] * 500, 0.05) is None
