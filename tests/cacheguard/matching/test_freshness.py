"""How old an answer may be: RFC 5861's spans for the route, RFC 9111's directives for the request."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.freshness import Directives, Terms, Use, freshness
from cacheguard.types import Answer, Provenance

WRITTEN_AT = 1_700_000_000.0
TERMS = Terms(ttl_s=100, stale_while_revalidate_s=50, stale_if_error_s=500)
USES = [Use.NONE, Use.ON_ERROR, Use.WHILE_REVALIDATE, Use.FRESH]  # from least to most

seconds = st.floats(min_value=0, max_value=1e9)
directives = st.builds(
    Directives,
    no_store=st.booleans(),
    no_cache=st.booleans(),
    only_if_cached=st.booleans(),
    max_age_s=st.none() | seconds,
    max_stale_s=st.none() | seconds | st.just(math.inf),
    min_fresh_s=st.none() | seconds,
)
terms = st.builds(Terms, seconds, seconds, seconds)


def answer(ttl_s=None):
    return Answer("ans_1", "scope", "acme", "faq", "Yes.", Provenance("strong"), 0, WRITTEN_AT, ttl_s)


def use(age_s, directives=Directives(), terms=TERMS, ttl_s=None):  # noqa: B008 - frozen
    return freshness(answer(ttl_s), terms, directives, WRITTEN_AT + age_s).use


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0, Use.FRESH),
        (99.9, Use.FRESH),
        (100, Use.WHILE_REVALIDATE),  # RFC 9111, 4.2: fresh while the lifetime is greater than the age
        (149.9, Use.WHILE_REVALIDATE),
        (150, Use.ON_ERROR),
        (599.9, Use.ON_ERROR),
        (600, Use.NONE),
        (1e12, Use.NONE),
    ],
)
def test_an_answer_is_fresh_then_servable_then_a_last_resort_then_nothing(age_s, expected):
    assert use(age_s) is expected


@pytest.mark.parametrize(
    ("directives", "age_s", "expected"),
    [
        # 5.2.1.4: not without asking upstream; while upstream fails, an old answer beats none
        (Directives(no_cache=True), 0, Use.ON_ERROR),
        (Directives(no_cache=True), 599, Use.ON_ERROR),
        (Directives(no_cache=True), 600, Use.NONE),
        (Directives(no_cache=True, max_stale_s=math.inf), 120, Use.ON_ERROR),
        # 5.2.1.1
        (Directives(max_age_s=10), 10, Use.FRESH),
        (Directives(max_age_s=10), 11, Use.ON_ERROR),
        (Directives(max_age_s=0), 1, Use.ON_ERROR),
        (Directives(max_age_s=500), 99, Use.FRESH),
        (Directives(max_age_s=500), 101, Use.ON_ERROR),  # nothing stale without max-stale
        (Directives(max_age_s=500, max_stale_s=20), 101, Use.WHILE_REVALIDATE),
        (Directives(max_age_s=100, max_stale_s=20), 101, Use.ON_ERROR),
        # 5.2.1.2
        (Directives(max_stale_s=20), 99, Use.FRESH),
        (Directives(max_stale_s=20), 119, Use.WHILE_REVALIDATE),
        (Directives(max_stale_s=20), 121, Use.ON_ERROR),
        (Directives(max_stale_s=0), 100, Use.ON_ERROR),
        (Directives(max_stale_s=math.inf), 149, Use.WHILE_REVALIDATE),
        (Directives(max_stale_s=math.inf), 151, Use.ON_ERROR),  # the route's span is the most there is
        (Directives(max_stale_s=400), 151, Use.ON_ERROR),
        # 5.2.1.3
        (Directives(min_fresh_s=30), 70, Use.FRESH),
        (Directives(min_fresh_s=30), 71, Use.ON_ERROR),
        (Directives(min_fresh_s=0), 99, Use.FRESH),
        (Directives(min_fresh_s=0), 101, Use.ON_ERROR),
        (Directives(min_fresh_s=101), 0, Use.ON_ERROR),
        # these two speak of storing and of asking upstream, not of age
        (Directives(no_store=True), 99, Use.FRESH),
        (Directives(only_if_cached=True), 120, Use.WHILE_REVALIDATE),
    ],
)
def test_a_request_may_want_it_fresher(directives, age_s, expected):
    assert use(age_s, directives) is expected


@given(st.floats(min_value=0, max_value=1e9), directives, terms)
def test_a_request_never_loosens_the_route(age_s, directives, terms):
    assert USES.index(use(age_s, directives, terms)) <= USES.index(use(age_s, terms=terms))


@given(st.tuples(seconds, seconds), directives, terms)
def test_an_answer_never_gets_better_with_age(ages, directives, terms):
    younger, older = sorted(ages)
    assert USES.index(use(older, directives, terms)) <= USES.index(use(younger, directives, terms))


@pytest.mark.parametrize(
    ("ttl_s", "age_s", "expected"),
    [
        (10, 9, Use.FRESH),
        (10, 11, Use.WHILE_REVALIDATE),
        (10, 61, Use.ON_ERROR),
        (10, 511, Use.NONE),
        (1000, 999, Use.FRESH),
        (0, 0, Use.WHILE_REVALIDATE),
    ],
)
def test_the_answers_own_ttl_stands_above_the_routes(ttl_s, age_s, expected):
    assert use(age_s, ttl_s=ttl_s) is expected


@pytest.mark.parametrize("spans", [(0, 0), (0, 500), (50, 0)])
def test_without_a_stale_span_the_other_still_holds(spans):
    terms = Terms(100, *spans)
    assert use(99, terms=terms) is Use.FRESH
    assert use(100 + max(spans), terms=terms) is Use.NONE
    if max(spans):
        assert use(99 + max(spans), terms=terms) is not Use.NONE


def test_a_clock_that_went_back_makes_an_answer_new():
    found = freshness(answer(), TERMS, Directives(), WRITTEN_AT - 3600)
    assert (found.use, found.age_s, found.ttl_s) == (Use.FRESH, 0, 100)


def test_age_and_ttl_are_told_beside_the_use():
    found = freshness(answer(), TERMS, Directives(), WRITTEN_AT + 130)
    assert (found.age_s, found.ttl_s) == (130, -30)


def test_what_may_be_served_while_it_is_refreshed_may_be_served_when_that_fails():
    terms = Terms(ttl_s=100, stale_while_revalidate_s=50, stale_if_error_s=0)
    assert use(149, Directives(no_cache=True), terms) is Use.ON_ERROR
