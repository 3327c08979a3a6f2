"""What was served, gathered for a moment: hundreds of hits a second are a few transactions."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from cacheguard.stores.base import Served

if TYPE_CHECKING:
    import sqlite3

    from cacheguard.stores.sqlite_writer import Writer

# A transaction of its own cost a hit 0.12 ms on the embedder's core. A killed process forgets what came since the last.
_EVERY_S: Final = 0.05
_ADD: Final = "INSERT OR REPLACE INTO served VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# astuple looks into every field for more dataclasses, which takes a hundred times as long.
_ROW: Final = attrgetter(*(field.name for field in fields(Served)))


_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Beyond so many that a stalled disk keeps waiting, what comes is dropped: it must not fill the memory.
_MOST: Final = 10_000


class Gathered:
    """Rows on their way to the table `served`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._rows: list[Served] = []
        self._posted: asyncio.Future[object] | None = None

    def add(self, served: Served) -> None:
        """Text that is not Unicode can't be written, and must not take others with it."""
        if any(map(_LONE_SURROGATE.search, (served.text, served.key))):
            return
        if not self._rows:
            self._loop.call_later(_EVERY_S, self._post_soon)
        if len(self._rows) < _MOST:
            self._rows.append(served)

    def post(self) -> None:
        """Give the writer what has come: what is asked of it from now on, it does after that."""
        if self._rows:
            rows, self._rows = [_ROW(served) for served in self._rows], []

            def write(db: sqlite3.Connection) -> None:
                db.executemany(_ADD, rows)

            self._posted = self._writer.post(write)

    def _post_soon(self) -> None:
        if self._posted is None or self._posted.done():
            self.post()
        else:
            self._loop.call_later(_EVERY_S, self._post_soon)
