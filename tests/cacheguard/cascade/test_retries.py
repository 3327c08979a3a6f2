"""How many retries a service may make in all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.retries import SAVED, SHARE, RetryBudget


@given(wishes=st.lists(st.integers(0, 3), min_size=1, max_size=300))
def test_retries_stay_within_a_tenth_of_the_traffic_and_what_was_saved(wishes):
    budget, made = RetryBudget(), 0
    for wish in wishes:
        budget.earn()
        made += sum(budget.spend() for _ in range(wish))
    assert made <= SAVED + SHARE * len(wishes)


def test_a_quiet_time_saves_up_no_more_than_the_bucket_holds():
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == SAVED
