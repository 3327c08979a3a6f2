"""Ids and rows, held against a plain list of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.roll import GONE, Roll

IDS = st.integers(0, 30)
STEPS = st.lists(st.tuples(st.sampled_from(["append", "strike"]), st.lists(IDS, max_size=5)), max_size=30)


def played(steps):
    """A roll, and the ids of its rows."""
    roll, rows = Roll(), []
    for step, ids in steps:
        for number in ids:
            was_there = number in rows
            rows = [GONE if id_ == number else id_ for id_ in rows]
            if step == "append":
                rows.append(number)
                roll.append([number])
            else:
                assert roll.strike(number) == was_there
    return roll, rows


def assert_same(roll, rows):
    assert roll.height == len(rows)
    assert len(roll) == sum(number != GONE for number in rows)
    living = [row for row, number in enumerate(rows) if number != GONE]
    assert [roll.id(row) for row in living] == [rows[row] for row in living]
    assert [roll.row(number) for number in range(31)] == [
        rows.index(number) if number in rows else None for number in range(31)
    ]
    assert roll.ids().tolist() == rows
    assert roll.ids(3, 12).tolist() == rows[3:12]
    alive = np.unpackbits(roll.bitmap(), bitorder="little")[: len(rows)]
    assert alive.tolist() == [number != GONE for number in rows]


@given(STEPS)
def test_an_id_stands_in_the_row_that_was_appended_last_for_it(steps):
    assert_same(*played(steps))


@given(STEPS, STEPS)
def test_what_comes_back_from_its_ids_is_the_same_and_goes_on(steps, more):
    first, rows = played(steps)
    roll = Roll.of(first.ids())
    assert_same(roll, rows)
    for _, ids in more:
        roll.append(ids)
        first.append(ids)
    assert roll.ids().tolist() == first.ids().tolist()
    assert [roll.row(number) for number in range(31)] == [first.row(number) for number in range(31)]


def test_ids_that_ascend_take_some_nine_bytes_each():
    roll = Roll()
    roll.append(range(0, 70_000, 7))
    assert roll.nbytes < 90_000
