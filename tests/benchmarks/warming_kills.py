"""The part `kills` of `warming`: the command, killed at random moments and resumed, beside one that was left alone."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from tests.benchmarks.counting import Listing
from tests.benchmarks.filled import ROUTE
from tests.benchmarks.logs_made import write_log
from tests.benchmarks.processes import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LINES = 8_000
KILLS = 5
# Before that a program has not begun.
START_S = 1


def kills(folder: Path) -> Listing:
    command = [PROGRAM, "warm", str(write_log(folder / "log.jsonl", LINES)), "--route", ROUTE, "--resume"]
    begun = time.perf_counter()
    expected = warmed(command, folder / "alone")
    whole_s, moments, rounds = time.perf_counter() - begun, random.Random(9), list[list[str]]()
    are_same = True
    while sum(map(len, rounds)) < KILLS:
        place, stages = folder / f"round-{len(rounds)}", list[str]()
        place.mkdir()
        # Later ones go on where the last one was, and come nearer to the end.
        while len(stages) < KILLS and killed_after(command, place, moments.uniform(START_S, whole_s)):
            stages.append(stage_in(place))
        rounds.append(stages)
        are_same &= warmed(command, place) == expected
    rows = [
        *([f"round {number}: killed while", ", ".join(stages)] for number, stages in enumerate(rounds, 1)),
        ["answers", f"{len(expected):,}"],
        ["phrasings", f"{sum(map(len, expected.values())):,}"],
        ["the same cache after each round", "yes" if are_same else "no"],
    ]
    return Listing("kills", ["", ""], rows)


def warmed(command: Sequence[str], place: Path) -> Mapping[str, frozenset[str]]:
    """What the cache holds when the command has come to its end."""
    place.mkdir(exist_ok=True)
    subprocess.run(command, cwd=place, env=environment(), stdout=subprocess.DEVNULL, check=True)
    return exported(place)


def killed_after(command: Sequence[str], place: Path, seconds: float) -> bool:
    """False: it came to its end."""
    with subprocess.Popen(command, cwd=place, env=environment(), stdout=subprocess.DEVNULL) as child:
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return True
    return False


def stage_in(place: Path) -> str:
    """In which stage a warming was killed, by what it had noted."""
    noted: set[str] = set()
    for path in (place / ".cacheguard" / "warming").glob("*.db"):
        with closing(sqlite3.connect(path)) as db, suppress(sqlite3.OperationalError):
            noted = {name for (name,) in db.execute("SELECT name FROM progress")}
    ended = {"kept": "keeping", "is_grouped": "keeping", "compared": "grouping", "is_read": "embedding"}
    return next((stage for note, stage in ended.items() if note in noted), "reading" if noted else "starting")


def exported(place: Path) -> Mapping[str, frozenset[str]]:
    """What a cache holds: answers by id and text, with their phrasings; times and vectors' last digits apart."""
    subprocess.run([PROGRAM, "entries", "export", "all.jsonl"], cwd=place, env=environment(), check=True)
    export = place / "all.jsonl"
    found: dict[str, set[str]] = {}
    name = ""
    for line in export.read_text("utf-8").splitlines():
        match json.loads(line):
            case {"answer": answer}:
                name = f"{answer['id']} {answer['text']}"
                found[name] = set()
            case {"phrasing": phrasing}:
                found[name].add(phrasing["text"])
    return {name: frozenset(its) for name, its in found.items()}


def environment() -> dict[str, str]:
    return {**os.environ, "OPENAI_API_KEY": "none"}
