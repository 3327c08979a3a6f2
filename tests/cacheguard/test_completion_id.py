"""Ids of completions carry a phrasing, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.completion_id import id_of_phrasing, new_id, phrasing_of


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_an_id_gives_back_the_phrasing_that_it_carries(phrasing_id):
    assert phrasing_of(id_of_phrasing(phrasing_id)) == phrasing_id


def test_no_two_completions_have_one_id():
    assert len({id_of_phrasing(7) for _ in range(1000)} | {new_id() for _ in range(1000)}) == 2000


@pytest.mark.parametrize(
    "foreign",
    [
        new_id(),
        "",
        "chatcmpl-9f",
        "chatcmpl-p-000000000000",
        "chatcmpl-p7",
        "chatcmpl-p7-00",
        "chatcmpl-p7-000000000000\n",
        "xchatcmpl-p7-000000000000",
        "chatcmpl-p٣-000000000000",
        "chatcmpl-pG-000000000000",
    ],
)
def test_any_other_id_carries_none(foreign):
    assert phrasing_of(foreign) is None


@given(st.text())
def test_no_text_breaks_the_reader(text):
    assert phrasing_of(text) is None
