"""One thread that writes: all the writes that wait when it is free become one transaction (group commit)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

log = structlog.get_logger()


class _Write(NamedTuple):
    """A change, which may run twice but is committed once, and who waits for its result."""

    change: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class Writer:
    """Runs changes on its own connection, in the order given; a call returns only after its commit."""

    def __init__(self, db: sqlite3.Connection, tidy: Callable[[sqlite3.Connection], object]) -> None:
        """db: in autocommit mode, owned from now on. tidy: runs at the end of every transaction."""
        self._db = db
        self._tidy = tidy
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="cacheguard-sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run the change and commit it. Raises whatever the change or its commit raised."""
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

    def _put(self, change: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
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
        self._db.close()

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
                self._tidy(self._db)
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
            self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: list[tuple[asyncio.Future[Any], object]]) -> None:
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
