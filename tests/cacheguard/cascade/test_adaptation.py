"""What is made of a request before a tier gets it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.adaptation import Adaptation, with_room


def system(content):
    return {"role": "system", "content": content}


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def calls(*ids):
    return {"role": "assistant", "content": None, "tool_calls": [{"id": call} for call in ids]}


def result(call):
    return {"role": "tool", "tool_call_id": call, "content": "42"}


def body(*messages, **fields):
    return {"model": "m", "messages": list(messages), **fields}


TALK = (system("Be kind."), user("1"), assistant("one"), user("2"), assistant("two"), user("3"))


@pytest.mark.parametrize(
    "adaptation",
    [
        Adaptation(),
        Adaptation(history_turns=3),
        Adaptation(drop=("user",), rename={"seed": "random_seed"}),
        Adaptation(max_tokens=100),
    ],
)
def test_a_request_in_which_nothing_changes_is_the_very_same(adaptation):
    given = body(*TALK, max_tokens=100)
    assert adaptation.adapted(given) is given


@pytest.mark.parametrize(
    ("turns", "kept"),
    [
        (1, [TALK[0], user("3")]),
        (2, [TALK[0], user("2"), assistant("two"), user("3")]),
        (3, list(TALK)),
        (9, list(TALK)),
    ],
)
def test_a_shortened_history_is_the_newest_turns_and_all_instructions(turns, kept):
    adaptation = Adaptation(history_turns=turns)
    assert adaptation.adapted(body(*TALK))["messages"] == kept
    assert adaptation.shortens(body(*TALK)) is (kept != list(TALK))


def test_instructions_in_the_midst_of_what_is_left_out_stay():
    talk = [user("1"), {"role": "developer", "content": "Rhyme."}, assistant("one"), user("2")]
    assert Adaptation(history_turns=1).adapted(body(*talk))["messages"] == [talk[1], user("2")]


@pytest.mark.parametrize(
    ("talk", "kept_from"),
    [
        ([user("1"), calls("a"), result("a"), assistant("one"), user("2")], 4),
        ([user("1"), user("2"), calls("a", "b"), result("a"), result("b")], 1),
        ([user("1"), user("2"), calls("a"), user("3"), result("a")], 1),
        ([calls("a"), user("1"), result("a"), user("2"), calls("b"), user("3"), result("b")], 3),
        ([calls("a"), user("1"), calls("b"), result("a"), user("2"), result("b")], 0),
    ],
)
def test_a_call_and_its_result_stay_together(talk, kept_from):
    assert Adaptation(history_turns=1).adapted(body(*talk))["messages"] == talk[kept_from:]


def test_a_function_and_its_result_stay_together():
    call = {"role": "assistant", "content": None, "function_call": {"name": "find"}}
    talk = [user("0"), user("1"), call, user("2"), {"role": "function", "name": "find", "content": "42"}]
    assert Adaptation(history_turns=1).adapted(body(*talk))["messages"] == talk[1:]


WRAPPING = Adaptation(system_prefix="First.", system_suffix="Last.")
PARTS = [{"type": "text", "text": "First."}, {"type": "text", "text": "Mid."}, {"type": "text", "text": "Last."}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([user("Hi")], [system("First.\n\nLast."), user("Hi")]),
        ([system("Mid."), user("Hi")], [system("First.\n\nMid.\n\nLast."), user("Hi")]),
        ([system(None), user("Hi")], [system("First.\n\nLast."), user("Hi")]),
        ([system(PARTS[1:2]), user("Hi")], [system(PARTS), user("Hi")]),
        ([system("A"), user("Hi"), system("B")], [system("First.\n\nA"), user("Hi"), system("B\n\nLast.")]),
        (
            [{"role": "developer", "content": "Mid."}, user("Hi")],
            [{"role": "developer", "content": "First.\n\nMid.\n\nLast."}, user("Hi")],
        ),
    ],
)
def test_instructions_are_wrapped_or_founded(before, after):
    assert WRAPPING.adapted(body(*before))["messages"] == after


@pytest.mark.parametrize(
    ("adaptation", "before", "after"),
    [
        (Adaptation(drop=("user",)), {"user": "u", "seed": 1}, {"seed": 1}),
        (Adaptation(rename={"seed": "random_seed"}), {"seed": 1}, {"random_seed": 1}),
        (Adaptation(rename={"seed": "random_seed"}), {"seed": 1, "random_seed": 2}, {"random_seed": 1}),
        (Adaptation(rename={"seed": "random_seed"}), {"seed": None, "random_seed": 2}, {"random_seed": 2}),
        (Adaptation(fixed={"temperature": 0}), {"temperature": 1}, {"temperature": 0}),
        (Adaptation(max_tokens=9), {}, {"max_completion_tokens": 9}),
        (Adaptation(max_tokens=9), {"max_tokens": 5}, {"max_tokens": 5}),
        (Adaptation(max_tokens=9), {"max_tokens": 50}, {"max_tokens": 9}),
        (
            Adaptation(max_tokens=9),
            {"max_tokens": 50, "max_completion_tokens": 5},
            {"max_tokens": 9, "max_completion_tokens": 5},
        ),
        (Adaptation(max_tokens=9, rename={"max_completion_tokens": "max_tokens"}), {}, {"max_tokens": 9}),
    ],
)
def test_fields_are_dropped_limited_renamed_and_set(adaptation, before, after):
    assert adaptation.adapted(body(user("Hi"), **before)) == body(user("Hi"), **after)


@pytest.mark.parametrize(
    ("fields", "used", "asked"),
    [({}, 25, 100), ({"max_tokens": None}, 25, 100), ({"max_tokens": 25}, 25, None), ({}, 0, None)],
)
def test_a_cut_answer_gets_four_times_its_room_but_never_more_than_a_client_set(fields, used, asked):
    more = with_room(body(user("Hi"), **fields), used)
    assert (more and more["max_completion_tokens"]) == asked


IDS = st.sampled_from(["a", "b", "c"])
CONTENTS = st.text(max_size=5) | st.just([{"type": "text", "text": "part"}])
NAMES = ("user", "seed", "top_p", "max_tokens", "max_completion_tokens")
# What a client may send: any JSON where nothing is promised of a field.
JUNK = st.none() | st.text(max_size=3) | st.lists(st.integers() | st.just({"id": ["a"]}), max_size=2)


def odd(role):
    return st.fixed_dictionaries(
        {"role": st.just(role), "content": CONTENTS},
        optional={"tool_calls": JUNK, "tool_call_id": JUNK, "function_call": JUNK},
    )


ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MESSAGES = st.one_of(
    CONTENTS.map(system),
    CONTENTS.map(user),
    CONTENTS.map(assistant),
    st.lists(IDS, min_size=1, max_size=2).map(lambda ids: calls(*ids)),
    IDS.map(result),
    st.sampled_from(ROLES).flatmap(odd),
)
BODIES = st.builds(
    lambda messages, last, after, fields: body(*messages, user(last), *after, **fields),
    st.lists(MESSAGES, max_size=12),
    st.text(),
    st.lists(MESSAGES.filter(lambda message: message["role"] != "user"), max_size=3),
    st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(0, 99)),
)
ADAPTATIONS = st.builds(
    Adaptation,
    history_turns=st.none() | st.integers(1, 4),
    system_prefix=st.sampled_from(["", "First."]),
    system_suffix=st.sampled_from(["", "Last."]),
    drop=st.lists(st.sampled_from(["user", "seed"])).map(tuple),
    max_tokens=st.none() | st.integers(1, 50),
    rename=st.sampled_from([{}, {"top_p": "nucleus"}, {"max_completion_tokens": "max_tokens"}]),
    fixed=st.sampled_from([{}, {"temperature": 0}]),
)


@given(BODIES, ADAPTATIONS)
def test_the_last_turn_arrives_as_the_client_wrote_it(given, adaptation):
    asked = [message for message in given["messages"] if message["role"] == "user"]
    sent = [message for message in adaptation.adapted(given)["messages"] if message["role"] == "user"]
    assert sent == asked[len(asked) - len(sent) :]
    assert sent[-1] is asked[-1]


@given(BODIES, ADAPTATIONS)
def test_a_clients_request_is_never_changed(given, adaptation):
    before = json.dumps(given)
    adaptation.adapted(given)
    with_room(given, 7)
    assert json.dumps(given) == before


@given(BODIES, ADAPTATIONS)
def test_what_is_dropped_or_renamed_is_gone_and_no_limit_is_exceeded(given, adaptation):
    sent = adaptation.adapted(given)
    assert sent.keys().isdisjoint({*adaptation.drop, *adaptation.rename})
    limits = [sent[name] for name in ("max_tokens", "max_completion_tokens") if sent.get(name) is not None]
    assert adaptation.max_tokens is None or max(limits) <= adaptation.max_tokens


def orphans(messages):
    called, orphaned = set(), []
    for message in messages:
        if message["role"] == "tool" and isinstance(message.get("tool_call_id"), str):
            orphaned += [] if message["tool_call_id"] in called else [message]
        elif isinstance(made := message.get("tool_calls"), list):
            called |= {call["id"] for call in made if isinstance(call, dict) and isinstance(call["id"], str)}
    return orphaned


@given(BODIES, ADAPTATIONS)
def test_no_result_loses_its_call(given, adaptation):
    before = {id(message) for message in orphans(given["messages"])}
    assert all(id(message) in before for message in orphans(adaptation.adapted(given)["messages"]))


@given(BODIES, ADAPTATIONS)
def test_history_is_shortened_exactly_where_messages_are_left_out(given, adaptation):
    bare = Adaptation(history_turns=adaptation.history_turns)
    assert adaptation.shortens(given) is (bare.adapted(given)["messages"] != given["messages"])
