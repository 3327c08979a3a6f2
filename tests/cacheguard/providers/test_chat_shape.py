"""OpenAI's chat bodies: read, written, cut into chunks and joined again."""

from __future__ import annotations

import copy
import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from cacheguard.providers.base import Chunk, Finish, Usage
from cacheguard.providers.chat_shape import (
    Joining,
    chunk_text,
    chunks_of,
    read_chunk,
    read_completion,
    read_finish,
    read_usage,
    write_completion,
)


def body(message=None, finish="stop", **more):
    message = {"role": "assistant", "content": "In two days."} if message is None else message
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-5",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        **more,
    }


def joined(chunks):
    joining = Joining()
    for chunk in chunks:
        joining.add(read_chunk(chunk))
    return joining


def delta(finish=None, **said):
    return {"id": "c", "created": 5, "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "balance", "arguments": "{}"}}


def test_a_completion_is_read_whole():
    read = read_completion(body())
    assert (read.text, read.finish, read.model) == ("In two days.", Finish.STOP, "gpt-5")
    assert read.usage == Usage(input=9, output=4)
    assert (read.refusal, read.has_tool_calls) == ("", False)


@pytest.mark.parametrize(
    ("message", "text", "refusal", "has_tool_calls"),
    [
        ({"content": None, "refusal": "No."}, "", "No.", False),
        ({"content": None, "tool_calls": [TOOL_CALL]}, "", "", True),
        ({"content": "", "function_call": {"name": "balance"}}, "", "", True),
        ({"content": "Yes.", "tool_calls": []}, "Yes.", "", False),
        ({}, "", "", False),
    ],
)
def test_what_is_no_text_is_told_apart(message, text, refusal, has_tool_calls):
    read = read_completion(body(message))
    assert (read.text, read.refusal, read.has_tool_calls) == (text, refusal, has_tool_calls)


def test_a_model_without_a_name_has_none():
    assert read_completion(body(model=None)).model == ""
    assert joined([{**delta(content="Hi"), "model": None}]).completion().model == ""


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("tool_calls", Finish.TOOL_CALLS),
        ("function_call", Finish.TOOL_CALLS),
        ("content_filter", Finish.CONTENT_FILTER),
        (None, Finish.UNKNOWN),
        ("", Finish.UNKNOWN),
        ("STOP", Finish.UNKNOWN),
        ("eos", Finish.UNKNOWN),
        (["stop"], Finish.UNKNOWN),
        (0, Finish.UNKNOWN),
    ],
)
def test_only_stop_means_stop(reason, finish):
    assert read_finish(reason) is finish


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": None}, Usage()),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, Usage(input=9)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 7}}, Usage(input=9, cached_input=7)),
        ({"completion_tokens": 4, "total_tokens": 4}, Usage(output=4)),
    ],
)
def test_tokens_that_were_not_counted_count_as_none(usage, read):
    assert read_usage(usage) == read


@pytest.mark.parametrize(
    "foreign",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "Hi"}]},
        {"choices": [{"message": {"content": ["Hi"]}}]},
        {"choices": [{"message": {"content": {"text": "Hi"}}}]},
        {"choices": [{"message": {"content": "Hi", "refusal": 5}}]},
        {"choices": [{"text": "Hi"}]},
    ],
)
def test_a_foreign_shape_is_an_error_that_a_provider_expects(foreign):
    with pytest.raises((KeyError, TypeError, IndexError, AttributeError)):
        read_completion(foreign)


@given(st.text(), st.text(), st.floats(min_value=0, max_value=4e9))
def test_a_written_completion_is_one_to_the_official_client(text, model, created):
    written = write_completion(text, model, created)
    parsed = ChatCompletion.model_validate(written.body, strict=True)
    assert (parsed.choices[0].message.content, parsed.model, parsed.created) == (text, model, int(created))
    assert read_completion(written.body) == written


