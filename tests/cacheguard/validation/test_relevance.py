"""Answers that are about what was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from upstreams import asked

from cacheguard.failures import FailureClass
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation.base import Objection
from cacheguard.validation.relevance import Relevance
from embeddings.base import EmbeddingError

CARD = "How do I raise my card limit?"
RECIPE = "My grandmother's recipe needs two eggs, flour and a warm oven."


async def objection(embed, text, request=None, **facts):
    completion = replace(write_completion(text, "gpt-5", 0), **facts)
    return await Relevance(0.2, embed).objection(completion, request or asked(CARD))


@pytest.mark.parametrize(
    ("text", "is_relevant"),
    [
        ("Open the app, choose Cards, then Limits, and raise it.", True),
        ("Limits are set in the app.", True),
        (RECIPE, False),
        ("I like trains.", False),
    ],
)
async def test_an_answer_is_about_what_was_asked(embedder, text, is_relevant):
    expected = None if is_relevant else Objection(FailureClass.REJECTED, "the answer is not about what was asked")
    assert await objection(embedder.embed, text) == expected


async def test_the_last_turn_is_what_was_asked(embedder):
    turns = [
        {"role": "user", "content": "What do I need for a cake?"},
        {"role": "assistant", "content": RECIPE},
        {"role": "user", "content": CARD},
    ]
    assert await objection(embedder.embed, RECIPE, {"messages": turns})


@pytest.mark.parametrize("facts", [{"refusal": "No."}, {"has_tool_calls": True}])
async def test_what_is_no_answer_is_about_nothing(embedder, facts):
    assert await objection(embedder.embed, RECIPE, **facts) is None


async def test_what_answers_no_question_is_about_nothing(embedder):
    assert await objection(embedder.embed, RECIPE, {"messages": [{"role": "tool", "content": "3"}]}) is None


async def test_what_could_not_be_compared_is_unchecked():
    async def gone(texts):
        raise EmbeddingError("the model is gone")

    found = await objection(gone, RECIPE)
    assert (found.failure, found.unchecked) == (FailureClass.REJECTED, True)
