"""The partition: what divides requests, what does not, and what keeps them out of the cache."""

from __future__ import annotations

import re
from typing import get_type_hints

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from cacheguard.question import fold, read_question
from cacheguard.scope import _DEFAULTS, FIELDS, Bearing, bypass_reason, scope_of

OF_SCOPE = sorted(field for field, bearing in FIELDS.items() if bearing is Bearing.SCOPE)
OF_NONE = sorted(field for field, bearing in FIELDS.items() if bearing is Bearing.NONE)
OF_BYPASS = sorted(field for field, bearing in FIELDS.items() if bearing is Bearing.BYPASS)
DEFAULTS = sorted(_DEFAULTS.items())

ASKED = [{"role": "user", "content": "Where is my card?"}]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
said_values = json_values.filter(lambda value: value is not None)
# JSON's own punctuation, so that one field may try to end where another begins.
texts = st.text(st.sampled_from('a",:[]{}\\\n0')) | st.text()
neutral = st.dictionaries(st.sampled_from(OF_NONE), json_values, max_size=4)
conditions = st.dictionaries(st.sampled_from(OF_SCOPE) | st.text(min_size=15), json_values, max_size=4)
instructions = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer"]), "content": texts}), max_size=3
)


def key(messages=ASKED, tenant="acme", route="faq", context="exact", **fields):
    body = {"messages": messages, **fields}
    return scope_of(tenant, route, body, read_question(messages), context).key


def means_the_same(one, other):
    """In JSON 1 is 1.0, but true is no number: Python's == says otherwise."""
    return repr(one) == repr(other) or (one == other and not {type(one), type(other)} & {bool})


def test_every_field_of_the_official_client_is_classified():
    assert set(FIELDS) == set(get_type_hints(CompletionCreateParamsStreaming))


@given(st.sampled_from(OF_SCOPE), said_values, said_values, conditions, neutral)
def test_requests_that_differ_in_a_condition_share_nothing(field, value, other, rest, unimportant):
    assume(not means_the_same(value, other))
    fields = {**rest, **unimportant}
    assert key(**{**fields, field: value}) != key(**{**fields, field: other})


@given(st.sampled_from(OF_SCOPE), said_values, conditions)
def test_a_condition_that_only_one_request_states_divides(field, value, rest):
    assume(value != _DEFAULTS.get(field))
    silent = {name: said for name, said in rest.items() if name != field}
    assert key(**silent) != key(**silent, **{field: value})


@given(st.text(min_size=1).filter(lambda name: name not in {*FIELDS, "context", "route", "tenant"}), said_values)
def test_an_unknown_field_divides(field, value):
    assert key(**{field: value}) != key()


@given(conditions, neutral, neutral)
def test_requests_that_differ_in_what_does_not_matter_share_a_scope(rest, one, other):
    assert key(**{**rest, **one}) == key(**{**rest, **other})


@given(conditions, st.randoms())
def test_the_order_of_fields_does_not_matter(rest, random):
    shuffled = list(rest.items())
    random.shuffle(shuffled)
    assert key(**dict(shuffled)) == key(**rest)


@given(st.tuples(texts, texts), st.tuples(texts, texts), instructions, instructions)
def test_tenants_routes_and_instructions_share_nothing(one, other, system, another_system):
    assume((one, system) != (other, another_system))
    assert key([*system, *ASKED], *one) != key([*another_system, *ASKED], *other)


FORGERIES = [
    ({"tenant": 'acme","faq'}, {"tenant": "acme"}),
    ({"tenant": "acme", "route": "faq"}, {"tenant": "acmefaq", "route": ""}),
    ({"tenant": "a", "route": "bfaq"}, {"tenant": "ab", "route": "faq"}),
    ({"tenant": "acme\x00faq", "route": ""}, {"tenant": "acme", "route": "\x00faq"}),
    ({"tenant": "faq", "route": "acme"}, {"tenant": "acme", "route": "faq"}),
    (
        {"messages": [{"role": "system", "content": 'a"], ["system", "b'}, *ASKED]},
        {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, *ASKED]},
    ),
    (
        {"messages": [{"role": "system", "content": "Be brief."}, *ASKED]},
        {"messages": [{"role": "developer", "content": "Be brief."}, *ASKED]},
    ),
    (
        {"messages": [{"role": "system", "content": '[{"type": "file"}]'}, *ASKED]},
        {"messages": [{"role": "system", "content": [{"type": "file"}]}, *ASKED]},
    ),
    (
        {"messages": [{"role": "system", "content": "Hi"}, *ASKED]},
        {"messages": [{"role": "user", "content": "Hi"}, *ASKED]},
    ),
    ({"max_tokens": 5}, {"max_tokens": "5"}),
    ({"max_tokens": 5}, {"max_completion_tokens": 5}),
    ({"stop": ["a", "b"]}, {"stop": ["a, b"]}),
    ({"stop": "null"}, {}),
    ({"stop": "\\ud800"}, {"stop": "\ud800"}),
]


