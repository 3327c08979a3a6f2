"""A configuration file's text: what it says, and on which line.

Every scalar stays text until the setting that it fills gives it a type. So `${PORT}` works for numbers too,
and neither a model named 4 nor a route named no turns into something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from cacheguard.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.settings.values import Where

DEEPEST = 20
"""Levels. The settings have six; an alias inside its own anchor has no end."""
LONGEST = 60
"""Characters of a value that a message repeats."""
NOTHING = "nothing"

_STANDARD_TAG = "tag:yaml.org,2002:"
_NULL = f"{_STANDARD_TAG}null"
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")


@dataclass(slots=True)
class Document:
    """values: nested dicts and lists of text and None. By the keys that lead to each of them: places: where it
    stands, in the file's order; shown: how a message shows it, variables not put in; problems: what is wrong.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Where, str] = field(default_factory=dict)
    shown: dict[Where, str] = field(default_factory=dict)
    problems: dict[Where, str] = field(default_factory=dict)


def read(text: str, name: str, environ: Mapping[str, str]) -> Document:
    """What `text` says, variables taken from `environ`. Raises ConfigError where it is no mapping in YAML."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        raise ConfigError(f"{name}, {_syntax(exc, text)}") from None  # the cause quotes the file
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise ConfigError(f"{name}, line {line}: the character U+{exc.character:04X} is not allowed") from None
    if root is None or root.tag == _NULL:
        return Document(places={(): name})
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{name}: must be a mapping of sections such as server, tiers and routes")
    return _Reader(name, environ).document(root)


class _Reader:
    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._environ = environ
        self._found = Document(places={(): name})

    def document(self, root: yaml.MappingNode) -> Document:
        self._found.values = self._mapping(root, ())
        return self._found

    def _value(self, node: yaml.Node, where: Where, line: str) -> Any:
        if len(where) > DEEPEST:
            raise ConfigError(f"{self._name}, {line}: is nested deeper than any setting")
        self._found.places[where] = f"{self._name}, {line}"
        match node:
            case yaml.MappingNode():
                self._found.shown[where] = "a mapping"
                return self._mapping(node, where)
            case yaml.SequenceNode():
                self._found.shown[where] = "a list"
                return [self._value(item, (*where, n), _line(item)) for n, item in enumerate(node.value)]
            case _:
                return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, str] = {}
        for key_node, child in node.value:
            key, line = str(key_node.value), _line(key_node)
            if key in first:
                self._found.problems[*where, key] = f"stands twice, on {first[key]} and {line}: keep one"
            else:
                first[key] = line
                values[key] = self._value(child, (*where, key), line)
        return values

    def _scalar(self, node: yaml.Node, where: Where) -> str | None:
        if node.tag == _NULL:
            self._found.shown[where] = NOTHING
            return None
        self._found.shown[where] = repr(node.value[:LONGEST])
        if not node.tag.startswith(_STANDARD_TAG):
            self._found.problems[where] = "has a tag, which means nothing here: text after a ! needs quotes"
        try:
            return fill(node.value, self._environ)
        except ValueError as exc:
            self._found.problems[where] = str(exc)
            return ""


def fill(text: str, environ: Mapping[str, str]) -> str:
    """`text` with the variables ${NAME} and ${NAME:-default} put in. Raises ValueError, which names the variable.

    As in a shell, the default stands in for an empty variable too. As in compose files, $${ gives ${.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        if name is None:
            raise ValueError("holds ${ without a variable: write ${NAME} or ${NAME:-default}, or $${ for ${")
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            raise ValueError(f"needs the environment variable {name}: set it, or write ${{{name}:-default}}")
        return environ[name]

    return _VARIABLE.sub(value, text)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _syntax(exc: yaml.MarkedYAMLError, text: str) -> str:
    mark, problem = exc.problem_mark, str(exc.problem)
    if mark is None:
        return problem
    line = [*text.splitlines(), ""][mark.line]
    if line[mark.column : mark.column + 1] == "\t":
        problem = "a tab can't indent: use spaces"
    elif line[mark.column - 1 : mark.column + 1] == "${":
        problem = 'inside {…} and […], a variable needs quotes: "${NAME}"'
    # What was read as an alias or a tag may be a secret that lacks quotes.
    problem = re.sub(r"(alias|anchor|handle) '[^']*'", r"\1 '…'", problem)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
