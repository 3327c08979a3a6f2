"""What is made of a client's schema for a host that takes a part of JSON Schema."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from cacheguard.providers.anthropic_schema import grammatical

TEXT = {"type": "string"}


def an_object(**properties):
    return {"type": "object", "properties": properties}


def closed(**properties):
    return an_object(**properties) | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (an_object(a=TEXT), closed(a=TEXT)),
        (an_object(a=an_object(b=TEXT)), closed(a=closed(b=TEXT))),
        (closed(a=TEXT) | {"required": ["a"]}, closed(a=TEXT) | {"required": ["a"]}),
        ({"type": "array", "items": an_object(a=TEXT)}, {"type": "array", "items": closed(a=TEXT)}),
        ({"anyOf": [an_object(a=TEXT), {"type": "null"}]}, {"anyOf": [closed(a=TEXT), {"type": "null"}]}),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}),
        (
            an_object(a=TEXT) | {"type": ["object", "null"]},
            closed(a=TEXT) | {"type": ["object", "null"]},
        ),
        ({"type": "object", "additionalProperties": False}, {"type": "object", "additionalProperties": False}),
        ({"enum": ["a", 1, None]}, {"enum": ["a", 1, None]}),
        ({"const": "a"}, {"const": "a"}),
        ({"type": "array", "items": TEXT, "minItems": 1}, {"type": "array", "items": TEXT, "minItems": 1}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", **TEXT}, TEXT),
        (
            {"$ref": "#/$defs/a", "description": "One.", "$defs": {"a": an_object(b=TEXT)}},
            {"$ref": "#/$defs/a", "$defs": {"a": closed(b=TEXT)}},
        ),
        (an_object(properties=TEXT, items=TEXT), closed(properties=TEXT, items=TEXT)),
    ],
    ids=str,
)
def test_every_object_is_closed_and_the_rest_kept(schema, sent):
    assert grammatical(schema) == sent
    Draft202012Validator.check_schema(sent)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, '{"minimum": 1, "maximum": 9}'),
        ({"type": "integer", "minimum": 1, "description": "Stars."}, 'Stars.\n\n{"minimum": 1}'),
        ({"type": "string", "format": "color"}, '{"format": "color"}'),
        ({"type": "string", "pattern": "^a(?=b)"}, '{"pattern": "^a(?=b)"}'),
    ],
)
def test_what_no_grammar_holds_is_told_in_words(schema, told):
    assert grammatical(schema) == {"type": schema["type"], "description": told}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"description": "Anything."},
        {"type": "object"},
        {"type": "object", "additionalProperties": TEXT},
        an_object(a=TEXT) | {"additionalProperties": True},
        an_object(a=TEXT) | {"additionalProperties": {}},
        an_object(a=TEXT) | {"anyOf": [an_object(b=TEXT)]},
        an_object(a=TEXT) | {"required": ["b"]},
        an_object(a=TEXT) | {"patternProperties": {"^x": TEXT}},
        an_object(a={}),
        {"type": "array", "items": True},
        {"allOf": [an_object(a=TEXT), an_object(b=TEXT)]},
        {"enum": [{"a": 1}]},
        {"const": [1]},
        {"$ref": "https://elsewhere.invalid/schema"},
        {"$ref": "#/properties/a"},
        an_object(next={"$ref": "#"}),
        {"$ref": "#/$defs/a", "$defs": {"a": an_object(next={"$ref": "#/$defs/a"})}},
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": an_object(b={"$ref": "#/$defs/b"}), "b": {"anyOf": [{"$ref": "#/$defs/a"}]}},
        },
    ],
    ids=str,
)
def test_a_schema_that_a_grammar_would_make_narrower_is_not_sent_as_one(schema):
    assert grammatical(schema) is None


def test_a_schema_that_doubles_at_every_step_takes_no_time():
    defs = {f"a{n}": an_object(x={"$ref": f"#/$defs/a{n + 1}"}, y={"$ref": f"#/$defs/a{n + 1}"}) for n in range(60)}
    assert grammatical({"$ref": "#/$defs/a0", "$defs": {**defs, "a60": TEXT}})