@pytest.mark.parametrize(
    "completion",
    [
        body(),
        body(finish="length"),
        body({"role": "assistant", "content": None, "refusal": "I won't."}),
        body({"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}, finish="tool_calls"),
        body(usage=None),
    ],
)
def test_chunks_join_to_the_completion_that_they_were_cut_from(completion):
    whole = read_completion(completion)
    chunks = chunks_of(whole)
    again = joined(chunks).completion()
    assert [ChatCompletionChunk.model_validate(chunk, strict=True).model for chunk in chunks] == ["gpt-5"] * 3
    for told in ("text", "finish", "model", "usage", "refusal", "has_tool_calls"):
        assert getattr(again, told) == getattr(whole, told)
    assert again.body["created"] == completion["created"]


@given(st.text())
def test_any_text_survives_the_way_through_chunks(text):
    assert joined(chunks_of(write_completion(text, "m", 0))).completion().text == text


def test_cutting_into_chunks_leaves_the_completion_as_it_is():
    completion = body({"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]})
    before = copy.deepcopy(completion)
    chunks_of(read_completion(completion))
    assert completion == before


def test_every_choice_is_told_in_chunks():
    several = body(choices=[{**body()["choices"][0], "index": index} for index in range(3)])
    told = [choice["index"] for chunk in chunks_of(read_completion(several)) for choice in chunk["choices"]]
    assert told == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("said", "speaks"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "refusal": None}, False),
        ({}, False),
        ({"content": " "}, True),
        ({"refusal": "I"}, False),
        ({"reasoning_content": "Hm"}, True),
        ({"reasoning": "Hm"}, True),
        ({"tool_calls": [TOOL_CALL]}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a"}}, True),
    ],
)
def test_a_chunk_speaks_once_no_other_tier_can_take_over(said, speaks):
    assert read_chunk(delta(**said)).speaks is speaks


def test_a_chunk_without_choices_does_not_speak():
    assert not read_chunk({"choices": [], "usage": {"prompt_tokens": 9}}).speaks


def test_a_stream_is_finished_when_a_reason_has_come():
    parts = [delta(role="assistant", content=""), delta(content="In two "), delta(content="days.")]
    assert not joined(parts).finished
    whole = joined([*parts, delta("length"), {"choices": [], "usage": {"completion_tokens": 4}}])
    assert whole.finished
    assert whole.completion().text == "In two days."
    assert whole.completion().finish is Finish.LENGTH
    assert whole.completion().usage == Usage(output=4)


def test_a_stream_that_broke_off_never_finished():
    assert joined([delta(content="In tw")]).completion().finish is Finish.UNKNOWN
    assert Joining().completion().finish is Finish.UNKNOWN


def test_only_the_first_choice_is_joined():
    joining = Joining()
    joining.add(Chunk({"choices": [{"index": 1, "delta": {"content": "No"}, "finish_reason": "stop"}]}))
    joining.add(Chunk({"choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": None}]}))
    assert joining.completion().text == "Yes"
    assert not joining.finished


def test_a_chunk_as_text_is_the_chunk_without_its_id():
    said = delta(content="In two ") | {"id": "theirs", "model": "m"}
    with_usage, without = chunk_text(said)
    assert with_usage == without
    assert json.loads(b"{" + without) == {name: value for name, value in said.items() if name != "id"}


@pytest.mark.parametrize("choices", [[], [{"index": 0, "delta": {}, "finish_reason": "stop"}]])
def test_usage_is_told_to_those_who_asked_for_it(choices):
    said = {"choices": choices, "usage": {"prompt_tokens": 9}}
    with_usage, without = chunk_text(said)
    assert json.loads(b"{" + with_usage) == said
    assert without == b"" if not choices else json.loads(b"{" + without) == {"choices": choices}


def test_a_chunk_as_text_is_nothing_that_a_collection_of_garbage_looks_at():
    kept = [chunk_text(delta(content="In two "))]
    gc.collect()
    assert not gc.is_tracked(kept[0])
