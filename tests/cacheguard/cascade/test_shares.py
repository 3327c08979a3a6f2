"""Where a conversation stands, by which it keeps its tier."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.strategies.shares import place_of


def begun(number, **rest):
    return {"messages": [{"role": "user", "content": f"Question {number}?"}], **rest}


@given(st.lists(st.text(), min_size=1, max_size=3), st.text(), st.text())
def test_a_conversation_has_a_place_of_its_own_that_later_turns_dont_change(said, user, later):
    messages = [{"role": "system", "content": text} for text in said[:-1]] + [{"role": "user", "content": said[-1]}]
    place = place_of({"messages": messages, "user": user})
    assert 0 <= place < 1
    turns = [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": later}]
    assert place_of({"messages": [*messages, *turns], "user": user, "stream": True, "temperature": 0}) == place


def test_users_who_begin_alike_have_places_of_their_own():
    places = {place_of(begun(1, user=f"user {number}")) for number in range(100)}
    assert len(places) == 100


def test_places_are_spread_evenly():
    places = Counter(int(10 * place_of(begun(number))) for number in range(10_000))
    assert all(900 < places[tenth] < 1100 for tenth in range(10))
