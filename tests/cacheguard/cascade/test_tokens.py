"""Estimates of tokens, held against the counts that tokenizers gave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.tokens import MEDIA_TOKENS, MESSAGE_TOKENS, input_tokens, tokens_in, wanted_tokens

# Counted with o200k in OpenAI's "Hello GPT-4o", but for the code: MiniLM's WordPiece.
COUNTED = [
    (24, "Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!"),
    (29, "Hallo, mein Name is GPT-4o. Ich bin ein neues KI-Sprachmodell. Es ist schön, dich kennenzulernen."),
    (24, "你好，我的名字是GPT-4o。我是一种新型的语言模型，很高兴见到你!"),
    (26, "こんにちは、私の名前はGPT-4oです。私は新しいタイプの言語モデルです。初めまして！"),
    (27, "안녕하세요, 제 이름은 GPT-4o입니다. 저는 새로운 유형의 언어 모델입니다, 만나서 반갑습니다!"),
    (23, "Привет, меня зовут GPT-4o. Я — новая языковая модель, приятно познакомиться!"),
    (18, "def total(rows): return sum(row.price for row in rows)"),
]


@pytest.mark.parametrize(("tokens", "text"), COUNTED)
def test_an_estimate_is_near_the_count_in_any_script(tokens, text):
    assert 0.7 * tokens <= tokens_in(text) <= 1.5 * tokens


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_more_text_is_never_fewer_tokens(one, other):
    assert max(tokens_in(one), tokens_in(other)) <= tokens_in(one + other) <= tokens_in(one) + tokens_in(other)


def test_nothing_is_no_token_and_a_letter_is_one():
    assert (tokens_in(""), tokens_in("a")) == (0, 1)


def body(*messages, **fields):
    return {"model": "m", "messages": list(messages), **fields}


HELLO = {"role": "user", "content": "Hello, world!"}  # 4 tokens


def test_a_message_is_its_words_and_its_frame():
    assert input_tokens(body(HELLO, HELLO)) == 2 * (MESSAGE_TOKENS + 4)


def test_an_image_is_an_estimate_whatever_its_url_is_long():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    parts = {"role": "user", "content": [{"type": "text", "text": "Hello, world!"}, image]}
    assert input_tokens(body(parts)) == MESSAGE_TOKENS + 4 + MEDIA_TOKENS


@pytest.mark.parametrize("field", ["tools", "functions", "response_format"])
def test_what_describes_tools_and_forms_is_read_too(field):
    described = [{"name": "find", "description": "x" * 400}]
    assert input_tokens(body(HELLO, **{field: described})) > input_tokens(body(HELLO)) + 100


def test_an_earlier_call_is_read_too():
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "x" * 400}}
    assert input_tokens(body({"role": "assistant", "content": None, "tool_calls": [call]})) > 100


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": "many"}, None),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
    ],
)
def test_a_request_may_say_how_long_its_answer_may_be(fields, tokens):
    assert wanted_tokens(body(HELLO, **fields)) == tokens
