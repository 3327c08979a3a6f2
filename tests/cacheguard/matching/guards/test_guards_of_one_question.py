"""Guards that object to what a question is about, and what all guards have in common."""

from __future__ import annotations

import pytest

from cacheguard.matching.decide import Match
from cacheguard.matching.guards import GUARDS, first_veto, make_guards
from cacheguard.question import Question
from cacheguard.settings import Cache
from cacheguard.types import Answer, Origin, Phrasing, Provenance

NOW = 1_767_225_600.0  # the first second of 2026
GENERAL = "How do I change my PIN?"
MINUTE_S, HOUR_S, DAY_S, YEAR_S = 60, 3600, 86_400, 365 * 86_400

PERSONAL = [
    "Where is my order 4411?",
    "where is order #4411",
    "What is the status of ticket no. AB-2041?",
    "What's my balance?",
    "What’s my current account balance",
    "my balance",
    "Show me my last three transactions in account 20481",
    "How much do I owe?",
    "How much money do I have in savings?",
    "When is my appointment?",
    "Where's my package?",
    "What is my name?",
    "Who am I?",
    "What do you know about jane.doe@example.com?",
    "Is DE89 3704 0044 0532 0130 00 blocked?",
    "Wo bleibt die Sendung 00340434292135100186?",
]
FOR_ALL = [
    GENERAL,
    "Why is my balance not updated?",
    "How do I see my balance?",
    "What is a balance?",
    "When will my card arrive?",
    "How much do I have to pay for a transfer?",
    "How many cards can I order?",
    "Where can I see my order history?",
    "My card was declined",
    "What happens to my points when I leave?",
    "Do I need 2 cards?",
    "Is it open in 2026?",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_who_asks_for_their_own_data_gets_no_earlier_answer(objects, text):
    """Semantic-router (vLLM), 1448: a customer's balance was shown to another."""
    assert objects("personal", text, GENERAL)
    assert objects("personal", text, text)


@pytest.mark.parametrize("text", PERSONAL)
def test_what_a_person_asked_about_themselves_answers_nobody_else(objects, text):
    assert objects("personal", GENERAL, text)
    assert not objects("personal", GENERAL, text, "How can a PIN be changed?")


@pytest.mark.parametrize("text", FOR_ALL)
def test_who_speaks_of_their_own_things_is_still_answered_as_others_are(objects, text):
    """Semantic-router (vLLM), PR 1502: only personal questions are skipped, others are shared."""
    assert not objects("personal", text, text)


@pytest.mark.parametrize(
    ("text", "holds_s"),
    [
        ("What is the dollar worth right now?", 10 * MINUTE_S),
        ("Where are masks currently required?", 10 * MINUTE_S),
        ("Is the branch open today?", HOUR_S),
        ("What’s tomorrow’s weather?", HOUR_S),
        ("What is the latest version?", 6 * HOUR_S),
        ("Which films run this week?", 6 * HOUR_S),
        ("Which holidays are this year?", 7 * DAY_S),
        ("What is the best phone of 2026?", 7 * DAY_S),
        ("Wer gewinnt die Wahl 2028?", 7 * DAY_S),
    ],
)
def test_an_answer_holds_as_long_as_the_wording_lets_it(objects, text, holds_s):
    assert not objects("time_sensitive", text, text, age_s=holds_s)
    assert objects("time_sensitive", text, text, age_s=holds_s + 1)
    assert objects("time_sensitive", "the same without a time", text, age_s=holds_s + 1)
    assert objects("time_sensitive", text, "the same without a time", age_s=holds_s + 1)
    assert not objects("time_sensitive", "without a time", text, "the same without a time", age_s=holds_s + 1)


@pytest.mark.parametrize(
    "text",
    [
        "Who won the world cup in 2014?",
        "My card was declined today, what can I do?",
        "How do I open a current account?",
        "I recently moved",
        "How do I cook rice?",
    ],
)
def test_what_does_not_change_may_be_old(objects, text):
    assert not objects("time_sensitive", text, text, age_s=YEAR_S)


def test_a_year_counts_until_it_is_over(objects):
    question = "Who won the cup in 2025?"  # an answer of ten days ago was written in 2025
    assert objects("time_sensitive", question, question, age_s=10 * DAY_S)
    assert not objects("time_sensitive", "Who won the cup in 2024?", "Who won the cup in 2024?", age_s=10 * DAY_S)


def near(asked, known):
    answer = Answer("a", "scope", "acme", "faq", "Yes.", Provenance("strong"), 0, NOW)
    return Question(asked, asked), [Match(Phrasing(1, "a", "scope", known, known, Origin.LOG, 0), answer, 0.9)]


def test_guards_are_asked_in_their_own_order_and_the_first_veto_counts():
    assert [guard.name for guard in make_guards(["language", "direction", "numbers"])] == [
        "numbers",
        "direction",
        "language",
    ]
    both = near("How do I buy 3 shares?", "How do I sell 4 shares?")
    assert first_veto(*both, make_guards(GUARDS), NOW) == "numbers"
    assert first_veto(*both, make_guards(["direction"]), NOW) == "direction"
    assert first_veto(*both, make_guards(["names"]), NOW) == ""
    assert first_veto(*both, (), NOW) == ""


def test_settings_name_every_guard_and_ask_all_of_them_unless_told_otherwise():
    assert Cache().guards == tuple(GUARDS)
    assert make_guards(Cache(guards=[]).guards) == ()


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize(
    "text", ["", "?", "e", "\ud800", "12", "你好吗", "🙂", "a" * 10_000, "1" * 10_000, "to " * 3000]
)
def test_no_text_is_too_odd(objects, guard, text):
    assert objects(guard, text, "How do I buy 3 shares from Apple today?") in {True, False}
    assert objects(guard, "How do I buy 3 shares from Apple today?", text) in {True, False}
