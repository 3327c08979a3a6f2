"""The cells of the fault matrix: one request each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from tests.faults.classes import LINES, OUTAGE, PLACES, outcome
from tests.faults.scripts import FAULTS, GONE, LONG_S, STREAM, USUAL, WIRES, Fault, throttled

FAULTY, OUT, WELL = "fails as the cell says", "is throttled", "answers"
FIRST, SECOND, ALL, STALE = "first", "second", "all", "all-stale"
# What each tier does; in the last column an earlier answer stands by.
COLUMNS = {
    FIRST: (FAULTY, WELL, WELL),
    SECOND: (OUT, FAULTY, WELL),
    ALL: (FAULTY, FAULTY, FAULTY),
    STALE: (FAULTY, FAULTY, FAULTY),
}


@dataclass(frozen=True, slots=True)
class Cell:
    fault: Fault
    column: str
    mode: str
    wire: str

    def __str__(self):
        return f"{self.fault.name}, {self.column}, {self.mode}, {self.wire}"

    @property
    def route(self):
        return f"{self.wire}-{self.fault.tier}-{self.column}"

    @property
    def tiers(self):
        """The route's."""
        kinds = (self.fault.tier if way == FAULTY else USUAL for way in COLUMNS[self.column])
        return [f"{self.wire}-{kind}-{place}" for kind, place in zip(kinds, PLACES, strict=True)]

    @property
    def scripts(self):
        """What the hosts play that don't answer, by place."""
        plays = {FAULTY: self.fault.scripts[self.wire], OUT: throttled(LONG_S)[self.wire]}
        ways = zip(PLACES, COLUMNS[self.column], strict=True)
        return {place: plays[way] for place, way in ways if way != WELL}

    @property
    def expected(self):
        line = LINES[self.fault.line]
        lines = {FAULTY: line, OUT: OUTAGE, WELL: None}
        return outcome(
            line,
            [lines[way] for way in COLUMNS[self.column]],
            spoken=self.fault.spoken if self.mode == STREAM else "",
            is_called=self.fault.tier != GONE,
            is_stale=self.column == STALE,
        )


# A host that isn't there can't have answered earlier.
CELLS = [
    Cell(fault, column, mode, wire)
    for fault, column, mode, wire in product(FAULTS, COLUMNS, ("plain", "stream"), WIRES)
    if mode in fault.modes and wire in fault.scripts and (fault.tier, column) != (GONE, STALE)
]
