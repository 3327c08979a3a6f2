"""`cacheguard tune` as people use it, on the sample log and on real questions."""

from __future__ import annotations

import json
import sqlite3
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
from programs import configure

SAMPLE = Path(str(files("cacheguard.simulate")))
LABELS = SAMPLE / "bank_replay.jsonl"
NOBODY = "http://127.0.0.1:9/v1"
ROUTES = {
    "bank": {"tiers": ["strong"]},
    "plain": {"tiers": ["strong"], "cache": {"decision": 0.9}},
    "empty": {"tiers": ["strong"], "cache": {"max_wrong_hits": 0.2}},
}


@pytest.fixture
def folder(tmp_path):
    configure(tmp_path, NOBODY, routes=ROUTES)
    return tmp_path


@pytest.fixture
def tune(folder, command):
    """A function that runs `cacheguard tune` on a route, on `bank` with the sample log in its cache."""
    assert command("warm", SAMPLE / "bank.jsonl", "--route", "bank").status == 0

    def tune(*arguments, route="bank"):
        return command("tune", "--route", route, *arguments)

    return tune


def stored(folder):
    """Version and body of the rules in the store, oldest first."""
    with sqlite3.connect(folder / ".cacheguard" / "cache.db") as store:
        rows = store.execute("SELECT version, body FROM rules ORDER BY version").fetchall()
    return [(version, json.loads(body)) for version, body in rows]


def test_a_rule_is_chosen_and_put_in_force(folder, tune, command):
    ended = tune("--labels", LABELS, "--max-wrong", 0.1, "--apply", "--report", "report.json")
    assert ended.status == 0, ended.err
    assert "243 labelled questions" in ended.out
    assert "at most 10.00% of the hits wrong, with 95% confidence: proven" in ended.out
    assert "in force on route 'bank' as version 1" in ended.out
    report = json.loads((folder / "report.json").read_text())
    [(version, body)] = stored(folder)
    assert version == 1
    assert body["threshold"] == report["threshold"] == report["chosen"]["threshold"]
    assert report["chosen"]["bound"] <= 0.1
    assert report["chosen"] in report["curve"]
    assert {weight["feature"] for weight in report["weights"]} >= {"similarity", "margin"}
    scored = command("score", LABELS, "--route", "bank", "--out", "scored.jsonl")
    served = sum(json.loads(line)["served"] is not None for line in (folder / "scored.jsonl").read_text().splitlines())
    assert f"served {served} of 243" in scored.err
    assert served / 243 == pytest.approx(report["chosen"]["hit_rate"], abs=0.1)


def test_nothing_changes_unless_it_is_applied(folder, tune):
    ended = tune("--labels", LABELS, "--max-wrong", 0.1)
    assert ended.out.endswith("nothing changed: --apply puts the rule in force\n")
    assert stored(folder) == []


def test_the_rule_before_is_put_in_force_again(folder, tune):
    for share in (0.1, 0.3):
        assert tune("--labels", LABELS, "--max-wrong", share, "--apply").status == 0
    ended = tune("--roll-back")
    assert ended.out == "route 'bank': the rule of version 1 is in force again, as version 3\n"
    (_, first), (_, second), (_, now) = stored(folder)
    assert now == first != second


def test_there_is_nothing_to_roll_back_to_at_first(tune):
    ended = tune("--roll-back")
    assert (ended.status, ended.err) == (1, "cacheguard: route 'bank' has no rule before the present one\n")


def test_too_few_labels_say_how_many_more_are_likely_to_do(folder, tune):
    (folder / "few.jsonl").write_text("".join(LABELS.read_text("utf-8").splitlines(keepends=True)[:40]), "utf-8")
    ended = tune("--labels", "few.jsonl", "--apply")
    assert "at most 1.00% of the hits wrong, with 95% confidence: not proven, some " in ended.out
    assert "until then nothing similar is served: only exact matches" in ended.out
    [(_, body)] = stored(folder)
    assert body["threshold"] == 1


def test_pairs_tell_too(folder, tune):
    rows = [json.loads(line)["prompt"] for line in LABELS.read_text("utf-8").splitlines()]
    same = [f"{prompt}\t{prompt} Please tell me.\t1" for prompt in rows]
    other = [f"{prompt}\t{rows[at - 1]}\t0" for at, prompt in enumerate(rows)]
    (folder / "pairs.tsv").write_text("\n".join(["prompt_a\tprompt_b\tsame", *same, *other]), "utf-8")
    ended = tune("--labels", "pairs.tsv", route="empty")
    assert "486 labelled pairs" in ended.out
    assert "at most 20.00% of the hits wrong, with 95% confidence: proven" in ended.out  # as the route promises


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is an extra")
def test_the_curve_is_drawn(folder, tune):
    assert tune("--labels", LABELS, "--max-wrong", 0.1, "--plot", "curve.png").status == 0
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="matplotlib is there")
def test_without_matplotlib_one_line_says_how_to_get_it(folder, tune):
    ended = tune("--labels", LABELS, "--plot", "curve.png")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "cacheguard: --plot wants matplotlib: pip install 'cacheguard[plot]'\n"


@pytest.mark.parametrize(
    ("arguments", "route", "status", "message"),
    [
        (["--labels", "cacheguard.yaml"], "bank", 1, "nothing in cacheguard.yaml is a label: cacheguard.yaml, line 1"),
        ([], "bank", 1, "nobody has labelled what 'default' may get on route 'bank' yet: name a file of labels"),
        (["--labels", LABELS], "empty", 1, "the cache holds nothing that 'default' may get on route 'empty'"),
        (["--labels", LABELS], "nowhere", 2, "there is no route 'nowhere'; known: bank, empty, plain"),
        (["--labels", LABELS, "--apply"], "plain", 2, "route 'plain' decides by the cosine 0.9 in its settings"),
        (["--labels", LABELS, "--max-wrong", "0"], "bank", 2, "--max-wrong is 0: say a share above 0 and below 1"),
        (["--labels", LABELS, "--confidence", "95"], "bank", 2, "--confidence is 95: say a share"),
        (["--labels", LABELS, "--tenant", "acme"], "bank", 2, "no key in auth.keys is of tenant 'acme'"),
    ],
)
def test_wrong_input_gets_one_clear_line(tune, arguments, route, status, message):
    ended = tune(*arguments, route=route)
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith(f"cacheguard: {message}")
    assert ended.err.count("\n") == 1


def test_the_promise_holds_on_questions_that_nobody_labelled(folder, command, data):
    """Banking questions, a third of which the cache has no answer to: tuned on 1,000, asked 2,080 others."""
    streams = data / "streams"
    command("warm", streams / "banking77.warm.jsonl.gz", "--route", "bank")
    ended = command(
        "tune", "--route", "bank", "--labels", streams / "banking77.labelled.jsonl.gz", "--max-wrong", 0.05, "--apply"
    )
    assert "302 have a right answer that is not in the cache" in ended.out
    command("score", streams / "banking77.replay.jsonl.gz", "--route", "bank", "--out", "scored.jsonl")
    rows = [json.loads(line) for line in (folder / "scored.jsonl").read_text().splitlines()]
    served = [row for row in rows if row["served"] is not None]
    wrong = sum(row["served"] != row["answer_id"] for row in served)
    assert wrong / len(served) <= 0.05
    assert len(served) / len(rows) > 0.45
