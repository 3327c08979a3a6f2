"""The decision over the matches of one question."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cacheguard.matching.decide import (
    CosineThreshold,
    Hit,
    Judged,
    Match,
    Miss,
    MissReason,
    Stale,
    by_answer,
    decide,
    nearest_first,
)
from cacheguard.matching.freshness import Directives, Terms
from cacheguard.question import Question
from cacheguard.types import Answer, Origin, Phrasing, Provenance

NOW = 1_700_000_000.0
QUESTION = Question("text", "key")
TERMS = Terms(ttl_s=100, stale_while_revalidate_s=50, stale_if_error_s=500)
FRESH, SERVABLE, LAST_RESORT, EXPIRED = 10, 120, 300, 1000  # ages in seconds


def match(answer_id, similarity, *, age_s=FRESH, phrasing_id=1, exact=False):
    written = Answer(answer_id, "scope", "acme", "faq", "Yes.", Provenance("strong"), 0, NOW - age_s)
    phrasing = Phrasing(phrasing_id, answer_id, "scope", "key", "text", Origin.LOG, 0)
    return Match(phrasing, written, similarity, exact)


def decided(*matches, cosine=0.9, directives=Directives()):  # noqa: B008 - frozen
    judged = CosineThreshold(cosine).judge(QUESTION, matches, NOW)
    return decide(judged, terms=TERMS, directives=directives, now=NOW)


@st.composite
def neighbourhoods(draw):
    """Matches whose similarities often tie, of few answers, so that phrasings share them; ages go by answer."""
    cosine = st.sampled_from([0.5, 0.9, 0.95, 1.0]) | st.floats(min_value=-1, max_value=1)
    ages = {name: draw(st.sampled_from([FRESH, SERVABLE, LAST_RESORT, EXPIRED])) for name in "abc"}
    spoken = draw(st.lists(st.tuples(st.sampled_from("abc"), cosine, st.booleans()), max_size=8))
    return [
        match(name, 1.0 if exact else similarity, age_s=ages[name], phrasing_id=at, exact=exact)
        for at, (name, similarity, exact) in enumerate(spoken, start=1)
    ]


thresholds = st.floats(min_value=0.01, max_value=1)


def test_nothing_near_is_a_miss():
    assert decided() == Miss(MissReason.NOTHING_NEAR)


def test_what_is_not_near_enough_is_named_in_the_miss():
    near, far = match("a", 0.89), match("b", 0.5)
    assert decided(far, near) == Miss(MissReason.NOT_SURE, Judged(near, near.similarity, accepted=False))


@pytest.mark.parametrize(
    ("age_s", "kind", "servable"),
    [(FRESH, Hit, None), (SERVABLE, Stale, True), (LAST_RESORT, Stale, False), (EXPIRED, Miss, None)],
)
def test_what_is_near_enough_serves_as_its_age_allows(age_s, kind, servable):
    found = decided(match("a", 0.95, age_s=age_s))
    assert type(found) is kind
    assert getattr(found, "servable", None) is servable


def test_what_expired_is_named_in_the_miss():
    old = match("a", 0.95, age_s=EXPIRED)
    assert decided(old, match("b", 0.1)) == Miss(MissReason.EXPIRED, Judged(old, old.similarity, accepted=True))


@pytest.mark.parametrize(("similarity", "hits"), [(0.9, True), (0.8999, False), (1.0000001, True), (-1, False)])
def test_the_threshold_itself_is_near_enough(similarity, hits):
    assert isinstance(decided(match("a", similarity)), Hit) is hits


def test_an_exact_match_is_sure_under_any_rule():
    assert isinstance(decided(match("a", 0.999999, exact=True), cosine=1.0), Hit)


def test_of_two_fresh_answers_the_nearer_is_served():
    assert decided(match("a", 0.95), match("b", 0.97, age_s=FRESH + 50)).match.answer.id == "b"


@pytest.mark.parametrize(("fresher", "older"), [(FRESH, SERVABLE), (SERVABLE, LAST_RESORT), (LAST_RESORT, EXPIRED)])
def test_the_freshest_use_wins_over_the_nearest(fresher, older):
    found = decided(match("near", 0.99, age_s=older), match("far", 0.91, age_s=fresher))
    assert found.match.answer.id == "far"


def test_a_fresh_answer_that_is_not_near_enough_never_wins():
    found = decided(match("near", 0.99, age_s=SERVABLE), match("far", 0.89, age_s=FRESH))
    assert found.match.answer.id == "near"


def test_no_cache_leaves_the_nearest_as_a_last_resort():
    found = decided(match("a", 0.95), match("b", 0.97), directives=Directives(no_cache=True))
    assert (found.match.answer.id, found.servable) == ("b", False)


@given(neighbourhoods(), thresholds, st.randoms())
def test_the_order_of_the_matches_is_irrelevant(matches, cosine, random):
    shuffled = list(matches)
    random.shuffle(shuffled)
    assert decided(*matches, cosine=cosine) == decided(*shuffled, cosine=cosine)


@given(neighbourhoods(), thresholds, thresholds)
def test_raising_the_threshold_never_adds_a_hit(matches, one, other):
    low, high = sorted([one, other])
    hits_high, hits_low = (isinstance(decided(*matches, cosine=cosine), Hit) for cosine in (high, low))
    assert hits_low or not hits_high


@given(neighbourhoods())
def test_each_answer_speaks_once_through_its_nearest_phrasing(matches):
    speaking = [first for first, *_ in by_answer(nearest_first(matches)).values()]
    best = {m.answer.id: max(n.similarity for n in matches if n.answer.id == m.answer.id) for m in matches}
    assert {m.answer.id: m.similarity for m in speaking} == best
    assert [m.similarity for m in speaking] == sorted(best.values(), reverse=True)


@given(neighbourhoods(), thresholds)
def test_a_further_phrasing_of_the_same_answer_changes_nothing(matches, cosine):
    assume(matches)
    first = min(matches, key=lambda m: (-m.similarity, not m.exact, m.phrasing.id))
    further = Match(
        Phrasing(99, first.answer.id, "scope", "k", "t", Origin.LOG, 0), first.answer, first.similarity - 0.1
    )
    assert decided(*matches, further, cosine=cosine) == decided(*matches, cosine=cosine)
