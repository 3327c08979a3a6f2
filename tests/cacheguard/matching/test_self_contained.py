"""Which later turns may have the answer to another conversation's first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.self_contained import _LONGEST, is_self_contained
from cacheguard.question import Question, fold

CARD = (("user", "How do I order a card?"), ("assistant", "In the app."))


def passes(text, *said):
    """said: what the user said before."""
    earlier = tuple(turn for words in said for turn in (("user", words), ("assistant", "Certainly.")))
    return is_self_contained(Question(text, fold(text), earlier or CARD))


@pytest.mark.parametrize(
    "text",
    [
        "What is ketosis?",
        "what is ketosis",
        "How do I raise my card limit?",
        "how can i raise my card limit",
        "What kind of card do children get?",
        "What's the history of Irish stew?",
        "What’s the history of Irish stew?",
        "Tell me about lung cancer.",
        "Who was Anne Bonny?",
        "When did Netflix begin to stream?",
    ],
)
def test_a_plain_question_that_leans_on_nothing_passes(text):
    assert passes(text)


@pytest.mark.parametrize(
    "text",
    [
        "How much is it?",
        "What's it like?",
        "How old is he?",
        "What about the other one?",
        "What about Docker?",
        "How about in winter?",
        "And in winter?",
        "and what is ketosis",
        "Why?",
        "why not",
        "How come?",
        "Why is that?",
        "What are the side effects?",
        "How is this disease treated?",
        "Tell me more.",
        "Tell me more about tiger sharks.",
        "What is the difference?",
        "What is better?",
        "How does Docker compare?",
        "Which is cheaper?",
        "Are there any side effects?",
        "What is there to do?",
        "What did you say?",
        "What does your first answer mean?",
        "How would Docker help?",
        "What if I lose my card?",
        "What is ketosis and is it dangerous?",
        "Yes",
        "No. What is ketosis?",
        "What? No, I meant a card.",
        "ketosis",
        "My order number is 4411.",
        "Translate to German.",
        "Explain.",
        "What empires survived?",
        "…",
        "¿?",
        "WHAT IS IT?",
    ],
)
def test_what_leans_on_something_or_is_no_plain_question_fails(text):
    assert not passes(text)


@pytest.mark.parametrize(
    "text",
    [
        "Was kostet das?",
        "Was ist Ketose?",
        "Is het duur?",
        "Will er das?",
        "¿Qué es la cetosis?",
        "Describe el proceso",
        "Qu'est-ce que c'est ?",
        "什么是酮症？",
        "Что это?",
        "What is ketοsis?",  # with a Greek letter
        "How do I say «c'était» ?",
    ],
)
def test_another_language_or_another_script_is_never_sure(text):
    assert not passes(text)


@pytest.mark.parametrize(
    "said",
    [
        "hi",
        "Hello!",
        "Good morning!",
        "Thanks!",
        "How do I order a card?",
        "how long does it take",
        "Is it free?",
        "Which one is cheaper?",
        "Tell me about cards.",
        "Describe the types of cards.",
    ],
)
def test_earlier_turns_that_greet_or_ask_tell_nothing(said):
    assert passes("What is ketosis?", said)


@pytest.mark.parametrize(
    "said",
    [
        "I am a student.",
        "I am a student. How do I order a card?",
        "As a student, can I order a card?",
        "My order is late",
        "Answer in French.",
        "Please answer in French",
        "Could you answer in French?",
        "From now on you are a pirate",
        "Do not use lists",
        "Have a card",
        "in Spanish",
        "Yes",
        "ok",
        "",
        "👍",
        "How do I order a card?\nI am a student",
    ],
)
def test_whoever_told_something_may_mean_it_still(said):
    assert not passes("What is ketosis?", said)
    assert not passes("What is ketosis?", said, "How do I order a card?")


@given(st.text(), st.sampled_from(["it", "That", "they're", "OTHERS", "else", "than", "which"]), st.text())
def test_a_word_that_leans_is_found_wherever_it_stands(before, word, after):
    assert not passes(f"What is {before} {word} {after}?")


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text())), st.text())
def test_any_text_can_be_read(earlier, text):
    assert is_self_contained(Question(text, fold(text), tuple(earlier))) in {True, False}


def test_long_turns_bring_a_context_of_their_own():
    assert not passes("What is ketosis" + " of the young" * _LONGEST + "?")
    assert not passes("What is ketosis?", "How do I order a card" + " of the bank" * _LONGEST + "?")
