"""The file behind a SQLite store: made private, opened, and its errors in words that name the way out."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from cacheguard.errors import StoreError, StoreUnusable
from cacheguard.stores.sqlite_schema import check_ours, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PERMISSION: Final = "let this user write the file and its folder, or name another place in store.url"
_WAYS_OUT: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: make room; what was kept is safe, and writes succeed again then",
    sqlite3.SQLITE_READONLY: _PERMISSION,
    sqlite3.SQLITE_CANTOPEN: _PERMISSION,
    sqlite3.SQLITE_PERM: _PERMISSION,
    sqlite3.SQLITE_BUSY: "another process holds the file locked: end its transaction, then try again",
    sqlite3.SQLITE_LOCKED: "another process holds the file locked: end its transaction, then try again",
    sqlite3.SQLITE_IOERR: "the disk failed, or a quota is used up: check both, then try again",
    sqlite3.SQLITE_NOTADB: "it is not a database: name another file in store.url, or move this one away",
    sqlite3.SQLITE_CORRUPT: "it is damaged: put back a copy, or move it away to begin with an empty cache",
}


@contextmanager
def our_errors(path: Path, reader: sqlite3.Connection | None = None) -> Iterator[None]:
    """Raise what SQLite and the file system raise as StoreUnusable or StoreError. reader: what met them."""
    try:
        yield
    except sqlite3.Error as exc:
        if reader is not None:
            forget(reader)
        raise our_error(path, exc) from exc
    except OSError as exc:
        raise StoreUnusable(f"can't use {path} ({exc.strerror}): {_PERMISSION}") from exc
    except UnicodeEncodeError as exc:
        raise StoreError("text with a lone surrogate is not Unicode and can't be kept: mend it first") from exc


def forget(db: sqlite3.Connection) -> None:
    """Let go of what the connection has read: of a file that was damaged and put back, it may be what was wrong."""
    with suppress(sqlite3.Error):
        db.execute("PRAGMA shrink_memory")


def our_error(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite raised, in words that name the way out."""
    code = _primary_code(error)
    if code in _WAYS_OUT:
        return StoreUnusable(f"can't use {path} ({error}): {_WAYS_OUT[code]}")
    return StoreError(f"{path} refused the request: {error}")


def open_file(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection to the file, which is made if it is missing and brought to today's schema.

    Raises StoreUnusable, sqlite3.Error, OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)  # prompts are private; SQLite gives its -wal and -shm files the same mode
    db = connect(path, busy_s)
    try:
        check_ours(db, path)  # before anything is written
        _use_wal(db, path, busy_s)
        migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection in autocommit mode, to be used by one thread at a time."""
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        # NORMAL: killing the process loses nothing; a power cut may lose the last moments but never damages the
        # file, and commits need no fsync. Source: sqlite.org/pragma.html#pragma_synchronous
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        db.close()  # what is no database shows itself here
        raise
    return db


def _use_wal(db: sqlite3.Connection, path: Path, busy_s: float) -> None:
    """Readers and the writer don't wait for each other in this mode. It is kept in the file."""
    patience = time.monotonic() + busy_s
    while (mode := _ask_for_wal(db)) == "busy" and time.monotonic() < patience:
        time.sleep(0.01)
    if mode != "wal":
        raise StoreUnusable(
            f"can't switch {path} to write-ahead logging ({mode}): end what else has it open,"
            " or name a file on a local disk in store.url"
        )


def _ask_for_wal(db: sqlite3.Connection) -> str:
    """The mode it is in now, or "busy": the switch needs the file alone, which SQLite doesn't wait for."""
    try:
        return str(db.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    except sqlite3.OperationalError as exc:
        if _primary_code(exc) == sqlite3.SQLITE_BUSY:
            return "busy"
        raise


def _primary_code(exc: sqlite3.Error) -> int:
    """SQLite's result code without its extension, e.g. SQLITE_BUSY for SQLITE_BUSY_RECOVERY."""
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
