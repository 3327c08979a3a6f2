"""One thread that writes: all the writes that wait when it is free become one transaction (group commit).

A small write that nobody is in the way of is done at once, on the loop's own thread: it takes 0.13 ms, and the way to
the thread and back another 0.15.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import structlog

from cacheguard.stores.sqlite_file import forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheguard.stores.sqlite_trim import Trim

T = TypeVar("T")

log = structlog.get_logger()

# Small writes between two checkpoints, which the thread does, for they wait for the disk. One writes a dozen pages of
# the log, and SQLite's own measure is a thousand.
_CHECKPOINT_EVERY: Final = 100


class _Write(NamedTuple):
    """A change, which may run twice but is committed once, and who waits for its result."""

    change: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class Writer:
    """Runs changes on its own connections, in the order given; a call returns only after its commit."""

    def __init__(self, db: sqlite3.Connection, quick: sqlite3.Connection, trim: Trim) -> None:
        """db: the thread's. quick: for small writes; it waits for no lock. Both autocommit, and owned from now on."""
        quick.execute("PRAGMA wal_autocheckpoint = 0")
        self._db = db
        self._quick = quick
        self._trim = trim
        self._under_way = 0
        self._since_checkpoint = 0  # small writes
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="cacheguard-sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run the change and commit it. Raises whatever the change or its commit raised."""
        return await self._put(change)

    async def run_small(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """As run, for a change of a few rows."""
        if not (self._under_way or self._has_to_tidy()):
            with suppress(sqlite3.Error):  # the thread waits for the file, or says what is wrong
                return self._at_once(change)
        return await self._put(change)

    def post(self, change: Callable[[sqlite3.Connection], object]) -> asyncio.Future[object]:
        """Run the change some time soon, whoever waits for it; a failure is logged. Nothing is promised."""
        posted = self._put(change)
        posted.add_done_callback(_log_failure)
        return posted

    async def aclose(self) -> None:
        """Commit all that was begun, then close the connection. Nothing may be run after it."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _has_to_tidy(self) -> bool:
        """Whether something is due that the thread does with its next write."""
        return self._since_checkpoint >= _CHECKPOINT_EVERY or self._trim.is_due(self._written)

    @property
    def _written(self) -> int:
        """Rows, so far."""
        return self._db.total_changes + self._quick.total_changes

    def _at_once(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Raises sqlite3.Error: then nothing is written."""
        self._quick.execute("BEGIN IMMEDIATE")
        self._since_checkpoint += 1
        try:
            with self._quick:
                return change(self._quick)
        except sqlite3.Error:
            forget(self._quick)
            raise

    def _put(self, change: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._under_way += 1
        self._waiting.put(_Write(change, future))
        return future

    def _work(self) -> None:
        more = True
        while more:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            more = batch[-1] is not None
            self._commit([write for write in batch if write is not None])
            if self._since_checkpoint >= _CHECKPOINT_EVERY:
                self._since_checkpoint = 0
                self._checkpoint()
        self._quick.close()
        self._db.close()

    def _checkpoint(self) -> None:
        """Move what the log holds into the file, and wait for nobody."""
        with suppress(sqlite3.Error):  # the next one moves it
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _commit(self, batch: list[_Write]) -> None:
        """All writes as one transaction. Should it fail, then each alone, and none fails for another's sake.

        Savepoints would not do: a full disk rolls back the whole transaction.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as exc:
            self._deliver([(write.future, exc) for write in batch])  # locked: waiting again for each won't help
            return
        try:
            with self._db:
                results = [write.change(self._db) for write in batch]
                self._trim(self._db, self._written)
        except Exception as exc:  # noqa: BLE001 - the border: the thread must outlive any change
            if len(batch) == 1:
                self._deliver([(batch[0].future, exc)])
            else:
                for write in batch:
                    self._commit([write])
        else:
            self._deliver([(write.future, result) for write, result in zip(batch, results, strict=True)])

    def _deliver(self, outcomes: list[tuple[asyncio.Future[Any], object]]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, outcomes)

    def _settle(self, outcomes: list[tuple[asyncio.Future[Any], object]]) -> None:
        self._under_way -= len(outcomes)
        for future, outcome in outcomes:
            if future.cancelled():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _log_failure(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (exc := future.exception()):
        log.warning("write_dropped", error=str(exc))
