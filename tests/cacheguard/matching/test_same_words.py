"""Near-exact: the same words are told from others that look like them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.same_words import same_words
from cacheguard.question import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What's the delivery time?", "what is the delivery time"),
        ("I cant log in, what do I do?", "I can't log in what do I do"),
        ("I cannot log in", "I can not log in!"),
        ("I don’t have a PIN", "I do not have a PIN"),
        ("Where is my card", "Hello, where is my card please?"),
        ("How do I get a card?", "How do I get the card?"),
        ("Is it a top-up fee?", "Is it the top up fee"),
        ('What does "pending" mean?', "What does pending mean?"),
        ("Lost my card. What now?", "lost my card, what now"),
        ("Where is my card? Thank you!", "Where is my card?"),
        ("Thanks", "thanks!"),
    ],
)
def test_marks_contractions_articles_and_courtesies_make_no_other_question(one, other):
    assert same_words(one, other)
    assert same_words(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I pay by card?", "Can I not pay by card?"),
        ("Should I buy it?", "Should I sell it?"),
        ("Turn the light on", "Turn the light off"),
        ("Can my children be vaccinated?", "Can children be vaccinated?"),
        ("What does 3.5 mean?", "What does 35 mean?"),
        ("Is C++ hard?", "Is C hard?"),
        ("What is .NET?", "What is net?"),
        ("Is 10% enough for me?", "Is 10 enough for me?"),
        ("How much is $5?", "How much is €5?"),
        ("What is 5! in words?", "What is 5 in words?"),
        ("What does `git add .` do?", "What does `git add` do?"),
        ("Is vitamin A good for me?", "Is vitamin good for me?"),
        ("How do I say thanks?", "How do I say hello?"),
        ("from London to Paris", "from Paris to London"),
        ("I'll call", "Ill call"),
        ("", "?"),
        ("Mach das Licht an für mich bitte", "Mach das Licht für mich bitte"),
        ("¿Dónde está la tarjeta?", "¿Dónde está una tarjeta?"),
    ],
)
def test_any_other_word_number_or_sign_makes_another_question(one, other):
    assert not same_words(one, other)
    assert not same_words(other, one)


@given(st.text(max_size=60), st.text(max_size=60))
def test_it_makes_no_difference_who_is_asked_about_whom(one, other):
    assert same_words(one, other) == same_words(other, one)


@given(
    st.lists(
        st.sampled_from(["how", "do", "i", "get", "my", "card", "back", "now", "a", "the"]), min_size=1, max_size=12
    )
)
def test_what_folds_to_one_text_is_of_the_same_words(words):
    text = " ".join(words)
    assert same_words(text, fold(text)) == same_words(text, text)
