"""Answers in the language of their question, or in one that the route allows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from upstreams import asked

from cacheguard.failures import FailureClass
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation.language import Language

ENGLISH = "How do I raise the limit of my card?"
GERMAN = "Öffne die App, wähle deine Karte und dann die Grenzen."
NORWEGIAN = "Hvordan tilbakestiller jeg passordet mitt?"


def objection(text, prompt=ENGLISH, only=(), **facts):
    """The words of the objection, or None."""
    found = Language(only).objection(replace(write_completion(text, "gpt-5", 0), **facts), asked(prompt))
    assert found is None or (found.failure, found.unchecked) == (FailureClass.REJECTED, False)
    return found and found.words


@pytest.mark.parametrize(
    ("prompt", "text", "words"),
    [
        (ENGLISH, "Open the app and choose your card.", None),
        (ENGLISH, GERMAN, "the answer is in the wrong language: de, where it must be en"),
        ("Wie erhöhe ich mein Kartenlimit?", GERMAN, None),
        ("Wie erhöhe ich mein Kartenlimit?", ENGLISH, "the answer is in the wrong language: en, where it must be de"),
        ("PayPal?", GERMAN, None),
        (ENGLISH, "Ja.", None),
        (NORWEGIAN, "Åpne appen, velg Kort, og deretter Grenser, for å øke den.", None),
    ],
)
def test_an_answer_is_in_the_language_of_its_question(prompt, text, words):
    assert objection(text, prompt) == words


@pytest.mark.parametrize(
    ("only", "text", "words"),
    [
        (["en", "de"], GERMAN, None),
        (["en", "fr"], GERMAN, "the answer is in the wrong language: de, where it must be en or fr"),
        (["de"], ENGLISH, "the answer is in the wrong language: en, where it must be de"),
        (["fr"], "Ja.", None),
        (["no"], NORWEGIAN, None),
    ],
)
def test_an_answer_is_in_an_allowed_language_whatever_was_asked(only, text, words):
    assert objection(text, only=only) == words
    assert objection(text, "PayPal?", only=only) == words


@pytest.mark.parametrize("facts", [{"refusal": "Nein."}, {"has_tool_calls": True}])
def test_what_is_no_answer_has_no_language(facts):
    assert objection(GERMAN, **facts) is None


def test_what_answers_no_question_may_be_in_any_language():
    request = {"messages": [{"role": "tool", "content": "3"}]}
    assert Language().objection(write_completion(GERMAN, "gpt-5", 0), request) is None
