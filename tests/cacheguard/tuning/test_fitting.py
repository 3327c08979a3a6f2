"""Weights keep their signs, labels carry them as far as they reach, and the same labels give the same weights."""

import numpy as np
import pytest

from cacheguard.matching.confidence import default_model
from cacheguard.matching.features import ALONE, AMONG, Feature
from cacheguard.tuning.fitting import Lessons, fit_logistic, fit_model

FEATURES = (Feature("for", +1, "…"), Feature("against", -1, "…"), Feature("either", 0, "…"))


def lessons(weights, many=4_000, seed=0):
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(many, len(weights))) * [1, 2, 5]
    right = chance.random(many) < 1 / (1 + np.exp(-(values @ weights + 0.5)))
    return Lessons(values, right, np.ones(many))


def slopes(model):
    return model.weights / model.spread


def test_a_fit_finds_the_weights_that_made_the_labels():
    assert slopes(fit_logistic(FEATURES, lessons([1.5, -0.5, 0.2]))) == pytest.approx([1.5, -0.5, 0.2], abs=0.12)


def test_a_weight_against_its_sign_is_none():
    model = fit_logistic(FEATURES, lessons([-1.5, 0.5, 0.2]))
    assert model.weights[:2].tolist() == [0, 0]
    assert slopes(model)[2] > 0


def test_the_same_labels_give_the_same_weights():
    one, other = (fit_logistic(FEATURES, lessons([1, -1, 0])) for _ in range(2))
    assert one.to_json() == other.to_json()


def test_a_question_that_counts_twice_is_two_questions():
    once = lessons([1, -1, 0], many=300)
    twice = Lessons.together([once, once])
    doubled = Lessons(once.values, once.right, 2 * once.counts)
    assert fit_logistic(FEATURES, twice).weights == pytest.approx(fit_logistic(FEATURES, doubled).weights, abs=1e-6)


def test_a_fit_counts_as_many_questions_as_it_is_told():
    assert lessons([1, -1, 0], many=300).counting(50).counts.sum() == pytest.approx(50)


@pytest.mark.parametrize("wrong_only", [False, True])
def test_labels_of_one_kind_give_finite_weights(wrong_only):
    values = np.random.default_rng(0).normal(size=(20, 3))
    model = fit_logistic(FEATURES, Lessons(values, np.full(20, not wrong_only), np.ones(20)))
    assert np.isfinite(model.weights).all()


def test_without_labels_a_route_believes_what_is_shipped():
    none = Lessons(np.empty((0, len(AMONG))), np.empty(0, bool), np.empty(0))
    alone = Lessons(np.empty((0, len(ALONE))), np.empty(0, bool), np.empty(0))
    model = fit_model(none, alone, default_model().provenance, default_model())
    assert model.to_json() == default_model().to_json()


def test_few_labels_move_the_weights_less_than_many():
    earlier = fit_logistic(FEATURES, lessons([1, -1, 0]))
    moved = [
        abs(fit_logistic(FEATURES, lessons([3, -1, 0], many, seed=1), earlier).weights - earlier.weights)[0]
        for many in (0, 10, 100, 4_000)
    ]
    assert moved == sorted(moved)
    assert moved[0] == pytest.approx(0, abs=1e-6)
