"""`cacheguard warm` as people use it, beside a running service too."""

from __future__ import annotations

import gzip
import json
import subprocess

import pytest
from logs import written
from programs import PROGRAM, configure, environment, run, serving
from upstreams import simulated

LOG = [
    written("How do I block my card?", "Tap Block.", "block"),
    written("My card was stolen, what now?", "Tap Block.", "block"),
    written("What is my daily limit?", "500 euros.", "limit"),
]


@pytest.fixture
def folder(tmp_path):
    configure(tmp_path, "http://127.0.0.1:9/v1")
    (tmp_path / "log.jsonl").write_text("".join(LOG))
    return tmp_path


def test_a_running_service_serves_what_was_warmed(tmp_path):
    with simulated() as host:
        configure(tmp_path, host.base_url)
        (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress("".join(LOG).encode()))
        with serving(tmp_path) as service:
            assert "fwd=miss" in service.status("Something else, so that the index is loaded.")
            assert run(tmp_path, "warm", "log.jsonl.gz", "--route", "default").returncode == 0
            assert "detail=exact" in service.status("how do I block my CARD")
            similar = "How do I block my bank card?"
            # Not asked until it hits: the first miss would itself be kept. The service follows four times a second.
            service.wait_for(lambda: "hit" in _only_if_cached(service, similar))
            answer = service.ask(similar)
            assert "detail=semantic" in answer.headers["cache-status"]
            assert answer.json()["choices"][0]["message"]["content"] == "Tap Block."


def _only_if_cached(service, text):
    body = {"model": "default", "messages": [{"role": "user", "content": text}]}
    response = service.http.post("/v1/chat/completions", json=body, headers={"Cache-Control": "only-if-cached"})
    return response.headers.get("cache-status", "")


def test_it_says_what_came_of_it_and_that_a_second_run_changed_nothing(folder, command):
    (folder / "log.jsonl").write_text("".join([*LOG, "no json\n", written("What is my daily limit", "None.", "none")]))
    first = command("warm", "log.jsonl", "--route", "default", "--report", "report.json")
    assert first.status == 0, first.err
    assert "5 lines read" in first.out
    assert "2 questions kept, 1 new answers" in first.out
    assert "  'What is my daily limit?': 'limit' / 'none'" in first.out
    assert "  log.jsonl, line 4: is not JSON" in first.out
    report = json.loads((folder / "report.json").read_text())
    assert {name: report[name] for name in ("lines", "kept", "bad", "conflicts")} == {
        "lines": 5,
        "kept": 2,
        "bad": 1,
        "conflicts": 1,
    }
    assert report["conflicting"] == [
        {"prompt": "What is my daily limit?", "answers": ["limit", "none"], "other": ""},
    ]
    assert "all are in .cacheguard/warming/bad-lines.jsonl" in first.out
    [bad] = (folder / ".cacheguard" / "warming" / "bad-lines.jsonl").read_text().splitlines()
    assert json.loads(bad)["line"] == 4
    second = command("warm", "log.jsonl", "--route", "default", "--dry-run")
    assert "0 questions would be kept" in second.out
    assert "2 questions the cache had already; nothing changed" in second.out


def test_a_killed_run_goes_on_where_it_was(folder):
    lines = [written(f"How do I open the door of room {number}?", f"See page {number}.") for number in range(3000)]
    (folder / "log.jsonl").write_text("".join(lines))
    command = [*PROGRAM, "warm", "log.jsonl", "--route", "default", "--resume", "--report", "report.json"]
    work = folder / ".cacheguard" / "warming"
    with subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL) as child:
        while not any(path.stat().st_size for path in work.glob("*.f32")):
            assert child.poll() is None
        child.kill()
    assert subprocess.run(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, check=True).stdout
    report = json.loads((folder / "report.json").read_text())
    assert (report["lines"], report["kept"] + report["unchanged"]) == (3000, 3000)
    assert not list(work.iterdir())


