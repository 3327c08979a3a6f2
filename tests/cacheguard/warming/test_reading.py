"""Each product's log, read from a file in the shape that its documentation gives."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine
from cacheguard.warming import records
from cacheguard.warming.log import Exchange, LeftOut
from cacheguard.warming.readers import FORMATS, readers
from cacheguard.warming.reading import AUTO, read
from cacheguard.warming.sources import find_sources

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it open?"}]
ANSWERED = {"role": "assistant", "content": "Yes."}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "gpt-5-mini-2026-01-01",
    "choices": [{"index": 0, "message": {**ANSWERED, "refusal": None}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}
REQUEST = {"model": "gpt-5-mini", "messages": ASKED, "temperature": 0.2, "max_tokens": 50}


@pytest.fixture
def said(tmp_path):
    """A function that writes records into a file, and reads what was said in them and what is wrong with them."""

    def said(*rows, format_=AUTO, columns=None, name="log.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
        return everything(path, format_=format_, columns=columns)

    return said


def everything(*paths, format_=AUTO, columns=None):
    found = read(find_sources(map(str, paths)), format_, columns or {}, lambda _: None)
    return [one if isinstance(one, BadLine) else one.said for one in found]


def reasons(found):
    return [one.reason for one in found if isinstance(one, LeftOut | BadLine)]


def test_our_own_stream(said):
    [one] = said(
        {
            "prompt": "Is it open?",
            "answer": "Yes.",
            "answer_id": "open",
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
            "tenant": "shop",
            "route": "faq",
            "model": "gpt-5",
            "at": "2026-11-01T10:00:00Z",
            "feedback": "wrong",
            "cost_usd": 0.01,
            "took_s": 2.5,
        }
    )
    assert one == Exchange(
        {
            "messages": [
                ASKED[0],
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                ASKED[1],
            ]
        },
        "Yes.",
        answer_id="open",
        tenant="shop",
        route="faq",
        model="gpt-5",
        at=1_793_527_200.0,
        is_right=False,
        cost_usd=0.01,
        took_s=2.5,
    )


@pytest.mark.parametrize(
    "row",
    [
        {"request": REQUEST, "response": COMPLETION},
        {"request_body": json.dumps(REQUEST), "response_body": json.dumps(COMPLETION)},
        {"request": {"method": "POST", "url": "/v1", "body": REQUEST}, "response": {"status": 200, "body": COMPLETION}},
        {"input": REQUEST, "output": COMPLETION},
        {**COMPLETION, "messages": ASKED, "max_tokens": 50},
    ],
)
def test_openai_requests_with_their_responses(said, row):
    [one] = said(row)
    assert one.body["messages"] == ASKED
    assert one.body["max_tokens"] == 50
    assert (one.answer, one.model, one.at) == ("Yes.", "gpt-5-mini-2026-01-01", 1_790_000_000)


def test_openai_responses(said):
    request = {"model": "gpt-5", "instructions": "Be brief.", "input": "Is it open?"}
    content = [{"type": "output_text", "text": "Yes.", "annotations": []}]
    response = {
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "completed",
        "model": "gpt-5",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": content},
        ],
    }
    [one] = said({"request": request, "response": response}, format_="openai")
    assert one.body["messages"] == ASKED
    assert one.answer == "Yes."


def test_the_two_files_of_an_openai_batch_in_either_order(tmp_path):
    asked, answered = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        {"custom_id": f"r{at}", "method": "POST", "url": "/v1/chat/completions", "body": REQUEST} for at in range(3)
    ]
    came = [
        {
            "id": "b1",
            "custom_id": "r2",
            "response": {"status_code": 200, "request_id": "q", "body": COMPLETION},
            "error": None,
        },
        {"id": "b2", "custom_id": "r0", "response": {"status_code": 429, "body": {"error": {}}}, "error": None},
        {"id": "b3", "custom_id": "r1", "response": None, "error": {"code": "batch_expired", "message": "…"}},
    ]
    asked.write_text("\n".join(map(json.dumps, lines)))
    answered.write_text("\n".join(map(json.dumps, came)))
    for paths in ((asked, answered), (answered, asked)):
        found = everything(*paths)
        assert [one.answer for one in found if isinstance(one, Exchange)] == ["Yes."]
        assert reasons(found) == ["no answer: the call failed, or only its request was logged"] * 2


def test_fine_tuning_chats_give_an_answer_a_turn_of_the_assistant(said):
    later = {"role": "user", "content": "And on Sunday?"}
    found = said(
        {"messages": [*ASKED, {**ANSWERED, "weight": 0}, later, {**ANSWERED, "content": "No.", "weight": 1}]},
        {"messages": ASKED},
    )
    assert found[1].body["messages"] == [*ASKED, ANSWERED, later]
    assert found[1].answer == "No."
    assert reasons(found) == ["a turn of weight 0", "a conversation without an answer"]


LITELLM = {
    "id": "chatcmpl-1",
    "trace_id": "t",
    "call_type": "acompletion",
    "response_cost": 0.0004,
    "status": "success",
    "startTime": 1_790_000_000.25,
    "endTime": 1_790_000_001.75,
    "model": "gpt-5-mini",
    "metadata": {"user_api_key_team_alias": "shop", "user_api_key_team_id": "8f"},
    "cache_hit": None,
    "end_user": "u1",
    "messages": ASKED,
    "response": COMPLETION,
    "model_parameters": {"temperature": 0.2, "max_tokens": 50, "extra_body": {}},
}


def test_litellm_payloads(said):
    one, *rest = said(
        LITELLM,
        {**LITELLM, "call_type": "aembedding"},
        {**LITELLM, "status": "failure"},
        {**LITELLM, "messages": [{"role": "user", "content": "redacted-by-litellm"}]},
    )
    assert one == Exchange(
        {"max_tokens": 50, "messages": ASKED},
        "Yes.",
        tenant="shop",
        model="gpt-5-mini",
        at=1_790_000_000.25,
        cost_usd=0.0004,
        took_s=1.5,
    )
    assert reasons(rest) == [
        "no chat: another kind of call",
        "no answer: the call failed, or only its request was logged",
        "its text was withheld from the log",
    ]


def test_litellm_spend_logs(said):
    row = {
        "request_id": "r",
        "call_type": "completion",
        "spend": 0.5,
        "startTime": "2026-11-01T10:00:00.5Z",
        "endTime": "2026-11-01T10:00:02Z",
        "messages": json.dumps(ASKED),
        "response": json.dumps(COMPLETION),
        "team_id": "8f",
        "metadata": "{}",
    }
    [one] = said(row)
    assert (one.cost_usd, one.at, one.took_s, one.tenant) == (0.5, 1_793_527_200.5, 1.5, "8f")


OBSERVATION = {
    "id": "o1",
    "traceId": "t1",
    "type": "GENERATION",
    "startTime": "2026-11-01T10:00:00.000Z",
    "endTime": "2026-11-01T10:00:02.000Z",
    "model": "gpt-5-mini",
    "modelParameters": {"temperature": 0.2, "max_tokens": "inf"},
    "input": ASKED,
    "output": ANSWERED,
    "level": "DEFAULT",
    "calculatedTotalCost": 0.001,
}


def test_langfuse_observations(said):
    span = {**OBSERVATION, "type": "SPAN"}
    found = said(OBSERVATION, span, {**OBSERVATION, "level": "ERROR"}, {**OBSERVATION, "output": "Yes."})
    first, last = [one for one in found if isinstance(one, Exchange)]
    assert first == Exchange(
        {"messages": ASKED}, "Yes.", model="gpt-5-mini", at=1_793_527_200.0, cost_usd=0.001, took_s=2.0
    )
    assert last.answer == "Yes."
    assert len(reasons(found)) == 2


def test_langfuse_exports_to_a_bucket(said):
    row = {
        "id": "o1",
        "trace_id": "t1",
        "type": "GENERATION",
        "start_time": "2026-11-01 10:00:00.500000",
        "end_time": "2026-11-01 10:00:01.500000",
        "provided_model_name": "gpt-5-mini",
        "input": json.dumps({"messages": ASKED, "tools": []}),
        "output": json.dumps(ANSWERED),
        "cost_details": {"input": 0.001, "output": 0.002, "total": 0.003},
    }
    [one] = said(row)
    assert (one.answer, one.at, one.took_s, one.cost_usd) == ("Yes.", 1_793_527_200.5, 1.0, 0.003)


def test_a_langfuse_trace_that_was_downloaded_with_its_scores(tmp_path):
    path = tmp_path / "trace-t1.json"
    scores = [{"name": "user-feedback", "value": 0, "dataType": "BOOLEAN"}]
    path.write_text(json.dumps({"trace": {"id": "t1"}, "observations": [OBSERVATION], "scores": scores}, indent=2))
    [one] = everything(path)
    assert one.answer == "Yes."
    assert one.is_right is False


def test_a_langfuse_table_as_a_json_array(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_CHUNK", 100)  # so that every object lies across borders of what is read at once
    path = tmp_path / "observations.json"
    path.write_text(json.dumps([OBSERVATION, 5, OBSERVATION], indent=1) + "\n")
    first, bad, last = everything(path)
    assert first == last
    assert str(bad).startswith("observations.json, line ")
    assert bad.reason == "is no object {…}"


def test_an_array_that_breaks_off_gives_what_came_before(tmp_path):
    path = tmp_path / "observations.json"
    path.write_text("[\n" + json.dumps(OBSERVATION) + ",\n" + json.dumps(OBSERVATION)[:50])
    one, bad = everything(path)
    assert one.answer == "Yes."
    assert bad.number == 3


HELICONE = {
    "response_id": "r1",
    "response_created_at": "2026-11-01T10:00:02.000Z",
    "response_status": 200,
    "response_body": COMPLETION,
    "request_id": "q1",
    "request_created_at": "2026-11-01T10:00:00.000Z",
    "request_body": REQUEST,
    "request_model": "gpt-5-mini",
    "delay_ms": 1500,
    "costUSD": 0.002,
    "scores": {"helicone-score-feedback": 1},
    "request_properties": {"app": "shop"},
}


def test_helicone_requests(said):
    bodiless = {name: value for name, value in HELICONE.items() if not name.endswith("_body")}
    one, *rest = said(HELICONE, {**HELICONE, "response_status": 500}, bodiless)
    assert (one.answer, one.at, one.took_s, one.cost_usd, one.is_right) == ("Yes.", 1_793_527_200.0, 1.5, 0.002, True)
    assert reasons(rest)[1] == "it was exported without its bodies: say --include-body"


def test_helicone_requests_to_anthropic(said):
    request = {"model": "claude-5", "system": "Be brief.", "messages": ASKED[1:], "max_tokens": 50}
    response = {
        "type": "message",
        "model": "claude-5",
        "content": [{"type": "text", "text": "Yes."}],
        "stop_reason": "end_turn",
    }
    [one] = said({**HELICONE, "request_body": request, "response_body": response})
    assert one.body["messages"] == ASKED
    assert one.answer == "Yes."


def test_helicone_as_csv(tmp_path):
    path = tmp_path / "helicone.csv"
    cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in HELICONE.items()}
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, cells)
        table.writeheader()
        table.writerow(cells)
    [one] = everything(path)
    assert (one.answer, one.body["messages"]) == ("Yes.", ASKED)


RUN = {
    "id": "r",
    "trace_id": "r",
    "run_type": "llm",
    "name": "ChatOpenAI",
    "start_time": "2026-11-01T10:00:00",
    "end_time": "2026-11-01T10:00:02",
    "error": None,
    "inputs": {"messages": ASKED},
    "outputs": {"choices": COMPLETION["choices"], "model": "gpt-5-mini"},
    "total_cost": "0.004",
    "feedback_stats": {"correctness": {"n": 2, "avg": 0.25}},
    "extra": {"invocation_params": {"max_tokens": 50}, "metadata": {"ls_model_name": "gpt-5-mini"}},
}


def test_langsmith_runs(said):
    one, chain = said(RUN, {**RUN, "run_type": "chain"})
    assert one == Exchange(
        {"max_tokens": 50, "messages": ASKED},
        "Yes.",
        model="gpt-5-mini",
        at=1_793_527_200.0,
        is_right=False,
        cost_usd=0.004,
        took_s=2.0,
    )
    assert chain.reason == "no chat: another kind of call"


def test_langsmith_runs_of_langchain(said):
    def serialised(kind, content):
        id_ = ["langchain", "schema", "messages", f"{kind}Message"]
        return {"lc": 1, "type": "constructor", "id": id_, "kwargs": {"content": content, "type": kind.lower()}}

    inputs = {"messages": [[serialised("System", "Be brief."), serialised("Human", "Is it open?")]]}
    generation = {
        "text": "Yes.",
        "generation_info": {"finish_reason": "stop"},
        "message": serialised("AI", "Yes."),
        "type": "ChatGeneration",
    }
    [one] = said({**RUN, "inputs": inputs, "outputs": {"generations": [[generation]], "llm_output": None}})
    assert one.body["messages"] == ASKED
    assert one.answer == "Yes."


def test_langsmith_bulk_exports(tmp_path):
    path = tmp_path / "runs.parquet"
    row = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in RUN.items()}
    parquet.write_table(pa.Table.from_pylist([row] * 300), path)
    found = everything(path)
    assert len(found) == 300
    assert found[0].body["messages"] == ASKED


def span(**attributes):
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": []},
                "scopeSpans": [
                    {
                        "scope": {"name": "openai"},
                        "spans": [
                            {
                                "traceId": "t",
                                "spanId": "s",
                                "name": "chat gpt-5-mini",
                                "startTimeUnixNano": "1793527200000000000",
                                "endTimeUnixNano": "1793527202000000000",
                                "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
                            }
                        ],
                    }
                ],
            }
        ]
    }


def any_value(value):
    match value:
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(one) for one in value]}}
        case dict():
            return {"kvlistValue": {"values": [{"key": key, "value": any_value(one)} for key, one in value.items()]}}


@pytest.mark.parametrize("write", [lambda value: {"stringValue": json.dumps(value)}, any_value])
def test_opentelemetry_spans(said, write):
    asked = [{"role": "user", "parts": [{"type": "text", "content": "Is it open?"}]}]
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}], "finish_reason": "stop"}]
    chat = {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.request.model": {"stringValue": "gpt-5-mini"},
        "gen_ai.request.max_tokens": {"intValue": "50"},
        "gen_ai.system_instructions": write([{"type": "text", "content": "Be brief."}]),
        "gen_ai.input.messages": write(asked),
        "gen_ai.output.messages": write(answered),
    }
    one, tool = said(span(**chat), span(**{"gen_ai.operation.name": {"stringValue": "execute_tool"}}))
    assert one == Exchange(
        {"max_tokens": 50, "messages": ASKED}, "Yes.", model="gpt-5-mini", at=1_793_527_200.0, took_s=2.0
    )
    assert tool.reason == "no chat: another kind of call"


def test_openllmetry_spans(said):
    flat = {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "Be brief.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "Is it open?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "Yes.",
        "gen_ai.completion.0.finish_reason": "stop",
    }
    [one] = said(span(**{name: {"stringValue": value} for name, value in flat.items()}))
    assert one.body["messages"] == ASKED
    assert one.answer == "Yes."


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_with_named_columns(tmp_path, delimiter):
    path = tmp_path / "faq.csv"
    rows = [["Question", "Answer", "Intent"], ["Is it\nopen?", 'Yes, "always".', "open"], ["too few"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    one, bad = everything(path)
    assert one == Exchange(
        {"messages": [{"role": "user", "content": "Is it\nopen?"}]}, 'Yes, "always".', answer_id="open"
    )
    assert str(bad) == "faq.csv, line 4: has 1 columns, and the header 3"


def test_tables_whose_columns_have_names_of_their_own(said):
    rows = ("Frage,Antwort", "Ist offen?,Ja.")
    with pytest.raises(FileUnusable, match=r"'Frage', 'Antwort': say --format, one of .* --columns prompt=NAME"):
        said(*rows, name="faq.csv")
    [one] = said(*rows, name="faq.csv", columns={"prompt": "frage", "answer": "Antwort"})
    assert one.answer == "Ja."


def test_what_is_no_answer_to_give_again_is_left_out_by_reason(said):
    def came(message, finish="stop"):
        return {
            "request": REQUEST,
            "response": {**COMPLETION, "choices": [{"message": message, "finish_reason": finish}]},
        }

    found = said(
        came(ANSWERED, "length"),
        came({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, "tool_calls"),
        came({"role": "assistant", "content": None, "refusal": "No."}),
        came({"role": "assistant", "content": ""}),
    )
    assert reasons(found) == [
        "an answer that was cut or filtered",
        "an answer that calls tools",
        "the model refused",
        "no answer: the call failed, or only its request was logged",
    ]


def test_bad_records_of_any_product_are_named_and_stop_nothing(said):
    found = said(LITELLM, "{broken", {**LITELLM, "messages": [{"content": "no role"}]}, {**LITELLM, "metadata": 7},
                 {**LITELLM, "startTime": "yesterday"}, LITELLM)  # fmt: skip
    assert [str(one) for one in found if isinstance(one, BadLine)] == [
        "log.jsonl, line 2: is not JSON: Expecting property name enclosed in double quotes at column 2",
        "log.jsonl, line 3: holds a message without a role",
        "log.jsonl, line 5: holds a time that can't be read: 'yesterday'",
    ]
    assert sum(isinstance(one, Exchange) for one in found) == 3


def test_a_format_is_told_by_the_records_behind_broken_ones(said):
    found = said("no json", "{half", LITELLM)
    assert found[2].model == "gpt-5-mini"


def test_a_format_that_cannot_be_told_is_an_error_with_the_way_out(said):
    with pytest.raises(FileUnusable, match=r"log\.jsonl can't be told by its fields 'a', 'b': say --format, one of"):
        said({"a": 1, "b": 2})


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.compress(data, codec="zstd", asbytes=True)])
def test_packed_logs(tmp_path, pack):
    path = tmp_path / "log"
    path.write_bytes(pack((json.dumps(LITELLM) + "\n").encode() * 1000))
    assert len(everything(path)) == 1000
    path.write_bytes(pack((json.dumps(LITELLM) + "\n").encode() * 1000)[:-20])
    assert isinstance(everything(path)[-1], BadLine)


def test_patterns_name_files_in_order_and_one_without_any_is_an_error(tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_text("{}")
    assert [source.name for source in find_sources([f"{tmp_path}/*.jsonl"])] == ["a.jsonl", "b.jsonl"]
    with pytest.raises(FileUnusable, match=r"no file is called .*/\*\.csv"):
        find_sources([f"{tmp_path}/*.csv"])
    with pytest.raises(FileUnusable, match="nowhere can't be read: No such file"):
        find_sources(["nowhere"])
    with pytest.raises(FileUnusable, match="is a folder: name its files"):
        find_sources([str(tmp_path)])


def test_what_fsspec_reaches(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://logs/a.jsonl.gz", "wb", compression="gzip") as file:
        file.write(json.dumps(LITELLM).encode())
    [source] = find_sources(["memory://logs/*.gz"])
    assert source.name == "a.jsonl.gz"
    [one] = read([source], AUTO, {}, lambda _: None)
    assert one.said.answer == "Yes."
    with pytest.raises(FileUnusable, match="memory://logs/none can't be read"):
        find_sources(["memory://logs/none"])


def test_standard_input():
    code = (
        "from cacheguard.warming.reading import read; from cacheguard.warming.sources import find_sources\n"
        "print([one.said.answer for one in read(find_sources(['-']), 'auto', {}, print)])"
    )
    packed = gzip.compress(json.dumps(LITELLM).encode())
    ended = subprocess.run([sys.executable, "-c", code], input=packed, capture_output=True, check=True)
    assert ended.stdout == b"['Yes.']\n"


def test_progress_adds_up_to_the_size_of_the_files(tmp_path):
    lines, array, table, packed = (tmp_path / name for name in ("a.jsonl", "b.json", "c.csv", "e.gz"))
    packed.write_bytes(gzip.compress((json.dumps(LITELLM) + "\n").encode() * 10))
    lines.write_text((json.dumps(LITELLM) + "\n") * 10)
    array.write_text(json.dumps([LITELLM] * 10))
    table.write_text("prompt,answer\na,b\n")
    columns = tmp_path / "d.parquet"
    parquet.write_table(pa.Table.from_pylist([{"prompt": "a", "answer": "b"}] * 1000), columns)
    for path in (lines, array, table, packed, columns):
        told = []
        list(read(find_sources([str(path)]), AUTO, {}, told.append))
        assert sum(told) == path.stat().st_size, path


def test_readers_know_each_others_records_apart():
    known = {
        "litellm": LITELLM,
        "langfuse": OBSERVATION,
        "helicone": HELICONE,
        "langsmith": RUN,
        "otel": span(**{"gen_ai.operation.name": {"stringValue": "chat"}}),
        "openai": {"request": REQUEST, "response": COMPLETION},
        "chat": {"messages": [*ASKED, ANSWERED]},
        "stream": {"prompt": "a", "answer": "b", "answer_id": "c"},
        "csv": {"question": "a", "answer": "b"},
    }
    with readers({}) as all_readers:
        assert set(known) == set(FORMATS) == set(all_readers)
        for name, fields in known.items():
            assert next(other for other, reader in all_readers.items() if reader.recognises(fields)) == name
