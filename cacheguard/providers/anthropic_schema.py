"""JSON Schema as Anthropic compiles it into a grammar: a part of it, with every object closed.

Source: platform.claude.com/docs: Structured outputs, JSON Schema limitations; what Anthropic's SDK makes of a schema.
"""

from __future__ import annotations

import json
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.providers.base import Body

_KINDS = frozenset({"type", "enum", "const", "anyOf", "oneOf", "$ref"})
_KEPT = frozenset({"type", "enum", "const", "title", "description", "required", "$ref"})
_SILENT = frozenset({"additionalProperties", "$schema", "$id", "$comment"})
# Closed objects in an allOf shut each other out, and names by pattern or from elsewhere can't be listed.
_BEYOND = frozenset({"allOf", "patternProperties", "prefixItems", "$dynamicRef"})
_KEPT_VALUES = {
    "format": ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
    "minItems": (0, 1),
}


class _Unsayable(Exception):
    pass


def grammatical(schema: Body) -> Body | None:
    """The nearest schema that Anthropic takes; None where it would shut out what is meant, or can't be compiled.

    Bounds of numbers, lengths and the like become part of descriptions: whoever gets the answer has to check them.
    """
    try:
        _refuse_cycles(schema)
        return _closed(schema)
    except _Unsayable:
        return None


def _refuse_cycles(schema: Body) -> None:
    named = {
        f"#/{kind}/{name}": part for kind in ("$defs", "definitions") for name, part in schema.get(kind, {}).items()
    }
    graph = {name: set(_references(part)) for name, part in named.items()}
    if not set(_references(schema)) <= graph.keys():
        raise _Unsayable
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        raise _Unsayable from None


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _closed(schema: Any) -> Body:
    _refuse_beyond(schema)
    said: Body = {}
    untold: Body = {}
    for name, value in schema.items():
        match name:
            case "properties" | "$defs" | "definitions":
                said[name] = {key: _closed(inner) for key, inner in value.items()}
            case "anyOf" | "oneOf":
                said["anyOf"] = [_closed(inner) for inner in value]
            case "items":
                said[name] = _closed(value)
            case _ if name in _KEPT or value in _KEPT_VALUES.get(name, ()):
                said[name] = value
            case _ if name in _SILENT:
                pass
            case _:
                untold[name] = value
    if "$ref" in schema:  # nothing stands beside it
        return {name: value for name, value in said.items() if name in {"$ref", "$defs", "definitions"}}
    if _is_object(schema):
        said["additionalProperties"] = False
    if untold:
        said["description"] = "\n\n".join(filter(None, (said.get("description"), json.dumps(untold))))
    return said


def _is_object(schema: Body) -> bool:
    return "properties" in schema or "object" in schema.get("type", ())


def _refuse_beyond(schema: Any) -> None:
    if not isinstance(schema, dict) or not _KINDS & schema.keys() or _BEYOND & schema.keys():
        raise _Unsayable
    if any(isinstance(value, dict | list) for value in (*schema.get("enum", ()), schema.get("const"))):
        raise _Unsayable
    if _is_object(schema):
        _refuse_open(schema)


def _refuse_open(schema: Body) -> None:
    """An object whose names aren't known can't be closed. Where nothing is said of further names, none are meant."""
    known = schema.get("properties", {})
    says_more = schema.get("additionalProperties", not known) is not False or schema.keys() & {"anyOf", "oneOf"}
    if says_more or not set(schema.get("required", ())) <= known.keys():
        raise _Unsayable