def test_a_table_with_columns_of_its_own_says_what_to_expect(folder, command):
    rows = [f'"Wie blockiere ich Karte {number % 7}?","Seite {number % 7}."' for number in range(70)]
    (folder / "faq.csv").write_text("\n".join(["Frage,Antwort", *rows]))
    named = ("--columns", "prompt=Frage", "--columns", "answer=Antwort")
    ended = command("warm", "faq.csv", "--route", "default", *named, "--dry-run", "--report", "report.json")
    assert ended.status == 0, ended.err
    assert "7 questions would be kept, 7 new answers" in ended.out
    assert "expected hit rate 100.0% by the route's present rule: of the log's newest 7 questions" in ended.out
    estimate = json.loads((folder / "report.json").read_text())["estimate"]
    assert (estimate["exact"], estimate["wrong"], estimate["hit_rate"]) == (7, 0, 1.0)
    assert 0 < estimate["wrong_share_at_most"] < 1


def test_a_judge_and_a_tier_have_a_second_look(tmp_path, command):
    with simulated() as host:
        tiers = {
            name: {"provider": "simulated", "model": name, "price": {"output_usd_per_mtok": 10}}
            for name in ("judge", "strong")
        }
        configure(tmp_path, host.base_url, tiers=tiers, routes={"default": {"tiers": ["strong"]}})
        (tmp_path / "log.jsonl").write_text("".join(LOG))
        verdict = {"text": json.dumps({"reason": "It is 600.", "verdict": "wrong"})}
        host.play({"when": {"model": "judge"}, "then": verdict}, {"text": "600 euros."})
        ended = command("warm", "log.jsonl", "--route", "default", "--judge", "judge", "--reask", "strong",
                        "--budget-usd", "1", "--report", "report.json")  # fmt: skip
        assert ended.status == 0, ended.err
        assert "a judge looked at 2 answers, left 2 out as wrong" in ended.out
        assert "  'What is my daily limit?': '500 euros.': It is 600." in ended.out
        assert "2 questions were answered anew" in ended.out
        report = json.loads((tmp_path / "report.json").read_text())
        assert 0 < report["spent_usd"] < 1
        assert (report["judged"], report["rejected"], report["renewed"]) == (2, 2, 2)
        assert "600 euros." in command("entries", "list").out


def test_a_system_prompt_is_part_of_where_answers_go(folder, command):
    (folder / "system").write_text("Talk like a pirate.\n")
    (folder / "replay").write_text(written("How do I block my card?", "", "block"))
    with_prompt = ("--route", "default", "--system-prompt-file", "system")
    assert command("warm", "log.jsonl", *with_prompt).status == 0
    assert "served 1 of 1" in command("score", "replay", *with_prompt).err
    assert "served 0 of 1" in command("score", "replay", "--route", "default").err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.jsonl", "--route", "default"], 1, "nowhere.jsonl can't be read: No such file"),
        (["log.jsonl", "--route", "default", "--since", "once"], 2, "--since 'once' is neither an age such as 30d"),
        (
            ["log.jsonl", "--route", "default", "--columns", "a=b"],
            2,
            "--columns 'a=b' is not OURS=THEIRS; ours: prompt",
        ),
        (["log.jsonl", "--route", "default", "--address", "a"], 2, "--address is a Ray cluster's: say --engine ray"),
        (["log.jsonl"], 2, "Missing option '--route'"),
        (["log.jsonl", "--route", "default", "--judge", "strong"], 2, "say how much with --budget-usd"),
        (
            ["log.jsonl", "--route", "default", "--reask", "weak"],
            2,
            "--reask 'weak' is no tier with a model; known: strong",
        ),
        (["log.jsonl", "--route", "default", "--judge", "strong", "--dry-run"], 2, "--dry-run asks no model"),
        (["log.jsonl", "--route", "default", "--format", "xml"], 2, "'xml' is not one of 'auto', 'stream'"),
        (
            ["log.jsonl", "--route", "default", "--tenant", "x"],
            2,
            "no key in auth.keys is of tenant 'x'; known: default",
        ),
        (["log.jsonl", "--route", "fqa"], 2, "there is no route 'fqa'; known: default"),
        (
            ["cacheguard.yaml", "--route", "default"],
            1,
            "nothing in cacheguard.yaml can be used: cacheguard.yaml, line 1",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_the_way_out(folder, command, arguments, status, message):
    ended = command("warm", *arguments)
    assert ended.status == status
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_store_that_would_be_lost_is_refused(tmp_path, command):
    configure(tmp_path, "http://127.0.0.1:9/v1", store={"url": "memory://"})
    (tmp_path / "log.jsonl").write_text("".join(LOG))
    ended = command("warm", "log.jsonl", "--route", "default")
    assert ended.status == 2
    assert "store.url is 'memory://'" in ended.err
