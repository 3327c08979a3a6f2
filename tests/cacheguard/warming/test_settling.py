from __future__ import annotations

import pytest

from cacheguard.warming.exchanges import Candidate
from cacheguard.warming.settling import AGREE, EVEN, Settled, Unsettled, agreement, rarity, sense_of, settle


def candidates(*rows):
    """Of texts, or of texts with fields, in the order in which they were given."""
    made = []
    for last, row in enumerate(rows, 1):
        text, fields = (row, {}) if isinstance(row, str) else row
        made.append(Candidate(**{"source_id": "", "given": 1, "praised": 0, "blamed": 0, "last": last, "at": None,
                                 "model": "", "text": text, **fields}))  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It costs 5 euros.", "The price is 5 euros!"),
        ("Yes", "yes."),
        ("Open the app and tap Block.", "To block it, open the app, then tap Block."),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_answers_that_say_the_same_agree(one, other):
    assert agreement(sense_of(one), sense_of(other), EVEN) >= AGREE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It costs 5 euros.", "It costs 6 euros."),
        ("Yes.", "No."),
        ("You can return it within 30 days.", "You can not return it within 30 days."),
        ("Tap Block.", "Call us."),
        ('{"a": 1}', '{"a": 2}'),
    ],
)
def test_answers_that_differ_in_what_counts_do_not_agree(one, other):
    assert agreement(sense_of(one), sense_of(other), EVEN) < AGREE


def test_what_many_answers_hold_says_little_of_any():
    topics = [f"{one}{other}a" for one in "bcdfghkl" for other in "aeioumnr"]
    texts = [f"Good question about {topic}. Let me know if you need more." for topic in topics]
    one, other, same = map(sense_of, (texts[0], texts[1], f"Sure, {topics[0]}: is there anything else?"))
    weighed = rarity(texts)
    assert agreement(one, other, EVEN) > AGREE > agreement(one, other, weighed)
    assert agreement(one, same, weighed) > agreement(one, same, EVEN)
    assert rarity(texts[:10]) == EVEN


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (["Call us."], "Call us."),
        # a model words its answer anew: the newest of those that most agree with
        (["It costs 5 euros.", "The price is 5 euros."], "The price is 5 euros."),
        # what most say
        ([("It costs 5 euros.", {"given": 4}), "It costs 7 euros."], "It costs 5 euros."),
        # what changed, and stayed so
        (["It costs 5 euros.", ("It costs 6 euros.", {"given": 2})], "It costs 6 euros."),
        # what people said
        ([("Yes.", {"praised": 1}), "No."], "Yes."),
        ([("Yes.", {"blamed": 1}), "No."], "No."),
        ([("Yes.", {"source_id": "1", "praised": 2}), ("No.", {"source_id": "2", "praised": 1})], "Yes."),
        # an id counts more than none
        ([("Yes.", {"source_id": "1"}), "No."], "Yes."),
    ],
)
def test_one_answer_is_settled_on(rows, text):
    settled = settle(candidates(*rows))
    assert isinstance(settled, Settled)
    assert settled.text == text


@pytest.mark.parametrize(
    ("rows", "answers"),
    [
        (["It costs 5 euros.", "It costs 6 euros."], ("It costs 6 euros.", "It costs 5 euros.")),
        (["Yes.", "No.", "Maybe.", "Yes!"], ("Yes!", "Maybe.")),
        ([("Yes.", {"source_id": "1", "given": 9}), ("No.", {"source_id": "2"})], ("1", "2")),
    ],
)
def test_answers_that_contradict_each_other_settle_nothing(rows, answers):
    assert settle(candidates(*rows)) == Unsettled(answers)
