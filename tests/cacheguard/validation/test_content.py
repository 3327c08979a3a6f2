"""What an answer must hold, may not hold, and how long it may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.failures import FailureClass
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation.forbidden import Forbidden
from cacheguard.validation.length import Length
from cacheguard.validation.pattern import Pattern


def words(validator, text, **facts):
    """The words of the objection, or None."""
    found = validator.objection(replace(write_completion(text, "gpt-5", 0), **facts), {})
    assert found is None or found.failure is FailureClass.REJECTED
    return found and found.words


@pytest.mark.parametrize(
    ("length", "text", "expected"),
    [
        (Length(), "x", None),
        (Length(), " ", "the answer has 0 characters, fewer than 1"),
        (Length(3), "ab ", "the answer has 2 characters, fewer than 3"),
        (Length(3), "abc", None),
        (Length(1, 3), " äöü\n", None),
        (Length(1, 3), "abcd", "the answer has 4 characters, more than 3"),
    ],
)
def test_an_answer_is_neither_too_short_nor_too_long(length, text, expected):
    assert words(length, text) == expected


@pytest.mark.parametrize(
    ("must", "text", "is_held"),
    [
        ("[0-9]{3}", "Call 911.", True),
        ("[0-9]{3}", "Call 91.", False),
        ("(?i)sources:", "…\nSources: the manual", True),
        ("^Dear", "Hello\nDear", False),
        ("(?m)^Dear", "Hello\nDear", True),
    ],
)
def test_an_answer_holds_what_it_must(must, text, is_held):
    assert words(Pattern(must), text) == (None if is_held else f"the answer does not match {must!r}")


@pytest.mark.parametrize("validator", [Length(5), Pattern("^Dear")])
@pytest.mark.parametrize("facts", [{"refusal": "No."}, {"has_tool_calls": True}])
def test_what_is_no_answer_needs_neither_length_nor_content(validator, facts):
    assert words(validator, "", **facts) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Buy ACME today.", "Acme"),
        ("acme", "Acme"),
        ("“Acme”", "Acme"),
        ("Acmeist poets", None),
        ("an acme2 model", None),
        ("Learn C++!", "C++"),
        ("Learn C+ +", None),
        ("Ask for the so-called  deal", None),
        ("Ask for the so-called deal.", "so-called deal"),
        ("straße 5", "Straße"),
    ],
)
def test_forbidden_words_are_whole_words_in_any_case(text, said):
    forbidden = Forbidden(["Acme", "C++", "so-called deal", "Straße"])
    assert words(forbidden, text) == (said and f"the answer says {said!r}, which it may not")


def test_a_forbidden_pattern_is_found_anywhere_and_as_it_is_written():
    forbidden = Forbidden(pattern=r"sk-[a-z0-9]{8}")
    assert words(forbidden, "It is sk-0123abcd.") == "the answer says 'sk-[a-z0-9]{8}', which it may not"
    assert words(forbidden, "It is SK-0123ABCD.") is None


def test_what_a_tool_call_says_beside_it_is_searched_too():
    assert words(Forbidden(["Acme"]), "Asking Acme.", has_tool_calls=True)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1), st.text())
def test_every_word_can_be_forbidden(word, around):
    assert words(Forbidden([word]), f"{around} {word} {around}")


def test_no_pattern_takes_for_ever():
    assert words(Pattern("^(a+)+$"), "a" * 60 + "!")
