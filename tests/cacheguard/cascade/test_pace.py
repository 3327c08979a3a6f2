"""What is remembered of how fast a model is: the newest, by their clock, those that were given up among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.pace import CALLS, MEMORY_S, TYPICAL_OUTPUT, Newest, Pace

seconds = st.floats(0, 1e6)


def newest(*values, now=0.0):
    seen = Newest()
    for value in values:
        seen.saw(value, now)
    return seen


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3], 0.5, 3),
        ([3], 0.95, 3),
        ([3, 1, 2], 0.5, 2),
        ([4, 1, 3, 2], 0.0, 1),
        ([4, 1, 3, 2], 1.0, 4),
        (range(100), 0.95, 95),
    ],
)
def test_a_quantile_is_one_of_the_values(values, share, expected):
    assert newest(*values).quantile(share, 0.0) == expected


@given(st.lists(seconds, min_size=1, max_size=CALLS), st.floats(0, 1))
def test_at_least_that_share_of_the_values_doesnt_pass_a_quantile(values, share):
    quantile = newest(*values).quantile(share, 0.0)
    assert quantile in values
    assert sum(value <= quantile for value in values) >= share * len(values)


def test_a_quantile_of_too_few_is_not_known():
    assert newest(1, 2).quantile(0.5, 0.0, at_least=3) is None
    assert newest(1, 2, 3).quantile(0.5, 0.0, at_least=3) == 2


def test_what_is_old_is_forgotten():
    seen = newest(9, now=0.0)
    seen.saw(1, MEMORY_S)
    assert seen.quantile(1.0, MEMORY_S) == 9
    assert seen.quantile(1.0, MEMORY_S + 0.1) == 1
    assert seen.quantile(1.0, 2 * MEMORY_S + 0.1) is None


def test_only_the_newest_calls_count():
    assert newest(9, *[1] * CALLS).quantile(1.0, 0.0) == 1


def test_a_call_that_was_given_up_late_tells_where_the_tail_is():
    seen = newest(1, 1, 1)
    seen.saw_at_least(5, 0.0)
    assert (seen.quantile(0.5, 0.0), seen.quantile(1.0, 0.0)) == (1, 5)


@given(st.lists(seconds, min_size=1, max_size=50), st.lists(seconds, max_size=50))
def test_calls_that_were_given_up_never_make_a_model_look_faster(values, given_up):
    seen = newest(*values)
    for value in given_up:
        before = seen.quantile(0.5, 0.0)
        seen.saw_at_least(value, 0.0)
        assert seen.quantile(0.5, 0.0) >= before


def test_a_model_that_was_only_ever_given_up_is_known_to_take_that_long():
    seen = Newest()
    seen.saw_at_least(30, 0.0)
    assert seen.quantile(0.5, 0.0) == 30


def test_what_a_model_writes_as_a_rule_is_a_short_paragraph_until_it_is_known():
    pace = Pace()
    assert pace.output_tokens(0.0) == TYPICAL_OUTPUT
    for tokens in (10, 20, 900):
        pace.wrote(tokens, 0.0)
    assert pace.output_tokens(0.0) == 20
    assert pace.output_tokens(MEMORY_S + 1) == TYPICAL_OUTPUT


def test_tokens_that_nobody_counted_say_nothing():
    pace = Pace()
    pace.wrote(0, 0.0)
    assert pace.output_tokens(0.0) == TYPICAL_OUTPUT


def test_streams_go_by_their_first_words_and_whole_answers_by_their_end():
    pace = Pace()
    assert (pace.of(stream=True), pace.of(stream=False)) == (pace.first_words, pace.whole)
