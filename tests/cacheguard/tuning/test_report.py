"""What people are told of a tuning is what was found."""

from __future__ import annotations

import pytest

from cacheguard.matching.confidence import NOTHING_SIMILAR, Calibrated, default_model
from cacheguard.tuning.guarantee import choose
from cacheguard.tuning.labels import Gathered
from cacheguard.tuning.report import report_of, said
from cacheguard.tuning.tuning import Seen, Tuned

MODEL = default_model()
UNSEEN = Seen(0, 0)


def report(right, max_wrong=0.02, *, exact=UNSEEN, **trust):
    """Of so many labelled hits, all right."""
    choice = choose([0.9] * right, [True] * right, max_wrong)
    threshold = choice.chosen.threshold if choice.chosen else NOTHING_SIMILAR
    return report_of(
        "faq", Gathered(), Tuned(Calibrated(MODEL, threshold, **trust), choice, exact, exact, of_lone=False)
    )


def words(*of, **rest):
    return "\n".join(said(report(*of, **rest)))


def test_what_is_proven_needs_no_more_labels_and_stands_in_the_curve():
    proven = report(150)
    assert proven.chosen in proven.curve
    assert dict(proven.needed)[0.02] == dict(proven.needed)[0.05] == 150
    assert dict(proven.needed)[0.01] == 299
    assert "proven from a confidence of 0.9000 on" in words(150)


@pytest.mark.parametrize(
    ("trust", "meanwhile"),
    [
        ({"near_exact": True}, "only exact matches, and questions in the same words but for marks"),
        ({"near_exact": False}, "nothing similar is served: only exact matches\n"),
        ({"trusts_exact": False}, "nothing at all, since even exact matches are too often wrong by these labels"),
    ],
)
def test_without_a_proof_it_says_what_is_served_meanwhile_and_how_many_labels_more(trust, meanwhile):
    told = words(100, **trust)
    assert "not proven, some 49 more" in told
    assert meanwhile in told


def test_exact_matches_that_labels_contradict_are_told():
    told = words(100, exact=Seen(20, 5, expected=2.34), trusts_exact=False)
    assert "exact matches are not trusted: 5 of 20 labelled ones are wrong, and confidences expect 2.3" in told
    assert "exact matches are trusted unasked: 0 of 20" in words(100, exact=Seen(20, 0))
