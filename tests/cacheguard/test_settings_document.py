"""The text of a configuration file: variables, lines, and what is no YAML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.errors import ConfigError
from cacheguard.settings.document import fill, read

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
plain = st.text(st.characters(exclude_characters="$"))
defaults = st.text(st.characters(exclude_characters="}"))


@given(plain, names, st.text(), plain)
def test_a_variable_gives_its_value_once_and_leaves_its_surroundings(before, name, value, after):
    assert fill(f"{before}${{{name}}}{after}", {name: value}) == before + value + after


@given(names, defaults)
def test_a_default_stands_in_for_an_unset_and_for_an_empty_variable(name, default):
    assert fill(f"${{{name}:-{default}}}", {}) == default
    assert fill(f"${{{name}:-{default}}}", {name: ""}) == default


@given(names, defaults, st.text(min_size=1))
def test_a_set_variable_beats_its_default(name, default, value):
    assert fill(f"${{{name}:-{default}}}", {name: value}) == value


@given(st.text(st.characters(exclude_characters="{")))
def test_text_without_a_brace_stays_as_it_is(text):
    assert fill(text, {}) == text


@given(names)
def test_a_doubled_dollar_is_no_variable(name):
    assert fill(f"$${{{name}}}", {name: "value"}) == f"${{{name}}}"


@given(names)
def test_an_unset_variable_is_named(name):
    with pytest.raises(ValueError, match=rf"environment variable {name}:"):
        fill(f"a ${{{name}}}", {})


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-b}", "${A:?}", "${A"])
def test_what_only_looks_like_a_variable_is_refused(text):
    with pytest.raises(ValueError, match="without a variable"):
        fill(text, {"A": "a"})


def test_every_value_is_text_and_knows_its_line():
    document = read("a:\n  b: 1\n  c: [no,\n    x]\nd:\n", "f.yaml", {})
    assert document.values == {"a": {"b": "1", "c": ["no", "x"]}, "d": None}
    assert document.places == {
        (): "f.yaml",
        ("a",): "f.yaml, line 1",
        ("a", "b"): "f.yaml, line 2",
        ("a", "c"): "f.yaml, line 3",
        ("a", "c", 0): "f.yaml, line 3",
        ("a", "c", 1): "f.yaml, line 4",
        ("d",): "f.yaml, line 5",
    }


def test_an_anchor_may_be_used_again():
    assert read("a: &x [1]\nb: *x\n", "f.yaml", {}).values == {"a": ["1"], "b": ["1"]}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_says_nothing(text):
    assert read(text, "f.yaml", {}).values == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "f.yaml, line 2, column 1: a tab can't indent: use spaces"),
        ("a: b: c\n", "f.yaml, line 1, column 5: mapping values are not allowed here"),
        ("a: {b: ${C}}\n", 'f.yaml, line 1, column 9: inside {…} and […], a variable needs quotes: "${NAME}"'),
        ("k: *hunter2\n", "f.yaml, line 1, column 4: found undefined alias '…'"),
        ("a: [1\n", "f.yaml, line 2, column 1: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n--- \nb: 2\n", "f.yaml, line 2, column 1: but found another document"),
        ("a: 1\nb: \a\n", "f.yaml, line 2: the character U+0007 is not allowed"),
        ("- a\n", "f.yaml: must be a mapping of sections such as server, tiers and routes"),
        ("a: &x [*x]\n", "f.yaml, line 1: is nested deeper than any setting"),
    ],
)
def test_what_is_no_settings_file_is_refused_with_its_place(text, message):
    with pytest.raises(ConfigError) as refused:
        read(text, "f.yaml", {})
    assert str(refused.value) == message
