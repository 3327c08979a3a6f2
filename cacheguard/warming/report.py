"""What came of a warming."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheguard.lines import BadLine
    from cacheguard.warming.grouping import Conflict

# Examples that a report shows; the rest is counted.
SHOWN = 1000


@dataclass(slots=True)
class Report:
    """Counts of lines and questions, and examples of what was left out.

    kept: questions new to the cache, or with a new answer; exact_only of them are too long for the model, and found by
    exact matches alone. unchanged: the cache had them. withdrawn: someone called this answer wrong for this question.
    answers: new ones, and those with a new text. refused: lines whose answer the route's validators object to.
    """

    dry_run: bool = False
    lines: int = 0
    bad: int = 0
    refused: int = 0
    duplicates: int = 0
    conflicts: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    kept: int = 0
    exact_only: int = 0
    answers: int = 0
    seconds: float = 0.0
    bad_lines: list[BadLine] = field(default_factory=list)
    refused_lines: list[BadLine] = field(default_factory=list)
    conflicting: list[Conflict] = field(default_factory=list)

    def add_bad(self, line: BadLine) -> None:
        self.bad += 1
        if len(self.bad_lines) < SHOWN:
            self.bad_lines.append(line)

    def add_refused(self, line: BadLine) -> None:
        self.refused += 1
        if len(self.refused_lines) < SHOWN:
            self.refused_lines.append(line)
