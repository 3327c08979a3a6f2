"""Plays the fault matrix and prints it: `make faults`. Cells in which the same happened share a row."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cacheguard.telemetry.logs import configure
from tests.faults.cells import CELLS
from tests.faults.classes import PLACES
from tests.faults.playing import stage
from tests.faults.scripts import MODES, WIRES

# For where there is no terminal to ask.
WIDTH = 230


def main():
    configure("error", StringIO())  # keys die on purpose here
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    begun = monotonic()
    with TemporaryDirectory() as folder, stage(Path(folder)) as playing:
        came = {cell: playing.play(cell) for cell in track(CELLS, "Playing", console=Console(stderr=True))}
    wrong = [cell for cell in CELLS if came[cell] != cell.expected]
    console.print(table(came, set(wrong)))
    classes = Counter(str(cell.fault.failure) for cell in CELLS)
    console.print(" · ".join(f"{name} {number}" for name, number in classes.items()))
    console.print(f"{len(CELLS)} cells in {monotonic() - begun:.0f} s, {len(wrong)} not as the table of classes says")
    sys.exit(bool(wrong))


def table(came, wrong):
    rows = defaultdict(list)
    for cell, outcome in came.items():
        rows[cell.fault, cell.column, told(outcome), cell in wrong].append(cell)
    shown = Table("class", "fault", "failing", "in", "client", "attempts", "votes", "left alone", "", "", box=SIMPLE)
    for (fault, column, outcome, is_wrong), cells in rows.items():
        shown.add_row(str(fault.failure), fault.name, column, where(cells), *outcome, "WRONG" if is_wrong else "")
    return shown


def where(cells):
    """In which formats, streamed or not; only what is not everywhere is named."""
    wires = {mode: [cell.wire for cell in cells if cell.mode == mode] for mode in MODES}
    named = {mode: "" if len(found) == len(WIRES) else " " + ", ".join(found) for mode, found in wires.items() if found}
    if len(named) == len(MODES) and len(set(named.values())) == 1:
        return next(iter(named.values())).strip() or "all"
    return "; ".join(f"{mode}{found}" for mode, found in named.items())


def told(outcome):
    """Places as numbers."""
    attempts = " → ".join(
        f"{at(place)} {ended}" + (f" ×{times}" if times > 1 else "")
        for (place, ended), times in Counter(outcome.attempts).items()
    )
    stored = "stored" if outcome.stored else ""
    return outcome.client, attempts, by_kind(outcome.votes), by_kind(outcome.blocks), stored


def by_kind(counts):
    kinds = defaultdict(list)
    for place, kind in counts.elements():
        kinds[kind].append(at(place))
    return "; ".join(f"{kind} {','.join(places)}" for kind, places in kinds.items())


def at(place):
    return str(PLACES.index(place) + 1)


if __name__ == "__main__":
    main()
