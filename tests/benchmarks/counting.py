"""How hits are counted: a threshold serves every question of whose answer a rule is at least that sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rich.console import Console

LIMITS = (0.01, 0.02, 0.05, 0.10)


@dataclass(frozen=True, slots=True)
class Decisions:
    """For each question how sure a rule is of its best answer, and whether that is right; (n,) each."""

    sure: NDArray[np.float64]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, bool]]) -> Decisions:
        return cls(np.array([sure for sure, _ in pairs], float), np.array([right for _, right in pairs], bool))

    def hit_rate_at(self, limit: float) -> float:
        """Share of all questions that the loosest threshold serves under which at most `limit` of them are wrong."""
        return self._loosest(limit)[0] / len(self.right)

    def duplicates_served_at(self, limit: float) -> float:
        """For pairs: share of the true duplicates that this threshold serves."""
        return self._loosest(limit)[1] / int(self.right.sum())

    def _loosest(self, limit: float) -> tuple[int, int]:
        """How many are served, and how many of them right."""
        right = self.right[np.argsort(-self.sure, kind="stable")]
        served, served_right = np.arange(len(right) + 1), np.concatenate([[0], np.cumsum(right)])
        most = int(served[served - served_right <= limit * served].max())
        return most, int(served_right[most])


@dataclass(frozen=True, slots=True)
class Listing:
    """One table. rows: as many cells as there are headings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def table(self) -> Table:
        first, *others = self.headings
        table = Table(first, title=self.title, title_justify="left")
        for heading in others:
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(*row)
        return table


@dataclass(frozen=True, slots=True)
class Listings:
    """What a study found, as tables."""

    tables: Sequence[Listing]

    def show(self, console: Console) -> None:
        for one in self.tables:
            console.print(one.table())

    def as_json(self) -> dict[str, Any]:
        return {one.title: [dict(zip(one.headings, row, strict=True)) for row in one.rows] for one in self.tables}


def percent(*shares: float) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares)
