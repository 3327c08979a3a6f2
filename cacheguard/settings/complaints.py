"""What is wrong with a configuration, one line for each key: where, what, and the way out.

pydantic's own messages repeat the input, which may be a secret. These repeat only numbers, choices and names,
and those as the file has them, before variables are put in.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

from cacheguard.settings.checks import CHECKS
from cacheguard.settings.document import NOTHING
from cacheguard.settings.strategies import STRATEGIES
from cacheguard.settings.tiers import TIER_KINDS
from cacheguard.settings.tree import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from cacheguard.settings.document import Document
    from cacheguard.settings.values import Section, Where

EXPECTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
}

KINDS = {**TIER_KINDS, **CHECKS.kinds, **STRATEGIES.kinds}
COLLECTIONS = ("a list", "a mapping")
NAMES = "letters, digits, '.', '_' and '-' only, the first a letter or digit, 64 at most"
SETTING = re.compile(r"[A-Za-z_-]{1,40}")
QUOTED = re.compile(r"'([^']*)'")


def complaints(error: ValidationError, document: Document) -> str:
    """One line for each key that is wrong, in the file's order."""
    said: dict[Where, str] = {}
    for detail in error.errors(include_url=False, include_input=False):
        where = tuple(step for step in detail["loc"] if step not in KINDS and step != "[key]")
        predicate = _predicate(detail, where, document)
        if detail["type"] == "extra_forbidden" and not SETTING.fullmatch(str(where[-1])):
            where = (*where[:-1], "…")  # it may be a secret in place of a key: `keys: [{sk-1…: acme}]`
        said.setdefault(where, predicate)
    return in_order({**said, **document.problems}, document)


def in_order(said: dict[Where, str], document: Document) -> str:
    """Each predicate behind its place and its key."""
    order = list(document.places)
    nearest = {where: _nearest(where, document) for where in said}
    return "\n".join(
        f"{document.places[nearest[where]]}: {_dotted(where)} {said[where]}"
        for where in sorted(said, key=lambda where: order.index(nearest[where]))
    )


def _predicate(detail: ErrorDetails, where: Where, document: Document) -> str:
    kind, about = detail["type"], detail.get("ctx", {})
    shown = document.shown.get(where, "")
    match kind:
        case "missing":
            says = "is missing"
        case "extra_forbidden":
            says = f"is unknown; {_suggest(str(where[-1]), _keys_beside(detail['loc']))}"
        case _ if shown == NOTHING:
            says = "is empty: give it a value, or take it out"
        case "unknown_name":
            says = f"is {shown}; {_suggest(shown, about['known'])}"
        case "literal_error":
            says = f"is {shown}; {_suggest(shown, QUOTED.findall(about['expected']))}"
        case "too_short" | "string_too_short":
            says = "is empty"
        case "string_pattern_mismatch":
            says = f"is no name: {NAMES}"
        case "tuple_type" | "dict_type" | "model_type":
            # A scalar in place of a collection may well be a key: `keys: [sk-…]`.
            says = f"is {shown if shown in COLLECTIONS else 'text'}; it must be {EXPECTED[kind]}"
        case _ if kind in EXPECTED:
            says = f"is {shown}; it must be {EXPECTED[kind].format(**about)}"
        case _:
            says = str(about.get("why") or about.get("error") or "can't be used")
    return says


def _suggest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name.strip("'"), names, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}known: {', '.join(names) or 'none'}"


def _keys_beside(loc: Where) -> list[str]:
    """The keys of the section in which the last step of `loc` stands."""
    kind: Any = Settings
    for step in loc[:-1]:
        if step in KINDS:
            kind = KINDS[step]
        elif get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        else:
            kind = _fields(kind)[str(step)]
    return list(_fields(kind))


def _fields(section: type[Section]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in section.model_fields.items()}


def _nearest(where: Where, document: Document) -> Where:
    """The innermost place in the file around `where`: a missing key has none of its own."""
    while where not in document.places:
        where = where[:-1]
    return where


def _dotted(where: Where) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).removeprefix(".")
