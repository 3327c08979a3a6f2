from __future__ import annotations

import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from programs import PATIENCE_S, PROGRAM, environment

from cacheguard.cli.demo import summary
from cacheguard.cli.replay import EXACT, FAILED, MISS, SEMANTIC, SHARED, Asked, Played, path_of, saved

ASKED = Asked("How?", "So.")


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("cacheguard; hit; ttl=3512; detail=exact", EXACT),
        ("cacheguard; hit; ttl=-90; detail=exact-stale", EXACT),
        ("cacheguard; hit; ttl=812; detail=semantic", SEMANTIC),
        ("cacheguard; hit; ttl=-5; detail=semantic-stale", SEMANTIC),
        ("cacheguard; fwd=miss; fwd-status=200; stored", MISS),
        ("cacheguard; fwd=miss; collapsed", SHARED),
        ("cacheguard; fwd=miss; detail=template", FAILED),
    ],
)
def test_every_cache_status_belongs_to_one_path(field, path):
    assert path_of(field) == path


def test_a_hit_saves_what_a_miss_took():
    played = [Played(ASKED, MISS, "So.", 600, 0.02), Played(ASKED, MISS, "So.", 800, 0.04)]
    played += [Played(ASKED, EXACT, "So.", 100)]
    assert saved(played) == pytest.approx((0.03, 0.6))
    assert saved(played[2:]) == (0, 0)


def test_a_hit_with_another_questions_answer_is_counted_and_shown():
    played = [Played(ASKED, SEMANTIC, "Never.", 5), Played(ASKED, EXACT, "So.", 1), Played(ASKED, MISS, "What?", 9)]
    said = [line.split(maxsplit=2) for line in summary(played, calls=1)]
    assert ["wrong", "hits", "1 of 2"] in said
    assert ["given:", "Never."] in said
    assert ["provider", "calls", "1 instead of 3"] in said


def test_once_shows_the_table_and_leaves_nothing_behind(tmp_path):
    done = subprocess.run(
        [*PROGRAM, "demo", "--once"],
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^ +(exact hit|semantic hit|miss|shared miss) +(\d+) ", done.stdout, re.MULTILINE))
    assert sum(map(int, rows.values())) == 243
    assert f"provider calls  {rows['miss']} instead of 243" in done.stdout
    [(served, wrong)] = re.findall(r"would have served (\d+), (\d+) of them wrong", done.stdout)
    assert int(rows["exact hit"]) + int(rows["semantic hit"]) < int(served)
    assert int(wrong) > 0
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("cacheguard-demo-*"))


def test_it_stays_up_as_it_says_until_ctrl_c(tmp_path):
    command, env = [*PROGRAM, "demo", "--port", "0"], environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        curl = next(line for line in process.stdout if line.startswith("  curl"))
        asked = subprocess.run(shlex.split(curl), capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        assert "Cache-Status: cacheguard; hit".lower() in asked.stdout.lower()
        running = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert "Traceback" not in process.stderr.read()
    assert len(running) == 2
    assert not [pid for pid in running if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.glob("cacheguard-demo-*"))
