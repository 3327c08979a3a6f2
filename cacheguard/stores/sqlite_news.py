"""What was written to the file since, for whoever keeps its rows in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from cacheguard.stores.base import Touched

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

# Asking the file takes 3.5 µs, as long as all else that an exact hit wants of the store.
_EVERY_S: Final = 0.001
# Rows that are read one by one; whoever missed more forgets everything, which is cheaper.
_MOST: Final = 1_000


class News:
    """Reads the news on the connection of the look-ups, which sees every commit, the writer thread's too."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._due = 0.0
        self._data_version = -1  # none that SQLite gives
        self._seq = -1

    def wrote(self) -> None:
        """This process has committed something, which it shall see at once."""
        self._due = 0.0

    def read(self) -> Sequence[Touched] | None:
        """As of a store. Raises sqlite3.Error."""
        now = self._clock()
        if now < self._due:
            return ()
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        touched = () if version == self._data_version else self._since()
        self._data_version, self._due = version, now + _EVERY_S
        return touched

    def _since(self) -> list[Touched] | None:
        rows = self._db.execute(
            "SELECT seq, answer_id, scope, key, phrasing_id FROM news WHERE seq > ? ORDER BY seq LIMIT ?",
            (self._seq, _MOST),
        ).fetchall()
        if rows and len(rows) < _MOST:
            # Numbers have no gaps: one shows that news were trimmed, or that this is the first look.
            is_all, self._seq = rows[0][0] == self._seq + 1, rows[-1][0]
        else:
            (latest,) = self._db.execute("SELECT ifnull(max(seq), 0) FROM news").fetchone()
            is_all, self._seq = latest == self._seq, latest
        return [Touched(*row[1:]) for row in rows] if is_all else None