@pytest.mark.parametrize(("one", "other"), FORGERIES)
def test_no_field_can_pass_for_another(one, other):
    assert key(**one) != key(**other)


@pytest.mark.parametrize(("field", "default"), DEFAULTS)
def test_saying_the_default_is_saying_nothing(field, default):
    assert key(**{field: default}) == key(**{field: None}) == key()
    assert bypass_reason({field: default}) is None


SPOKEN = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
turns = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": texts}), max_size=4)


@given(turns, turns)
def test_history_divides_in_exact_and_not_in_none(one, other):
    assume(one != other)
    assert key([*one, *ASKED], context="exact") != key([*other, *ASKED], context="exact")
    assert key([*one, *ASKED], context="none") == key([*other, *ASKED], context="none") == key(context="none")


def folded(turns):
    return [(turn["role"], fold(turn["content"]) if turn["role"] == "user" else turn["content"]) for turn in turns]


@given(turns, turns)
def test_in_chain_histories_share_a_scope_only_where_their_users_words_fold_the_same(one, other):
    shares = key([*one, *ASKED], context="chain") == key([*other, *ASKED], context="chain")
    assert shares == (folded(one) == folded(other))


@given(turns)
def test_in_chain_a_way_of_writing_earlier_questions_does_not_matter(earlier):
    shouted = [{**turn, "content": f" {turn['content']} "} if turn["role"] == "user" else turn for turn in earlier]
    assert key([*shouted, *ASKED], context="chain") == key([*earlier, *ASKED], context="chain")


def test_in_chain_an_answer_in_other_words_divides():
    """«How do I install it?» has another answer where another thing was recommended, even in one letter's case."""
    one, other = ([SPOKEN[0], {**SPOKEN[1], "content": said}, *ASKED] for said in ("Use awk.", "Use AWK."))
    assert key(one, context="chain") != key(other, context="chain")


@given(instructions)
def test_a_first_turn_has_one_scope_whatever_the_context(system):
    assert len({key([*system, *ASKED], context=context) for context in ("none", "exact", "chain")}) == 1


@given(texts.filter(str.strip), texts.filter(str.strip))
def test_the_question_itself_is_no_part_of_the_scope(one, other):
    assert key([{"role": "user", "content": one}]) == key([{"role": "user", "content": other}])


@pytest.mark.parametrize("context", ["exact", "chain", "none"])
def test_who_speaks_divides(context):
    """«What is my name?» has another answer for Ann than for Bob."""
    named = [key([{**ASKED[0], "name": name}], context=context) for name in ("Ann", "Bob")]
    assert len({*named, key(context=context)}) == 3


def test_the_name_in_an_earlier_turn_divides_like_the_turn():
    ann, bob = ([{**SPOKEN[0], "name": name}, SPOKEN[1], *ASKED] for name in ("Ann", "Bob"))
    assert key(ann) != key(bob)
    assert key(ann, context="chain") != key(bob, context="chain")
    assert key(ann, context="none") == key(bob, context="none")


def test_a_clients_empty_message_fields_say_nothing():
    echoed = {**SPOKEN[1], "refusal": None, "annotations": [], "audio": None, "tool_calls": None}
    assert key([SPOKEN[0], echoed, *ASKED]) == key([*SPOKEN, *ASKED])


@pytest.mark.parametrize(
    "content", ["Be\nbrief.", [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]]
)
def test_instructions_in_parts_are_instructions_in_one(content):
    assert key([{"role": "system", "content": content}, *ASKED]) == key(
        [{"role": "system", "content": "Be\nbrief."}, *ASKED]
    )


def test_instructions_are_never_folded():
    """«Answer in JSON» and «answer in json!» may be answered differently."""
    one, other = ([{"role": "system", "content": words}, *ASKED] for words in ("Answer in JSON", "answer in json!"))
    assert key(one) != key(other)


def test_a_key_is_128_bits_in_hex():
    assert re.fullmatch("[0-9a-f]{32}", key())


BYPASSES = [
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"tool_choice": "auto"}, "tools"),
    ({"parallel_tool_calls": True}, "tools"),
    ({"functions": [{"name": "f"}]}, "tools"),
    ({"function_call": "auto"}, "tools"),
    ({"web_search_options": {}}, "web-search"),
    ({"audio": {"voice": "alloy"}}, "audio"),
    ({"n": 2}, "choices"),
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 3}, "logprobs"),
]


@pytest.mark.parametrize(("fields", "reason"), BYPASSES)
def test_what_no_earlier_answer_can_be_right_for_bypasses(fields, reason):
    assert bypass_reason({"messages": ASKED, **fields}) == reason


def test_every_bypassing_field_is_tried():
    assert {field for fields, _ in BYPASSES for field in fields} == set(OF_BYPASS)


@given(conditions, neutral)
def test_nothing_else_bypasses(rest, unimportant):
    assume(not {*rest} & {*OF_BYPASS})
    assert bypass_reason({"messages": ASKED, **rest, **unimportant}) is None
