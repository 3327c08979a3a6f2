"""What two texts have in common and in what they differ, and networks that were written down and read again."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.likeness import FIGURES, Likeness, figures

ODD_TEXTS = ["", "  ", "🙂🙃", "?!…", "什么音乐是", "\u202e\u0000", "a" * 10_000, "word " * 2_000, "ﬁ½²", "'’'"]
DIMENSION = 8
INPUTS = len(FIGURES) + 3 * DIMENSION


def likeness(units=5, seed=0):
    chance = np.random.default_rng(seed)
    return Likeness(
        np.zeros(len(FIGURES), np.float32),
        np.ones(len(FIGURES), np.float32),
        chance.normal(size=(INPUTS, units)).astype(np.float32),
        chance.normal(size=units).astype(np.float32),
        chance.normal(size=units).astype(np.float32),
        0.5,
    )


def unit(seed):
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def said(asked, known):
    return dict(zip(FIGURES, figures(asked, known, 0.9).tolist(), strict=True))


@pytest.mark.parametrize(
    ("asked", "known", "figure", "value"),
    [
        ("how do I pay", "How do I pay?", "the same stems in their order", 1),
        ("what is a bond", "how do bonds work", "the same question word", 0),
        ("a trip in 2016", "a trip in 2017", "one lacks a number of the other", 1),
        ("a trip in 2016", "a trip in 2016", "one lacks a number of the other", 0),
        ("is it in Lake County", "is it in Bureau County", "the phrasing lacks a name", 1),
        ("can I cancel", "can I not cancel", "one is negated", 1),
        ("should I buy shares", "should I sell shares", "words with their opposites", 1),
        ("why?", "why? how?", "one asks more questions", 1),
        ("cancel my order", "cancel my order", "shared content", 1),
    ],
)
def test_a_figure_measures_what_its_name_says(asked, known, figure, value):
    assert said(asked, known)[figure] == value


def test_swapped_texts_swap_what_only_one_of_them_holds():
    one, other = said("cancel the red order", "cancel it"), said("cancel it", "cancel the red order")
    alone = "content words of the question alone", "content words of the phrasing alone"
    assert [one[name] for name in alone] == [other[name] for name in reversed(alone)]
    assert one[alone[0]] > one[alone[1]]


@pytest.mark.parametrize("asked", ODD_TEXTS)
@pytest.mark.parametrize("known", ODD_TEXTS)
def test_odd_texts_have_figures_too(asked, known):
    assert np.isfinite(figures(asked, known, 0.5)).all()
    assert np.isfinite(likeness().logit(asked, known, unit(1), unit(2)))


@given(st.text(max_size=60), st.text(max_size=60))
def test_figures_are_finite_whatever_the_texts(asked, known):
    assert figures(asked, known, 0.5).shape == (len(FIGURES),)
    assert np.isfinite(figures(asked, known, 0.5)).all()


def test_networks_that_are_written_down_say_the_same_again():
    again = Likeness.from_json(json.loads(json.dumps(likeness().to_json())))
    for seed in range(20):
        pair = "how do I pay", f"how do I pay {seed}", unit(seed), unit(seed + 1)
        assert again.logit(*pair) == pytest.approx(likeness().logit(*pair), abs=0.5)


@pytest.mark.parametrize("change", [{"hidden": "?"}, {"centre": [1.0]}, {"out": "eJw="}, {"bias": ""}])
def test_networks_that_do_not_fit_together_are_refused(change):
    with pytest.raises(ValueError, match=r".+"):
        Likeness.from_json(likeness().to_json() | change)
