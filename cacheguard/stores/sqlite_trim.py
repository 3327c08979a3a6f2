"""Logs in the file that must not grow for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

_SERVED_KEPT: Final = 100_000


class Trim:
    """Ends transactions: trims when a tenth of what is kept has been written since. history: changes and news kept."""

    def __init__(self, history: int, served: int = _SERVED_KEPT) -> None:
        self._kept = {"changes": ("seq", history), "news": ("seq", history), "served": ("id", served)}
        self._every = min(history, served) // 10
        self._due = 0

    def __call__(self, db: sqlite3.Connection) -> None:
        if db.total_changes < self._due:
            return
        for table, (number, kept) in self._kept.items():
            newest = f"SELECT max({number}) FROM {table}"  # noqa: S608 - here and below: our own names
            db.execute(f"DELETE FROM {table} WHERE {number} <= ({newest}) - ?", (kept,))  # noqa: S608
        self._due = db.total_changes + self._every
