"""What is asked, and which ways of writing it are the same question."""

from __future__ import annotations

import unicodedata

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.question import NoQuestion, Question, ask_instead, fold, read_question, text_of, without_earlier


def any_text():
    """Lone surrogates too: logs read by Python's own json may hold them."""
    return st.text(st.characters(exclude_categories=()) | st.sampled_from("  \t\n.…!?。²½5aßİΣ"))


def user(content, **more):
    return {"role": "user", "content": content, **more}


SAME = [
    ("Where is my card?", "where is my card"),
    ("Where is my card ?", "Where is my card?!"),
    ("  Where\tis \n my card  ", "Where is my card"),
    ("Where is my card...", "Where is my card…"),
    ("HELLO!!!", "hello"),
    ("It costs 5.", "it costs 5"),
    ("ｗｈｅｒｅ　ｉｓ　ｉｔ？", "Where is it"),
    ("你好！", "你好。"),
    ("cafe\u0301", "café"),
    ("the ﬁrst", "the first"),
    ("5 ㎏", "5 kg"),
    ("ΟΔΟΣ", "οδος"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_space_forms_and_trailing_marks_make_no_difference(one, other):
    assert fold(one) == fold(other)


DIFFERENT = [
    ("C++", "C"),
    ("C#", "C"),
    ("C++?", "C?"),
    (".NET", "NET"),
    (".env", "env"),
    ("10²", "102"),
    ("10⁻³", "10-3"),
    ("x₂", "x2"),
    ("1½", "11/2"),
    ("½", "12"),
    ("5!", "5"),
    ("5!?", "5?"),
    ("5!!", "5!"),
    ("5‼", "5!"),
    ("5！", "5"),
    ("٥!", "٥"),
    ("limit of n!", "limit of n"),
    ("(n+1)!", "(n+1)"),
    ("1.5", "15"),
    ("5%", "5"),
    ("-5", "5"),
    ("$5", "5"),
    ("i++", "i--"),
    ("git add .", "git add"),
    ("cd ..", "cd ."),
    ("cd .. ?", "cd . ?"),
    ("What is ℝ?", "What is R?"),
    ("What is ℂ?", "What is C?"),
    ("in Maßen", "in Massen"),
    ("İ", "I"),
    ("ılık", "ilik"),
    ("résumé", "resume"),
    ("👍", "👎"),
    ("👍🏽", "👍🏿"),
    ("👨\u200d👩\u200d👧", "👨👩👧"),
    ("🇩🇪", "🇩🇰"),
    ("a\u200bb", "a b"),
    ("می\u200cخواهم", "می خواهم"),
    ("\u202eabc", "abc"),
    ("?", "!"),
    ("...", "?"),
    ("\ud800", "\udfff"),
    ("no", "on"),
    ("now here", "nowhere"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_may_be_another_question_stays_apart(one, other):
    assert fold(one) != fold(other)


@given(any_text())
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


def test_folding_twice_is_folding_once_for_every_character_that_folds():
    folding = [c for c in map(chr, range(0x110000)) if unicodedata.normalize("NFKC", c).lower() != c]
    texts = [around.format(c) for c in folding for around in ("{}", "a{}", "5{}!", "{} b.")]
    assert [text for text in texts if fold(fold(text)) != fold(text)] == []


@given(any_text())
def test_a_question_never_folds_to_nothing(text):
    assert bool(fold(text)) == bool(text.strip())


@given(any_text(), st.sampled_from([" ", "\n", "?", " ? ", "。"]))
def test_one_more_trailing_mark_asks_the_same(text, mark):
    words = f"{text}x"
    assert fold(words + mark) == fold(words)


@pytest.mark.parametrize("marks", ["?", "!", ".", "5!", ". ", "…", "²"])
def test_a_megabyte_of_marks_folds_like_any_megabyte(marks):
    """Quadratic time would take hours here."""
    text = "x" + marks * (2**20 // len(marks)) + "x"
    assert len(fold(text)) >= 2**20


@pytest.mark.parametrize("raw", [rb'"\ud800"', rb'"\udc00"', rb'"\ud800 x"', b'"\xed\xa0\x80"', b'"\xff"'])
def test_half_characters_do_not_come_in_over_http(raw):
    with pytest.raises(ValueError, match=r"hex escape|unicode code point"):
        pydantic_core.from_json(raw)


def test_the_last_turn_is_the_question_and_the_turns_before_it_are_kept():
    messages = [
        {"role": "system", "content": "Be brief."},
        user("Hi"),
        {"role": "assistant", "content": "Hello!"},
        {"role": "developer", "content": "In English."},
        user("Where is it?"),
    ]
    assert read_question(messages) == Question("Where is it?", "where is it", (("user", "Hi"), ("assistant", "Hello!")))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "last-turn"),
        ([{"role": "system", "content": "Be brief."}], "last-turn"),
        ([user("Hi"), {"role": "assistant", "content": "Hel"}], "last-turn"),
        ([user("")], "blank"),
        ([user(" \n\u3000")], "blank"),
        ([user(None)], "blank"),
        ([{"role": "user"}], "blank"),
        ([user([])], "blank"),
        ([user([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}])], "media"),
        ([user([{"type": "text", "text": "What is this?"}, {"type": "input_audio", "input_audio": {}}])], "media"),
        ([user([{"type": "text"}])], "media"),
        ([user([{"type": "image_url"}]), {"role": "assistant", "content": "A cat."}, user("Which breed?")], "media"),
        ([user("Hi"), {"role": "tool", "content": "21 °C"}, user("And now?")], "tools"),
        ([user("Hi"), {"role": "function", "content": "21 °C"}], "tools"),
        ([{"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}, user("Hi")], "tools"),
        ([{"role": "assistant", "function_call": {"name": "f"}}, user("Hi")], "tools"),
    ],
)
def test_what_no_earlier_answer_can_answer_is_no_question(messages, reason):
    assert read_question(messages) == NoQuestion(reason)


@pytest.mark.parametrize(
    "content", ["Where is\nit?", [{"type": "text", "text": "Where is"}, {"type": "text", "text": "it?"}]]
)
def test_text_parts_ask_the_same_as_one_text(content):
    assert read_question([user(content)]) == Question("Where is\nit?", "where is it")


@pytest.mark.parametrize("content", [{"type": "text", "text": "a"}, 5, True])
def test_content_of_no_known_shape_has_no_words(content):
    assert text_of(content) is None


@given(st.lists(st.sampled_from(["system", "developer"]), max_size=3), any_text().filter(str.strip))
def test_other_words_replace_the_question_alone_wherever_instructions_stand(roles, words):
    instructions = [{"role": role, "content": "Be brief."} for role in roles]
    earlier = [user("Hi"), {"role": "assistant", "content": "Hello!"}]
    messages = [*earlier, user("Where is it?", name="Ann"), *instructions]
    assert ask_instead(messages, words) == [*earlier, user(words, name="Ann"), *instructions]


@given(st.lists(st.sampled_from(["system", "developer"]), max_size=3), any_text().filter(str.strip))
def test_without_earlier_turns_a_question_is_a_first_one_under_the_same_instructions(roles, words):
    instructions = [{"role": role, "content": "Be brief."} for role in roles]
    earlier = [user("Hi"), {"role": "assistant", "content": "Hello!"}]
    alone = without_earlier([*instructions, *earlier, user(words, name="Ann"), *instructions])
    assert alone == [*instructions, user(words, name="Ann"), *instructions]
    assert read_question(alone) == Question(words, fold(words))
