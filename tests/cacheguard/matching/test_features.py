"""What speaks for and against an answer, on texts and vectors of every kind."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.decide import Match
from cacheguard.matching.features import ALONE, AMONG, among
from cacheguard.types import Answer, Origin, Phrasing, Provenance

PHRASINGS = st.tuples(st.text(max_size=30), st.sampled_from("ABCD"), st.floats(-1, 1))
ODD_TEXTS = ["", "  ", "🙂🙃", "?!…", "什么音乐是", "\u202e\u0000", "a" * 10_000, "word " * 2_000, "ﬁ½²", "'’'"]


def match(text, answer, similarity, vector=None, number=1):
    phrasing = Phrasing(number, answer, "scope", text.lower(), text, Origin.LOG, 0)
    return Match(phrasing, Answer(answer, "scope", "", "", "", Provenance("log"), 0, 0), similarity, vector=vector)


def near(question, *known):
    """Matches of a question's direction, nearest first. known: text, answer, cosine."""
    rows = sorted(enumerate(known, 1), key=lambda one: -one[1][2])
    matches = []
    for number, (text, answer, cosine) in rows:
        vector = np.zeros(32, np.float32)
        vector[0], vector[number] = cosine, math.sqrt(1 - cosine**2)
        matches.append(match(text, answer, cosine, vector, number))
    return dict(zip([f.name for f in AMONG], among(question, matches).T, strict=True))


def test_features_are_named_once_and_say_what_they_measure():
    for features in (AMONG, ALONE):
        assert len({feature.name for feature in features}) == len(features)
        assert all(feature.says and feature.sign in {-1, 0, 1} for feature in features)


def test_answers_stand_in_the_order_in_which_they_come():
    found = near("x", ("a", "A", 0.9), ("b", "B", 0.8), ("c", "A", 0.7), ("d", "C", 0.6))
    assert found["similarity"] == pytest.approx([0.9, 0.8, 0.6], abs=1e-6)


def test_a_margin_is_what_the_best_has_more_and_the_others_less():
    found = near("x", ("a", "A", 0.9), ("b", "B", 0.8), ("c", "C", 0.5))
    assert found["margin"] == pytest.approx([0.1, -0.1, -0.4], abs=1e-6)


def test_answers_that_are_equally_near_have_no_margin():
    found = near("x", ("a", "A", 0.8), ("b", "B", 0.8))
    assert found["margin"] == pytest.approx([0, 0])
    assert found["vote_margin"] == pytest.approx([0, 0], abs=1e-6)


def test_an_answer_without_rivals_is_held_against_the_farthest_phrasing():
    found = near("x", ("a", "A", 0.9), ("b", "A", 0.6))
    assert found["margin"] == pytest.approx([0.3], abs=1e-6)


def test_a_second_phrasing_of_an_answer_speaks_for_it():
    one = near("x", ("a", "A", 0.8), ("b", "B", 0.8), ("c", "C", 0.7), ("d", "D", 0.5))
    two = near("x", ("a", "A", 0.8), ("b", "B", 0.8), ("c", "A", 0.7), ("d", "D", 0.5))
    for name in ("margin_of_three", "vote", "vote_margin"):
        assert two[name][0] > one[name][0]


def test_the_same_phrasing_twice_hardly_weighs_more_than_once():
    same = np.zeros(4, np.float32)
    same[:2] = 0.8, 0.6
    other = np.array([0.8, 0, 0.6, 0], np.float32)
    twice = among("x", [match("a", "A", 0.8, same), match("a", "A", 0.8, same), match("b", "B", 0.8, other)])
    apart = near("x", ("a", "A", 0.8), ("a", "A", 0.8), ("b", "B", 0.8))
    vote = [feature.name for feature in AMONG].index("vote_margin")
    assert 0 < twice[0, vote] < apart["vote_margin"][0] / 2


def test_words_speak_for_the_answer_whose_phrasings_hold_them():
    found = near("can I cancel my order", ("cancel an order", "A", 0.8), ("return an order", "B", 0.8))
    assert found["words"][0] > 0 > found["words"][1]


def test_words_that_no_phrasing_of_an_answer_holds_are_missing():
    found = near("cancel a subscription for two phones", ("cancel subscriptions", "A", 0.8), ("two phones", "B", 0.7))
    assert found["missing"] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("question", ODD_TEXTS)
@pytest.mark.parametrize("known", ODD_TEXTS)
def test_odd_texts_have_features_too(question, known):
    assert all(np.isfinite(row).all() for row in near(question, (known, "A", 0.9), (question, "B", 0.3)).values())


@given(st.text(max_size=60), st.lists(PHRASINGS, min_size=1, max_size=20))
def test_features_are_finite_whatever_is_near(question, known):
    found = near(question, *known)
    assert all(np.isfinite(row).all() for row in found.values())
    assert all(len(row) == len({answer for _, answer, _ in known}) for row in found.values())
