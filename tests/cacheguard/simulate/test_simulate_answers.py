"""Files of answers."""

from __future__ import annotations

import gzip

import pytest

from cacheguard.errors import ConfigError
from cacheguard.simulate import load_answers

LINE = '{"prompt": "Where is my card?", "answer_id": "card", "answer": "On its way, née 1987."}\n'


def test_answers_are_read_from_several_files_packed_or_not(tmp_path):
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_text(LINE + "\n", encoding="utf-8")
    packed.write_bytes(gzip.compress(LINE.replace("card?", "money?").encode()))
    answers = load_answers(plain, packed)
    assert len(answers) == 2
    assert answers.to("where is MY money?") == answers.to("Where is my card?") == "On its way, née 1987."


def test_the_last_of_several_answers_to_a_prompt_counts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(LINE + LINE.replace("On its way", "Still on its way"), encoding="utf-8")
    assert load_answers(path).to("Where is my card?").startswith("Still")


@pytest.mark.parametrize("wrong", ["{", "[]", '"text"', '{"prompt": "x"}', "3"])
def test_a_wrong_line_is_named(tmp_path, wrong):
    path = tmp_path / "a.jsonl"
    path.write_text(LINE + wrong + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.jsonl, line 2: not a JSON object with 'prompt' and 'answer'"):
        load_answers(path)


def test_a_missing_file_and_one_that_is_not_packed_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"can't read the answers in .*nowhere\.jsonl: No such file"):
        load_answers(tmp_path / "nowhere.jsonl")
    (tmp_path / "a.jsonl.gz").write_text(LINE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"can't read the answers in .*a\.jsonl\.gz: Not a gzipped file"):
        load_answers(tmp_path / "a.jsonl.gz")
