"""`cacheguard score` as people use it, and real questions through it."""

from __future__ import annotations

import json

import pytest
from logs import written
from programs import configure


@pytest.fixture
def folder(tmp_path):
    configure(tmp_path, "http://127.0.0.1:9/v1")
    return tmp_path


def test_other_peoples_questions_find_the_answers_of_a_log(folder, command, data):
    """An untuned route serves the same words alone. Labels of these differ on one of four identical texts."""
    configure(folder, "http://127.0.0.1:9/v1", routes={"faq": {"tiers": ["strong"]}})
    warmed = command("warm", data / "streams" / "vira.warm.jsonl.gz", "--route", "faq")
    assert "5,098 questions kept, 181 new answers" in warmed.out, warmed.err
    ended = command("score", data / "streams" / "vira.replay.jsonl.gz", "--route", "faq", "--out", "scored.jsonl")
    rows = [json.loads(line) for line in (folder / "scored.jsonl").read_text().splitlines()]
    served = [row for row in rows if row["served"] is not None]
    wrong = sum(row["served"] != row["answer_id"] for row in served)
    assert len(rows) == 2139
    assert f"served {len(served)} of 2,139" in ended.err
    assert f"wrong {wrong} " in ended.err
    assert 60 < len(served) < 90
    assert wrong / len(served) < 0.25
    nearest_is_right = sum(row["nearest"] == row["answer_id"] for row in rows)
    assert nearest_is_right > 0.6 * len(rows)


def test_pairs_go_to_stdout_and_the_summary_does_not(folder, command, data):
    ended = command("score", data / "pairs" / "finance_traps.tsv.gz")
    header, *rows = ended.out.splitlines()
    assert header == "prompt_a\tprompt_b\tsame\tsimilarity\tconfidence\tdecision"
    assert len(rows) == 32
    assert "of 32" in ended.err


def test_the_file_itself_is_never_overwritten(folder, command):
    (folder / "replay.jsonl").write_text(written("How?", "", "so"))
    ended = command("score", "replay.jsonl", "--out", "replay.jsonl")
    assert ended.status == 2
    assert "--out is replay.jsonl itself" in ended.err
    assert (folder / "replay.jsonl").read_text()


def test_a_file_of_another_kind_is_refused(folder, command):
    ended = command("score", "cacheguard.yaml")
    assert ended.status == 1
    assert ended.err.startswith("cacheguard: nothing in cacheguard.yaml can be scored: cacheguard.yaml, line 1")
    assert ended.out == ""
