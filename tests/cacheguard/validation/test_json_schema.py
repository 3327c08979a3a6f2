"""Answers in the form that a request asks for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.errors import RequestError
from cacheguard.failures import FailureClass
from cacheguard.providers.base import Finish
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation.json_schema import JsonSchema, wanted_form

PRICE = {
    "type": "object",
    "properties": {"item": {"type": "string"}, "price": {"type": "number"}},
    "required": ["item", "price"],
    "additionalProperties": False,
}
OBJECT = {"response_format": {"type": "json_object"}}


def said(text, **facts):
    return replace(write_completion(text, "gpt-5", 0), **facts)


def wants(schema):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}}


def objection(text, request, **facts):
    """The words of the objection, or None."""
    found = JsonSchema().objection(said(text, **facts), request)
    assert found is None or found.failure is FailureClass.SCHEMA
    return found and found.words


@pytest.mark.parametrize("form", [None, {"type": "text"}, {"type": "grammar"}, "json"])
def test_without_a_form_any_text_passes(form):
    assert objection("Open the app.", {"response_format": form}) is None


@pytest.mark.parametrize("text", ["{}", ' {"a": [1, null, "x"]}\n', '{"a": {}}'])
def test_an_object_is_any_object(text):
    assert objection(text, OBJECT) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the answer is not bare JSON: Expecting value: line 1 column 1 (char 0)"),
        ("Here it is: {}", "the answer is not bare JSON: Expecting value: line 1 column 1 (char 0)"),
        ('{"a": 1', "the answer is not bare JSON: Expecting ',' delimiter: line 1 column 8 (char 7)"),
        ("```json\n{}\n```", "the answer is not bare JSON: it stands in a code fence"),
        ('{"a": NaN}', "the answer is not JSON: it has no NaN"),
        ("[1]", "the answer does not fit the JSON Schema: $: [1] is not of type 'object'"),
        ("[" * 100_000, "the answer is nested too deeply"),
    ],
)
def test_what_is_no_object_is_told_in_words(text, words):
    assert objection(text, OBJECT) == words


def test_an_answer_that_fits_its_schema_passes():
    assert objection('{"item": "tea", "price": 2.5}', wants(PRICE)) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"item": "tea"}, "$: 'price' is a required property"),
        ({"item": "tea", "price": "two"}, "$.price: 'two' is not of type 'number'"),
        ({"item": "tea", "price": 2, "tax": 1}, "$: the property 'tax' is not allowed"),
        ({"item": 1, "price": "two"}, "$.item: 1 is not of type 'string'; $.price: 'two' is not of type 'number'"),
    ],
)
def test_every_error_is_told_with_its_place(answer, words):
    assert objection(json.dumps(answer), wants(PRICE)) == f"the answer does not fit the JSON Schema: {words}"


def test_a_long_list_of_errors_is_told_in_part():
    words = objection(json.dumps(["x" * 1000] * 50), wants({"type": "array", "items": {"type": "integer"}}))
    assert words.count("$[") == 3
    assert len(words) < 1000


@pytest.mark.parametrize("wanted", [{"name": "any"}, {"name": "any", "schema": None}, {"name": "any", "schema": {}}])
def test_a_form_without_a_schema_is_any_json(wanted):
    request = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    assert objection("[1]", request) is None
    assert objection("one", request)


@pytest.mark.parametrize(
    ("facts", "limit"),
    [
        ({"refusal": "No."}, {}),
        ({"has_tool_calls": True}, {}),
        ({"finish": Finish.LENGTH}, {"max_tokens": 3}),
        ({"finish": Finish.LENGTH}, {"max_completion_tokens": 3}),
    ],
)
def test_what_is_no_answer_needs_no_form(facts, limit):
    assert objection('{"item": ', wants(PRICE) | limit, **facts) is None
    assert objection('{"item": ', wants(PRICE))


def test_a_length_that_the_client_did_not_set_is_no_excuse():
    assert objection('{"item": ', wants(PRICE), finish=Finish.LENGTH)


def test_every_choice_has_the_form():
    both = said("{}")
    choice = both.body["choices"][0]
    both.body["choices"].append({**choice, "message": {**choice["message"], "content": "{"}})
    assert JsonSchema().objection(both, OBJECT)
    both.body["choices"][1]["message"] = {"role": "assistant", "content": None, "refusal": "No."}
    assert JsonSchema().objection(both, OBJECT) is None


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"type": "json_schema"}, "json_schema is missing, or no object"),
        ({"type": "json_schema", "json_schema": []}, "json_schema is missing, or no object"),
        ({"type": "json_schema", "json_schema": {"schema": "string"}}, "json_schema.schema is no object"),
        (
            wants({"properties": {"a": {"type": "strin"}}})["response_format"],
            "json_schema.schema.properties.a.type is no valid JSON Schema: its anyOf is wrong",
        ),
        (
            wants({"patternProperties": {"a": {}}, "unevaluatedProperties": False})["response_format"],
            "json_schema.schema: patternProperties and unevaluatedProperties can't be checked together",
        ),
    ],
)
def test_a_form_that_is_none_is_the_clients_fault(form, why):
    with pytest.raises(RequestError) as refused:
        wanted_form({"response_format": form})
    assert (str(refused.value), refused.value.param) == (f"response_format: {why}", "response_format")


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "http://127.0.0.1:9/schema"}, "refers to 'http://127.0.0.1:9/schema', which is not in it"),
        ({"$ref": "#/$defs/a"}, "refers to '/$defs/a', which is not in it"),
        ({"pattern": "(?=a)"}, "the pattern '(?=a)' can't be used"),
    ],
)
def test_nothing_is_fetched_and_nothing_looked_up_outside_the_schema(schema, why):
    with pytest.raises(RequestError, match=r"response_format: json_schema\.schema") as refused:
        objection('"a"', wants(schema))
    assert why in str(refused.value)


def test_a_schema_that_never_ends_comes_to_an_end():
    assert objection("1", wants({"$ref": "#"})) == "the answer is nested too deeply"


@pytest.mark.parametrize(
    "draft", ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema#"]
)
def test_older_drafts_are_read_as_what_they_are(draft):
    tuples = wants({"$schema": draft, "items": [{"type": "string"}], "additionalItems": False})
    assert objection('["a"]', tuples) is None
    assert objection('["a", 1]', tuples)


@pytest.mark.parametrize("schema", [{"pattern": "^(a+)+$"}, {"patternProperties": {"^(a+)+$": {}}}])
def test_no_pattern_stops_the_service(schema):
    """Python's own expressions would take years for it."""
    endless = "a" * 60 + "!"
    objection(json.dumps(endless), wants(schema))
    objection(json.dumps({endless: 1}), wants({**schema, "additionalProperties": False}))


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ({"n1": 1}, True),
        ({"n1": "one"}, False),
        ({"known": "x"}, True),
        ({"other": "x"}, False),
        ({"n1": 1, "other": 1}, True),
    ],
)
def test_properties_are_known_by_name_by_pattern_or_as_others(answer, fits):
    schema = {
        "properties": {"known": {}},
        "patternProperties": {"^n[0-9]$": {"type": "integer"}},
        "additionalProperties": {"type": "integer"},
    }
    assert (objection(json.dumps(answer), wants(schema)) is None) is fits


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_whatever_was_written_as_json_is_read_as_json(answer):
    assert objection(json.dumps(answer), wants({})) is None


