"""An answer has the form that the request's response_format asks for. Costs 0.05 ms, and 3 ms when a schema is new."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from cacheguard.errors import RequestError
from cacheguard.failures import FailureClass
from cacheguard.validation.base import Objection, cut_as_asked, is_answer
from cacheguard.validation.json_patterns import KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema.exceptions import ValidationError

    from cacheguard.providers.base import Completion

    Keyword: TypeAlias = Callable[[Any, str, Any, Mapping[str, Any]], Iterator[ValidationError]]

_FIELD = "response_format"
_FOLLOWING = {"$ref", "$dynamicRef", "$recursiveRef"}
# So many errors, and so much of each, are told: a model mends them one by one, and an error may quote the answer.
_ERRORS_TOLD = 3
_ERROR_LIMIT = 200
# $refs that are followed for one answer: 0.6 s, and ten times what an answer of 1,000 entries needs. A schema of a few
# lines, each of which refers to the next one twice, would have billions followed.
_REFERENCES = 10_000


class JsonSchema:
    """Objects to what is no JSON, or JSON of another form. An answer is taken as the client gets it, fences and all.

    A refusal, a tool call and a length that the client itself set pass: they are no answers in that form.
    """

    name: ClassVar[str] = "json_schema"

    def objection(self, completion: Completion, request: Mapping[str, Any]) -> Objection | None:
        """Raises RequestError, as `wanted_form` does."""
        form = wanted_form(request)
        if form is None or not is_answer(completion) or cut_as_asked(completion, request):
            return None
        words = next(filter(None, (_wrong(text, form) for text in _texts(completion))), "")
        return Objection(FailureClass.SCHEMA, words) if words else None


class Form:
    """A schema, ready to be held against answers."""

    def __init__(self, schema: Mapping[str, Any], draft: Any) -> None:
        follow = {name: self._counted(draft.VALIDATORS[name]) for name in _FOLLOWING & draft.VALIDATORS.keys()}
        # Without a registry of its own, the library would fetch what a $ref names from anywhere.
        self._check = extend(draft, {**KEYWORDS, **follow})(schema, registry=EMPTY_REGISTRY)
        self._references = 0

    def errors(self, answer: Any) -> list[ValidationError]:
        """The first few. Raises RequestError where the schema refers to nothing, or to too much."""
        self._references = 0
        try:
            return list(islice(self._check.iter_errors(answer), _ERRORS_TOLD))
        except Unresolvable as exc:
            _refuse(f"json_schema.schema refers to {exc.ref!r}, which is not in it")

    def _counted(self, follow: Keyword) -> Keyword:
        def keyword(check: Any, reference: str, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
            self._references += 1
            if self._references > _REFERENCES:
                _refuse(f"json_schema.schema: one answer takes more than {_REFERENCES:,} steps along its $refs")
            yield from follow(check, reference, instance, schema)

        return keyword


def wanted_form(request: Mapping[str, Any]) -> Form | None:
    """The form that is asked for; None: any text. Raises RequestError for a broken one."""
    match request.get(_FIELD):
        case {"type": "json_object"}:
            return _read('{"type": "object"}')
        case {"type": "json_schema", **rest}:
            wanted = rest.get("json_schema")
            if not isinstance(wanted, dict):
                _refuse("json_schema is missing, or no object")
            schema = wanted.get("schema")
            return _read(json.dumps({} if schema is None else schema))
        case _:
            return None


@lru_cache(maxsize=100)
def _read(written: str) -> Form:
    schema = json.loads(written)
    if not isinstance(schema, dict):
        _refuse("json_schema.schema is no object")
    if "patternProperties" in written and "unevaluatedProperties" in written:
        _refuse("json_schema.schema: patternProperties and unevaluatedProperties can't be checked together")
    draft = validator_for(schema, default=Draft202012Validator)
    try:
        draft.check_schema(schema)
    except SchemaError as exc:
        where = "".join(f".{step}" for step in exc.absolute_path)
        _refuse(f"json_schema.schema{where} is no valid JSON Schema: its {exc.validator} is wrong")
    return Form(schema, draft)


def _texts(completion: Completion) -> Iterator[str]:
    """What every choice says; the first must say something."""
    yield completion.text
    for choice in completion.body["choices"][1:]:
        if content := choice["message"].get("content"):
            yield str(content)


def _wrong(text: str, form: Form) -> str:
    """What is wrong, for the model that is to mend it; "" where nothing is."""
    try:
        errors = form.errors(json.loads(text, parse_constant=_no_number))
    except RecursionError:
        return "the answer is nested too deeply"
    except json.JSONDecodeError as exc:
        fenced = "it stands in a code fence" if text.lstrip().startswith("```") else str(exc)
        return f"the answer is not bare JSON: {fenced}"
    except ValueError as exc:
        return f"the answer is not JSON: {exc}"
    told = "; ".join(f"{error.json_path}: {error.message[:_ERROR_LIMIT]}" for error in errors)
    return f"the answer does not fit the JSON Schema: {told}" if told else ""


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"it has no {constant}")


def _refuse(why: str) -> NoReturn:
    raise RequestError(f"{_FIELD}: {why}", param=_FIELD)
