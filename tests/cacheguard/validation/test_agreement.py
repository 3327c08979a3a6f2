"""Whether answers say the same: to the letter where they can be read, by their vectors where not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.providers.chat_shape import read_completion, write_completion
from cacheguard.validation.agreement import medoid, similarities
from embeddings.base import EmbeddingError

MONDAY = "The branch opens at nine on Monday."


async def gone(texts):
    raise EmbeddingError("the model is gone")


def calling(**message):
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": "tool_calls"}
    return read_completion({"choices": [choice]})


def tool(name, arguments):
    return calling(tool_calls=[{"id": f"call-{name}", "type": "function", "function": {"name": name, **arguments}}])


def function(name):
    return calling(function_call={"name": name, "arguments": "{}"})


def saying(text):
    return write_completion(text, "model", 0)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (saying('{"a": 1, "b": [2]}'), saying('{"b":[2],"a":1}'), True),
        (saying("[1, 2]"), saying("[2, 1]"), False),
        (tool("pay", {"arguments": "{}"}), tool("pay", {"arguments": "{}"}), True),
        (tool("pay", {"arguments": "{}"}), tool("pay", {"arguments": '{"sum": 1}'}), False),
        (tool("pay", {"arguments": "{}"}), tool("ask", {"arguments": "{}"}), False),
        (function("pay"), function("pay"), True),
        (function("pay"), function("ask"), False),
        (tool("pay", {"arguments": "{}"}), saying("[]"), False),
    ],
)
async def test_json_and_calls_of_tools_agree_to_the_letter_without_a_model(one, other, agree):
    assert (await similarities([one, other], gone)).tolist() == [[1, agree], [agree, 1]]


async def test_what_is_no_object_and_no_list_is_prose():
    with pytest.raises(EmbeddingError):
        await similarities([saying("42"), saying("43")], gone)


async def test_two_in_json_are_compared_to_the_letter_beside_one_in_prose_too(embedder):
    of_each = await similarities([saying('{"a": 1}'), saying('{"a": 2}'), saying(MONDAY)], embedder.embed)
    assert of_each[0, 1] == 0
    assert of_each[0, 2] not in (0, 1)


async def test_the_same_words_agree_however_the_vectors_are_rounded(embedder):
    texts = [saying(MONDAY) for _ in range(3)]
    assert medoid(await similarities(texts, embedder.embed), 1.0) == (2, 3)


@pytest.mark.parametrize(
    ("similarity", "best", "agreeing"),
    [
        ([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]], 1, 2),
        ([[1, 0.9, 0.8], [0.9, 1, 0.9], [0.8, 0.9, 1]], 1, 3),
        (
            [
                [1, 0.85, 0.8, 0.79, 0],
                [0.85, 1, 0.85, 0.79, 0],
                [0.8, 0.85, 1, 0.79, 0],
                [0.79, 0.79, 0.79, 1, 0.79],
                [0, 0, 0, 0.79, 1],
            ],
            1,
            3,
        ),
        ([[1]], 0, 1),
    ],
)
def test_the_answer_that_most_agree_with_is_the_best(similarity, best, agreeing):
    assert medoid(np.array(similarity, dtype=np.float32), np.float32(0.8)) == (best, agreeing)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=7))
async def test_a_majority_wins_wherever_it_stands(letters):
    said = [saying(json.dumps([letter])) for letter in letters]
    best, agreeing = medoid(await similarities(said, gone), 0.8)
    assert agreeing == letters.count(letters[best]) == max(map(letters.count, letters))
