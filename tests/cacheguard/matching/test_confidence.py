"""A confidence is a probability that a person can take apart, and a rule serves what is sure enough."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.confidence import EXACT, NOTHING_SIMILAR, Calibrated, ConfidenceModel, default_model
from cacheguard.matching.decide import Match
from cacheguard.matching.features import ALONE, AMONG
from cacheguard.question import Question, fold
from cacheguard.types import Answer, Origin, Phrasing, Provenance


def match(text, answer, similarity, number=1, *, exact=False, has_vector=True):
    vector = np.zeros(64, np.float32)
    vector[0], vector[1 + number % 63] = similarity, math.sqrt(max(0.0, 1 - similarity**2))
    phrasing = Phrasing(number, answer, "scope", fold(text), text, Origin.LOG, 0)
    found = Answer(answer, "scope", "", "", "", Provenance("log"), 0, 0)
    return Match(phrasing, found, similarity, exact, vector if has_vector else None)


def ask(text):
    return Question(text, fold(text))


SURE = [
    match("how can I cancel my order", "cancel", 0.95, 1),
    match("cancelling an order", "cancel", 0.9, 2),
    match("please cancel the order", "cancel", 0.9, 3),
    match("where is my parcel", "parcel", 0.4, 4),
]
texts = st.one_of(st.text(max_size=40), st.sampled_from(["🙂", "x" * 10_000, "how do I pay", "不知道", " "]))
near = st.lists(st.tuples(texts, st.sampled_from("ABCD"), st.floats(-1, 1)), max_size=20)


class Objection:
    name = "objection"
    heeds_exact = False

    def objects(self, question, matches, now):  # noqa: ARG002 - the protocol's
        return "cancel" in matches[0].phrasing.text and "not" in question.text


@given(texts, near)
def test_a_confidence_is_a_probability_and_its_reasons_add_up(text, known):
    model = default_model()
    matches = [match(phrasing, answer, cosine, at) for at, (phrasing, answer, cosine) in enumerate(known, 1)]
    weighed = model.weigh(text, matches)
    assert len(weighed) == len({answer for _, answer, _ in known})
    bias = model.alone.bias if len(matches) == 1 else model.among.bias
    for one in weighed:
        assert 0 <= one.confidence <= 1
        assert one.confidence == pytest.approx(1 / (1 + math.exp(-(sum(one.because.values()) + bias))), abs=1e-9)
    assert [one.confidence for one in weighed] == sorted((one.confidence for one in weighed), reverse=True)


@given(texts, near, st.randoms(use_true_random=False))
def test_the_order_of_the_matches_changes_nothing(text, known, random):
    matches = [match(phrasing, answer, cosine, at) for at, (phrasing, answer, cosine) in enumerate(known, 1)]
    shuffled = list(matches)
    random.shuffle(shuffled)
    assert default_model().weigh(text, shuffled) == default_model().weigh(text, matches)


@pytest.mark.parametrize("kind", ["among", "alone"])
def test_more_of_what_speaks_for_an_answer_never_makes_it_less_sure(kind):
    model = getattr(default_model(), kind)
    for at, feature in enumerate(model.features):
        less, more = model.centre.copy(), model.centre.copy()
        more[at] += model.spread[at]
        change = model.logits(more).sum() - model.logits(less).sum()
        assert change * feature.sign >= 0
        assert change == pytest.approx(model.weights[at])


def test_a_question_beside_its_answer_is_sure_and_one_between_answers_is_not():
    (best, *_) = default_model().weigh("can I cancel my order", SURE)
    assert best.match.answer.id == "cancel"
    assert best.confidence > 0.9
    between = [match("cancel an order", "cancel", 0.7, 1), match("return an order", "return", 0.7, 2)]
    assert default_model().weigh("about my order", between)[0].confidence < 0.5


def test_a_lone_phrasing_needs_more_than_to_be_near():
    assert default_model().weigh("what is a good book", [match("how tall is he", "A", 0.6)])[0].confidence < 0.3


@given(texts, st.lists(st.tuples(texts, st.integers(-100, 100)), min_size=2, max_size=2))
def test_of_lone_phrasings_the_shipped_model_is_surer_of_the_nearer_whatever_they_say(text, known):
    """So on no domain it serves fewer duplicates than the cosine."""
    sure = [default_model().weigh(text, [match(one, "A", at / 100)])[0].confidence for one, at in known]
    (_, one), (_, other) = known
    assert (one > other) == (sure[0] > sure[1])


def test_without_vectors_answers_are_weighed_one_by_one():
    bare = [one._replace(vector=None) for one in SURE]
    assert {*default_model().weigh("cancel my order", bare)[0].because} == {feature.name for feature in ALONE}


def test_what_is_not_sure_enough_is_not_served():
    sure = default_model().weigh("can I cancel my order", SURE)[0].confidence
    for threshold, accepted in ((sure, True), (sure + 1e-6, False)):
        best, *rest = Calibrated(default_model(), threshold).judge(ask("can I cancel my order"), SURE, 0)
        assert best.accepted is accepted
        assert not any(one.accepted for one in rest)


def test_a_lone_phrasing_has_a_threshold_of_its_own():
    lone, question = SURE[:1], ask("can I cancel my order")
    sure = default_model().weigh(question.text, lone)[0].confidence
    rule = Calibrated(default_model(), 0.9999, lone_threshold=sure)
    assert rule.judge(question, lone, 0)[0].accepted
    assert not rule.judge(question, SURE, 0)[0].accepted
    rule = Calibrated(default_model(), 0.5, lone_threshold=sure + 1e-6)
    assert not rule.judge(question, lone, 0)[0].accepted
    assert rule.judge(question, SURE, 0)[0].accepted


def test_a_guard_objects_however_sure_the_model_is():
    rule = Calibrated(default_model(), 0.5, (Objection(),))
    best, other = rule.judge(ask("can I not cancel my order"), SURE, 0)
    assert (best.accepted, best.veto, other.veto) == (False, "objection", "")
    assert best.confidence > 0.5


def test_nothing_near_is_judged_to_nothing():
    assert Calibrated(default_model(), 0.5).judge(ask("hello"), [], 0) == []


def test_the_same_words_are_sure_where_the_route_trusts_them():
    same = [match("Good morning", "A", 1.0, exact=True, has_vector=False)]
    trusting = Calibrated(default_model(), 0.999)
    (judged,) = trusting.judge(ask("good morning"), same, 0)
    assert judged.accepted
    assert judged.confidence >= EXACT
    (judged,) = replace(trusting, trusts_exact=False).judge(ask("good morning"), same, 0)
    assert not judged.accepted


def test_a_route_that_serves_nothing_similar_serves_the_same_words_past_its_guards():
    rule = Calibrated(default_model(), NOTHING_SIMILAR, (Objection(),), near_exact=True)

    def served(text):
        return [one.match.answer.id for one in rule.judge(ask(text), SURE, 0) if one.accepted]

    assert served("Please, how can I cancel the order?") == []
    assert served("Hi, how can I cancel my order, please?") == ["cancel"]
    assert served("Cancelling the order") == ["cancel"]
    assert served("how can I not cancel my order") == []
    assert Calibrated(default_model(), NOTHING_SIMILAR).judge(ask("Cancelling the order"), SURE, 0)[0].accepted is False


def test_no_confidence_is_enough_where_nothing_similar_is_served():
    certain = replace(default_model(), among=replace(default_model().among, bias=1000.0))
    assert certain.weigh("can I cancel my order", SURE)[0].confidence == 1
    assert not any(one.accepted for one in Calibrated(certain, NOTHING_SIMILAR).judge(ask("can I cancel it"), SURE, 0))


def test_a_model_survives_being_written_down():
    body = json.loads(json.dumps(default_model().to_json()))
    again = ConfidenceModel.from_json(body)
    assert again.to_json() == body
    assert again.weigh("cancel my order", SURE) == default_model().weigh("cancel my order", SURE)


def test_the_shipped_model_is_small_and_says_where_it_comes_from():
    body = json.dumps(default_model().to_json())
    assert len(body) < 100_000
    assert {"on", "fitted_by", "embedding"} <= set(default_model().provenance)


def changed(**changes):
    body = default_model().to_json()
    body["among"]["features"][AMONG[0].name] |= changes
    return body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "no confidence model"),
        ({"among": 1, "alone": 2, "provenance": {}}, "no confidence model"),
        (changed(weight=-1.0), "similarity must not count with -1"),
        (changed(spread=0.0), "no usable number"),
        (changed(weight=math.nan), "no usable number"),
        ({**default_model().to_json(), "alone": default_model().to_json()["among"]}, "weighs"),
    ],
)
def test_a_model_that_this_program_can_not_follow_is_refused(body, message):
    with pytest.raises(ValueError, match=message):
        ConfidenceModel.from_json(body)
