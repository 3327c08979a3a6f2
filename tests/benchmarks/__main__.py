"""Runs benchmarks: `python -m tests.benchmarks [NAME...] [--json F]`. Without a name, those that take a few minutes."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console

from tests.benchmarks.figures import machine

# Each measures something of the service against its floor, and gives Findings.
QUICK = ("hits", "misses")
# The same, against programs of others, which are installed for it.
PEERS = ("peers",)
# Each measures what is promised of hits, on the public question sets, in some minutes.
HITS = ("quality", "promise", "drift", "decisions")
# Each looks for a constant of the code or plays a whole log or day, takes longer, and prints tables of its own.
STUDIES = ("context", "day", "guards", "hedge", "index_size", "replay", "replicas", "threshold")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    by_name = ", ".join(HITS + PEERS + STUDIES)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(QUICK)}; by name only: {by_name}")
    parser.add_argument("--json", metavar="F", type=Path, help="also write the figures into this file")
    said = parser.parse_args()
    names = said.names or QUICK
    if unknown := set(names).difference(QUICK, HITS, PEERS, STUDIES):
        parser.error(f"there is no benchmark '{unknown.pop()}'; known: {', '.join(QUICK)}, {by_name}")
    console = Console()
    about = machine()
    console.print(" · ".join(f"{name} {value}" for name, value in about.items()), highlight=False)
    report = {"machine": about}
    for name in names:
        if name in STUDIES:
            sys.argv = [name]
            runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__")
        else:
            findings = import_module(f"tests.benchmarks.{name}").measure()
            findings.show(console)
            report[name] = findings.as_json()
    if said.json:
        said.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
