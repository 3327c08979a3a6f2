"""Answers that another model finds right or wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from upstreams import asked

from cacheguard.failures import FailureClass
from cacheguard.providers.chat_shape import write_completion
from cacheguard.validation.base import Objection
from cacheguard.validation.judge import Judge

ANSWER = "Open the app and choose Limits."


def verdict(verdict, reason="It says so."):
    return {"text": json.dumps({"reason": reason, "verdict": verdict})}


@pytest.fixture
def objection(host, ask):
    """What is objected to an answer when the judge says this."""

    async def objection(said, text=ANSWER, request=None, criteria="", **facts):
        host.play({"when": {"model": "strict"}, "then": said})
        completion = replace(write_completion(text, "gpt-5", 0), **facts)
        return await Judge("strict", criteria, ask).objection(completion, request or asked())

    return objection


def read(content):
    """What a judge finds between the marks."""
    return json.loads(content.removeprefix("<data>").removesuffix("</data>"))


async def test_an_answer_that_the_judge_finds_right_passes(objection):
    assert await objection(verdict("right")) is None


async def test_a_wrong_answer_is_rejected_in_the_judges_words(objection):
    found = await objection(verdict("wrong", "The app has no such menu."))
    words = "a judge finds the answer wrong: The app has no such menu."
    assert found == Objection(FailureClass.REJECTED, words)


async def test_a_judge_that_talks_too_much_is_cut_short(objection):
    assert len((await objection(verdict("wrong", "x" * 10_000))).words) < 400


@pytest.mark.parametrize(
    "said",
    [
        {"status": 503},
        {"text": "The answer is right."},
        {"text": ""},
        {"text": "{}"},
        {"text": '"right"'},
        {"text": '{"reason": "", "verdict": "Right"}'},
        {"text": '{"reason": "", "verdict": "right", "score": 1}'},
        {"text": '{"verdict": "right"}'},
        {"text": '```json\n{"reason": "", "verdict": "right"}\n```'},
        {"text": '{"reason": "", "verdict": "right"}', "truncate_after_tokens": 2},
        {"refusal": "I don't judge."},
    ],
)
async def test_without_a_verdict_an_answer_is_unchecked(objection, said):
    found = await objection(said)
    assert (found.failure, found.unchecked) == (FailureClass.REJECTED, True)


async def test_a_verdict_is_asked_for_in_a_strict_form(objection, host):
    await objection(verdict("right"))
    [body] = host.calls["bodies"]
    form = body["response_format"]["json_schema"]
    assert (body["response_format"]["type"], form["strict"]) == ("json_schema", True)
    check = Draft202012Validator(form["schema"])
    assert check.is_valid({"reason": "", "verdict": "wrong"})
    assert not check.is_valid({"reason": "", "verdict": "maybe"})
    assert not check.is_valid({"verdict": "right"})
    assert not check.is_valid({"reason": "", "verdict": "right", "more": 1})


async def test_the_judge_sees_the_whole_conversation_and_the_answer(objection, host):
    turns = [
        {"role": "system", "content": "Limits are in the app."},
        {"role": "user", "content": "Where are limits?"},
        {"role": "assistant", "content": "In the app."},
        {"role": "user", "content": [{"type": "text", "text": "And where there?"}]},
    ]
    await objection(verdict("right"), request={"messages": turns, "temperature": 1})
    [body] = host.calls["bodies"]
    assert body.keys() == {"model", "messages", "response_format", "stream"}
    assert read(body["messages"][1]["content"]) == {
        "conversation": [*turns[:3], {"role": "user", "content": "And where there?"}],
        "answer": ANSWER,
    }


@pytest.mark.parametrize("criteria", ["it names a menu of {the app}.", ""])
async def test_the_judge_is_told_when_an_answer_is_right(objection, host, criteria):
    await objection(verdict("right"), criteria=criteria)
    told = host.calls["bodies"][0]["messages"][0]["content"]
    assert f"The answer is right if: {criteria or 'it answers what was asked'}" in told


@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.text(st.sampled_from("</data>\"'{}\\\n ü")))
async def test_no_answer_gets_out_of_its_marks(objection, host, answer):
    """Nor does a question; whatever they hold, the judge reads it as data."""
    await objection(verdict("right"), answer, asked(f"{answer}?"))
    content = host.calls["bodies"][0]["messages"][1]["content"]
    assert content.count("<") == 2
    assert read(content)["answer"] == answer


async def test_half_a_surrogate_pair_is_no_obstacle(objection):
    assert await objection(verdict("right"), "Open \ud83d the app.") is None


@pytest.mark.parametrize("facts", [{"refusal": "No."}, {"has_tool_calls": True}])
async def test_what_is_no_answer_is_not_judged(objection, host, facts):
    assert await objection(verdict("wrong"), **facts) is None
    assert host.calls["bodies"] == []


async def test_what_answers_no_question_in_words_is_not_judged(objection, host):
    assert await objection(verdict("wrong"), request={"messages": [{"role": "tool", "content": "3"}]}) is None
    assert host.calls["bodies"] == []
