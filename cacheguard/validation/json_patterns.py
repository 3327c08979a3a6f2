"""JSON Schema's keywords that hold regular expressions, in time that grows with the text alone.

The library runs them with Python's `re`; a client's schema must not be able to stop the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema.exceptions import ValidationError

from cacheguard.errors import RequestError
from cacheguard.validation.regex import Regex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Schema = Mapping[str, Any]


def _pattern(check: Any, pattern: str, instance: Any, schema: Schema) -> Iterator[ValidationError]:  # noqa: ARG001
    if check.is_type(instance, "string") and not _found([pattern], instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    check: Any,
    by_pattern: Schema,
    instance: Any,
    schema: Schema,  # noqa: ARG001
) -> Iterator[ValidationError]:
    if check.is_type(instance, "object"):
        for pattern, wanted in by_pattern.items():
            for name, value in instance.items():
                if _found([pattern], name):
                    yield from check.descend(value, wanted, path=name, schema_path=pattern)


def _additional_properties(check: Any, wanted: Any, instance: Any, schema: Schema) -> Iterator[ValidationError]:
    if not check.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in known or _found(patterns, name):
            continue
        if wanted is False:
            yield ValidationError(f"the property {name!r} is not allowed")
        else:
            yield from check.descend(value, wanted, path=name)


def _found(patterns: Iterable[str], text: str) -> bool:
    return any(_regex(pattern).is_in(text) for pattern in patterns)


def _regex(pattern: str) -> Regex:
    try:
        return Regex(pattern)
    except ValueError as exc:
        why = f"response_format: json_schema.schema: the pattern {pattern!r} can't be used: {exc}"
        raise RequestError(why, param="response_format") from None


KEYWORDS = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
}
