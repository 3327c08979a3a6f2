from __future__ import annotations

from contextlib import closing

import pytest

from cacheguard.warming.grouping import Conflict, Grouping
from cacheguard.warming.log import Logged


@pytest.fixture
def grouped():
    """A function that sorts (prompt, answer, answer_id) lines."""
    with closing(Grouping()) as grouping:

        def group(*lines):
            for number, line in enumerate(lines, 1):
                grouping.add(Logged("log", number, *line))
            return grouping

        yield group


def answers_of(grouping):
    """(prompt, answer) pairs."""
    return {(one.prompt, one.answer) for one in grouping}


def test_phrasings_of_one_answer_follow_each_other(grouped):
    grouping = grouped(("a", "A", "1"), ("b", "B", "2"), ("c", "A", "1"), ("d", "B", "2"))
    assert [one.source_id for one in grouping] == ["1", "1", "2", "2"]


def test_without_ids_equal_answers_are_one_answer(grouped):
    a, b, c = grouped(("a", "Yes.", ""), ("b", "Yes.", ""), ("c", "No.", ""))
    assert len({a.source_id, b.source_id, c.source_id}) == 2


def test_questions_that_fold_to_one_are_one(grouped):
    grouping = grouped(("Is it open?", "Yes.", "1"), ("is it  open", "Yes.", "1"))
    assert [one.prompt for one in grouping] == ["Is it open?"]
    assert grouping.duplicates == 1


def test_a_question_with_two_answers_gets_neither(grouped):
    grouping = grouped(("is it safe", "Yes.", "1"), ("is it tested", "Yes.", "1"), ("Is it safe?", "No.", "2"))
    assert answers_of(grouping) == {("is it tested", "Yes.")}
    assert grouping.conflicts == 1
    assert grouping.some_conflicts(10) == [Conflict("is it safe", ("1", "2"))]


def test_two_that_agree_do_not_outvote_one_who_does_not(grouped):
    grouping = grouped(("q", "Yes.", "1"), ("q", "No.", "2"), ("q", "Yes.", "1"))
    assert grouping.questions == 0
    assert grouping.conflicts == 1


def test_a_model_that_words_its_answer_anew_does_not_contradict_itself(grouped):
    grouping = grouped(("q", "It costs 5 euros.", ""), ("q", "The price is 5 euros.", ""))
    assert answers_of(grouping) == {("q", "The price is 5 euros.")}
    assert grouping.conflicts == 0


def test_an_answer_that_was_edited_counts_in_its_last_form(grouped):
    grouping = grouped(("a", "5 euros", "price"), ("b", "6 euros", "price"))
    assert answers_of(grouping) == {("a", "6 euros"), ("b", "6 euros")}
