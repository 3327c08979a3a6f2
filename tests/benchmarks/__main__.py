"""Runs benchmarks: `python -m tests.benchmarks [NAME...] [--all] [--json F] [--compare OLD.json]`.

Without a name, those that take a few minutes.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.figures import Findings
from tests.benchmarks.machine import machine
from tests.benchmarks.report import WIDTH, notes, table

# Each measures what the service costs against a floor, a goal for each line, and gives Findings.
QUICK = ("exact", "semantic", "embedder", "misses", "streams", "growth", "starting")
# The same, for many minutes.
SLOW = ("million", "scopes", "growth_million", "precision")
# The same, against programs of others, which are installed for it.
PEERS = ("peers_exact", "peers_semantic", "peers_misses")
# Each measures what is promised of hits, on the public question sets, in some minutes.
HITS = ("quality", "promise", "drift", "decisions")
# Each looks for a constant of the code or plays a whole log or day, takes longer, and prints tables of its own.
STUDIES = (
    "context",
    "day",
    "guards",
    "hedge",
    "index_size",
    "replay",
    "replicas",
    "threshold",
    "vector_sets",
    "warming",
)
KNOWN = (*QUICK, *SLOW, *PEERS, *HITS, *STUDIES)


def main() -> None:
    said = _said()
    names = said.names or (*QUICK, *(SLOW + PEERS if said.all else ()))
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    about = machine()
    report: dict[str, Any] = {"machine": about}
    found: dict[str, Findings] = {}
    for name in names:
        if name in STUDIES:
            sys.argv = [name]
            runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__")
            continue
        measured = import_module(f"tests.benchmarks.{name}").measure()
        if isinstance(measured, Findings):
            found[name] = measured
        else:
            measured.show(console)
        report[name] = measured.as_json()
        if said.json:  # what was found is not lost with what comes after it
            said.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(" · ".join(f"{name} {value}" for name, value in about.items()), highlight=False)
    if found:
        before = json.loads(said.compare.read_bytes()) if said.compare else None
        console.print(table(found, before))
        console.print(notes(found), highlight=False)


def _said() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    by_name = ", ".join(name for name in KNOWN if name not in QUICK)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(QUICK)}; by name only: {by_name}")
    parser.add_argument("--all", action="store_true", help="also those that take long or want others' programs")
    parser.add_argument("--json", metavar="F", type=Path, help="also write the figures into this file")
    parser.add_argument("--compare", metavar="OLD.json", type=Path, help="an earlier run, whose figures stand beside")
    said = parser.parse_args()
    if unknown := set(said.names).difference(KNOWN):
        parser.error(f"there is no benchmark '{unknown.pop()}'; known: {', '.join(KNOWN)}")
    return said


if __name__ == "__main__":
    main()
