"""Logs made of the public question sets, for `warming`."""

from __future__ import annotations

import gzip
import json
import random
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tests.benchmarks.threshold import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OPENINGS = ("", "Sure! ", "Good question. ", "Thanks for asking. ", "Of course: ", "Happy to help. ")
ENDINGS = ("", " Let me know if you need more.", " Is there anything else?", " I hope this helps.")
BEGUN = 1_790_000_000.0
BROKEN = 0.01


def write_log(path: Path, lines: int) -> Path:
    """qqp_a as people ask: some questions often, most seldom, in other cases and with other marks; 1 % is broken."""
    chance = random.Random(4)
    questions = sorted(clusters().items())
    chance.shuffle(questions)
    weights = list(accumulate(1 / rank for rank in range(1, len(questions) + 1)))
    with path.open("w", encoding="utf-8") as log:
        for number in range(lines):
            [(prompt, cluster)] = chance.choices(questions, cum_weights=weights)
            row = {"prompt": noisy(prompt, chance), "answer": answer_to(cluster, chance), "at": BEGUN + number,
                   "cluster": cluster, "cost_usd": 0.001, "took_s": 2.0}  # fmt: skip
            line = json.dumps(row)
            log.write((line[: chance.randrange(1, len(line))] if chance.random() < BROKEN else line) + "\n")
    return path


def noisy(prompt: str, chance: random.Random) -> str:
    match chance.randrange(10):
        case 0:
            return prompt.lower()
        case 1:
            return prompt.rstrip("?") + " ??"
        case 2:
            return f"  {prompt} "
        case _:
            return prompt


def answer_to(cluster: str, chance: random.Random) -> str:
    return f"{chance.choice(OPENINGS)}This is about: {cluster}{chance.choice(ENDINGS)}"


def cluster_in(answer: str) -> str:
    said = answer.partition("This is about: ")[2]
    return next((said.removesuffix(ending) for ending in ENDINGS[1:] if said.endswith(ending)), said)


def clusters() -> dict[str, str]:
    """Of each question of qqp_a the one that stands for all that people called its duplicates."""
    first: dict[str, str] = {}

    def find(question: str) -> str:
        while (other := first.setdefault(question, question)) != question:
            question = other
        return question

    with gzip.open(DATA / "pairs" / "qqp_a.tsv.gz", "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            one, other, same = line.rstrip("\n").split("\t")
            ends = find(one), find(other)
            if same == "1":
                first[max(ends)] = min(ends)
    return {question: find(question) for question in list(first) if question.strip()}


def write_chats(path: Path) -> Path:
    """The dialogs of CAsT, with answers that name what the turn asks."""
    with gzip.open(DATA / "dialogs" / "cast_2019_2021.jsonl.gz", "rt", encoding="utf-8") as lines:
        dialogs = [json.loads(line) for line in lines]
    path.write_text("".join(f"{json.dumps({'messages': list(_messages(one))})}\n" for one in dialogs), "utf-8")
    return path


def _messages(dialog: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for turn in dialog["turns"]:
        yield {"role": "user", "content": turn["user"]}
        yield {"role": "assistant", "content": f"This is about: {turn['standalone']}"}


def worded(name: str, how: str) -> Iterator[tuple[str, str]]:
    """The answers that a stream's warm questions may have, with their ids."""
    with gzip.open(DATA / "streams" / f"{name}.warm.jsonl.gz", "rt", encoding="utf-8") as lines:
        ids = {(row := json.loads(line))["answer_id"]: row["answer"] for line in lines}
    for id_, answer in ids.items():
        ways = [f"{opening}{id_.replace('_', ' ')}{end}" for opening in OPENINGS for end in ENDINGS]
        yield from ((said, id_) for said in (ways if how == "answers worded anew" else [answer]))


def write_stream(path: Path, name: str, how: str) -> tuple[Path, Mapping[str, str]]:
    """The warm questions of a stream as a log; and of each question the id of its answer."""
    chance, truth = random.Random(1), {}
    with gzip.open(DATA / "streams" / f"{name}.warm.jsonl.gz", "rt", encoding="utf-8") as lines, path.open("w") as log:
        for row in map(json.loads, lines):
            id_ = row["answer_id"]
            answer = row["answer"]
            if how == "answers worded anew":
                answer = f"{chance.choice(OPENINGS)}{id_.replace('_', ' ')}{chance.choice(ENDINGS)}"
            named = {"answer_id": id_} if how == "ids" else {}
            log.write(json.dumps({"prompt": row["prompt"], "answer": answer} | named) + "\n")
            truth.setdefault(row["prompt"], id_)
    return path, truth
