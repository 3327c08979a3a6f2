"""Answers that a model gives again, more or less, when it is asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from upstreams import asked

from cacheguard.failures import FailureClass
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation.self_consistency import SelfConsistency
from embeddings.base import EmbeddingError

ANSWER = "Open the app, choose Cards, then Limits, and raise the limit there."
IN_OTHER_WORDS = "You can raise your card limit in the app: go to Cards, tap Limits and set a higher amount."
OTHERWISE = "Call us on weekdays and a colleague will see to it."
NESTED = "[" * 100_000


@pytest.fixture
def objection(host, ask, embedder):
    """What is objected to an answer when the model, asked again, says these things in turn."""

    async def objection(samples, text=ANSWER, embed=embedder.embed, request=None, **facts):
        rules = [
            {
                "when": {"calls": {"from": number, "to": number}},
                "then": {"text": said} if isinstance(said, str) else said,
            }
            for number, said in enumerate(samples, start=1)
        ]
        host.play(*rules)
        completion = replace(write_completion(text, "gpt-5", 0), **facts)
        return await SelfConsistency(len(samples), 0.8, embed, ask).objection(completion, request or asked())

    return objection


@pytest.mark.parametrize(
    ("samples", "agreeing"),
    [
        ([ANSWER, ANSWER], 2),
        ([IN_OTHER_WORDS, ANSWER], 2),
        ([OTHERWISE, IN_OTHER_WORDS], 1),
        ([OTHERWISE, OTHERWISE], 0),
        ([OTHERWISE, OTHERWISE, IN_OTHER_WORDS], 1),
        ([OTHERWISE, IN_OTHER_WORDS, IN_OTHER_WORDS], 2),
        ([OTHERWISE], 0),
        ([{"refusal": "No."}, {"refusal": "No."}], 0),
        ([{"refusal": "No."}, IN_OTHER_WORDS], 1),
        (["", ""], 0),
    ],
)
async def test_at_least_half_of_the_samples_agree(objection, samples, agreeing):
    found = await objection(samples)
    if 2 * agreeing >= len(samples):
        assert found is None
    else:
        assert (found.failure, found.unchecked) == (FailureClass.REJECTED, False)
        assert found.words == (
            f"asked again, the model says something else: {agreeing} of {len(samples)} samples agree"
        )


@pytest.mark.parametrize(
    ("sample", "agrees"),
    [
        ('{\n "limit": 500, "card": "debit"}', True),
        ('{"card": "debit", "limit": 501}', False),
        ('["debit", 500]', False),
        ("The limit of your debit card is 500.", False),
        (NESTED, False),
    ],
)
async def test_json_agrees_where_it_is_equal(objection, sample, agrees):
    assert (await objection([sample], '{"card": "debit", "limit": 500}') is None) is agrees


async def test_equal_answers_need_no_vectors(objection):
    async def gone(texts):
        raise EmbeddingError("the model is gone")

    assert await objection([ANSWER, ANSWER], embed=gone) is None
    found = await objection([ANSWER, OTHERWISE], embed=gone)
    assert (found.failure, found.unchecked) == (FailureClass.REJECTED, True)


async def test_an_answer_whose_samples_fail_is_unchecked(objection):
    found = await objection([ANSWER, {"status": 503}])
    assert (found.failure, found.unchecked) == (FailureClass.REJECTED, True)


async def test_the_same_tier_is_asked_the_same_question_as_often_as_wanted(objection, host):
    request = asked(temperature=0.7, top_p=0.9)
    await objection([ANSWER, ANSWER, ANSWER], request=request)
    assert host.calls["bodies"] == [{**request, "model": "writer", "stream": False}] * 3


@pytest.mark.parametrize("facts", [{"refusal": "No."}, {"has_tool_calls": True}])
async def test_what_is_no_answer_is_not_asked_for_again(objection, host, facts):
    assert await objection([OTHERWISE], **facts) is None
    assert host.calls["bodies"] == []
