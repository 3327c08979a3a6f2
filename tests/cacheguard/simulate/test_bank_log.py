"""The demo's sample log agrees with itself: one text per answer, one answer per question."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from importlib.resources import files

import pytest

from cacheguard.simulate import load_answers

FOLDER = files("cacheguard.simulate")

OPPOSITES = [
    ("freeze-card", "unfreeze-card"),
    ("raise-card-limit", "lower-card-limit"),
    ("send-abroad", "receive-from-abroad"),
    ("lost-card", "stolen-card"),
    ("open-personal", "close-personal"),
    ("open-personal", "open-business"),
    ("close-personal", "close-business"),
    ("fee-personal", "fee-business"),
    ("atm-fee-home", "atm-fee-abroad"),
    ("transfer-before-cutoff", "transfer-after-cutoff"),
    ("overdraft-apply", "overdraft-remove"),
    ("add-phone-wallet", "remove-phone-wallet"),
    ("standing-order-set", "standing-order-cancel"),
]


def read(name):
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def words(prompt):
    return " ".join(re.findall(r"\w+", prompt.casefold()))


@pytest.fixture(scope="module")
def warm():
    return read("bank.jsonl")


@pytest.fixture(scope="module")
def replay():
    return read("bank_replay.jsonl")


def test_every_line_is_a_question_with_its_answer(warm, replay):
    for row in warm + replay:
        assert list(row) == ["prompt", "answer_id", "answer"]
        assert all(isinstance(value, str) and value.strip() == value != "" for value in row.values())


def test_an_answer_has_one_text_and_a_text_one_answer(warm, replay):
    pairs = {(row["answer_id"], row["answer"]) for row in warm + replay}
    assert len(pairs) == len({name for name, _ in pairs}) == len({text for _, text in pairs})


def test_no_question_has_two_answers(warm, replay):
    answers = defaultdict(set)
    for row in warm + replay:
        answers[words(row["prompt"])].add(row["answer_id"])
    assert {prompt: names for prompt, names in answers.items() if len(names) > 1} == {}


def test_the_log_asks_each_of_its_answers_in_several_ways(warm):
    phrasings = Counter(row["answer_id"] for row in warm)
    assert len(warm) >= 300
    assert len(phrasings) >= 60
    assert all(3 <= count <= 7 for count in phrasings.values())
    assert len({words(row["prompt"]) for row in warm}) == len(warm)


def test_the_replay_mixes_repeats_rewordings_and_what_the_log_has_not(warm, replay):
    asked = {words(row["prompt"]) for row in warm}
    answered = {row["answer_id"] for row in warm}
    repeats = sum(words(row["prompt"]) in asked for row in replay)
    unheard = sum(row["answer_id"] not in answered for row in replay)
    assert repeats >= 30
    assert 0.2 <= unheard / len(replay) <= 0.3
    assert repeats + unheard < 0.5 * len(replay)


@pytest.mark.parametrize("pair", OPPOSITES, ids="/".join)
def test_the_traps_are_asked_on_both_sides(warm, replay, pair):
    assert set(pair) <= {row["answer_id"] for row in warm}
    assert set(pair) <= {row["answer_id"] for row in replay}


def test_the_simulated_provider_knows_the_right_answer_to_all_of_it(warm, replay):
    answers = load_answers(FOLDER / "bank.jsonl", FOLDER / "bank_replay.jsonl")
    assert [answers.to(row["prompt"]) for row in warm + replay] == [row["answer"] for row in warm + replay]