@given(st.text())
def test_no_text_breaks_the_reading(text):
    words = objection(text, wants(PRICE))
    assert words is None or words.startswith("the answer ")


def doubling(levels, name="$ref", place=lambda twice: {"allOf": twice}):
    """A schema of a few lines that takes 2 ** levels steps."""
    defs = {f"a{n}": place([{name: f"#/$defs/a{n + 1}"}] * 2) for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(30),
        doubling(30, "$dynamicRef"),
        doubling(30, place=lambda twice: {"allOf": twice, "unevaluatedProperties": False}),
        doubling(30, place=lambda twice: {"if": twice[0], "then": twice[1]}),
        {"$schema": "http://json-schema.org/draft-07/schema#", **doubling(30)},
        {"$schema": "https://json-schema.org/draft/2019-09/schema", **doubling(30)},
    ],
    ids=["allOf", "$dynamicRef", "unevaluatedProperties", "if", "draft 7", "draft 2019-09"],
)
def test_a_schema_that_refers_to_itself_a_billion_times_is_refused(schema):
    with pytest.raises(RequestError, match=r"more than 10,000 steps along its \$refs") as refused:
        objection("{}", wants(schema))
    assert refused.value.param == "response_format"


def test_every_answer_may_take_as_many_steps_as_the_one_before():
    request = wants(doubling(11))
    for _ in range(4):
        assert objection("{}", request) is None
    entries = wants({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}})
    assert objection(json.dumps(list(range(9000))), entries) is None
