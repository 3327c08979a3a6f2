"""The embedded store: one SQLite file, shared by the processes of one machine.

Look-ups run on the event loop's own thread: at 100,000 phrasings one takes 50 µs, a hop to a thread and back
alone 100 µs (medians on 2 shared cores).
Whatever scans runs in a thread, in bounded batches; writes queue for one writer thread (sqlite_writer).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from cacheguard.errors import StoreError
from cacheguard.stores.base import Change, Counts, Filter, Known, Label, NewPhrasing, Served, StoredRule, Vectors
from cacheguard.stores.sqlite_file import connect, forget, open_file, our_error, our_errors
from cacheguard.stores.sqlite_labels import EXACT, HIT_TIMES, LABELS, SAID, SERVED, UNJUDGED, label, served
from cacheguard.stores.sqlite_news import News
from cacheguard.stores.sqlite_rows import (
    add_phrasings,
    add_rule,
    add_spending,
    condition,
    keep,
    known,
    phrasing,
    vector_bytes,
    vectors_of,
)
from cacheguard.stores.sqlite_schema import check_model
from cacheguard.stores.sqlite_served import Gathered
from cacheguard.stores.sqlite_trim import Trim
from cacheguard.stores.sqlite_writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from cacheguard.stores.base import SpendingKey, Touched
    from cacheguard.types import Answer, Phrasing

T = TypeVar("T")

# Rows read between two chances for others: 6 MB of vectors of dimension 384.
_BATCH: Final = 4096
_ANSWERS_BATCH: Final = 256
# A look-up waits for the file only after a crash, while another process recovers it; the loop waits with it.
_READER_BUSY_S: Final = 0.5

_VECTORS: Final = (
    "SELECT phrasing_id, vector FROM vectors WHERE scope = ? AND model = ? AND phrasing_id > ?"
    " ORDER BY phrasing_id LIMIT ?"
)
# The plus signs keep SQLite from walking through the whole scope for a few ids.
_SOME_VECTORS: Final = (
    "SELECT phrasing_id, vector FROM vectors WHERE +scope = ? AND +model = ?"
    " AND phrasing_id IN (SELECT value FROM json_each(?)) AND phrasing_id > ? ORDER BY phrasing_id LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What an open store holds: one connection each for look-ups, scans and writes, and its model's row."""

    reader: sqlite3.Connection
    news: News
    scanner: sqlite3.Connection
    scans: ThreadPoolExecutor
    writer: Writer
    served: Gathered
    model: int
    identity: str


class SqliteStore:
    """A Store in a SQLite file, made on first use. Any number of processes may open it at once."""

    def __init__(self, path: str | PathLike[str], *, history: int = 100_000, busy_s: float = 15.0) -> None:
        """history: how many changes are kept for indexes that follow; one that lags further loads again.

        busy_s: how long a write waits for another process's. Most take milliseconds; removing 100,000
        phrasings takes 4 s.
        """
        self._path = Path(path)
        self._busy_s = busy_s
        self._history = history
        self._opened: _Opened | None = None

    async def open(self, fingerprint: str, *, reembedding: bool = False) -> None:
        with our_errors(self._path):
            db, model = await asyncio.to_thread(self._enter, fingerprint, reembedding=reembedding)
            reader = connect(self._path, _READER_BUSY_S)
            writer = Writer(db, Trim(self._history))
            self._opened = _Opened(
                reader=reader,
                news=News(reader),
                scanner=connect(self._path, self._busy_s),
                scans=ThreadPoolExecutor(1, thread_name_prefix="cacheguard-sqlite-scans"),
                writer=writer,
                served=Gathered(writer),
                model=model,
                identity=reader.execute("SELECT id FROM identity").fetchone()[0],
            )

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.served.post()
            await asyncio.to_thread(opened.scans.shutdown)
            opened.scanner.close()
            opened.reader.close()
            await opened.writer.aclose()  # the last connection: closing it tidies the file, in its thread

    @property
    def identity(self) -> str:
        return self._live.identity

    async def exact(self, scope: str, key: str) -> Known | None:
        rows = self._read(EXACT, (scope, key))
        return known(rows[0]) if rows else None

    async def known(self, phrasing_ids: Sequence[int]) -> list[Known]:
        rows = self._read(
            "SELECT known.* FROM json_each(?) asked CROSS JOIN known ON known.id = asked.value ORDER BY asked.key",
            (_json_ids(phrasing_ids),),
        )
        return [known(row) for row in rows]

    async def keep(self, answer: Answer, phrasings: Sequence[NewPhrasing]) -> list[int]:
        return await self._write(partial(keep, answer, phrasings, self._model))

    async def add_phrasings(self, answer_id: str, phrasings: Sequence[NewPhrasing]) -> list[int]:
        return await self._write(partial(add_phrasings, answer_id, phrasings, self._model))

    async def remove(self, which: Filter) -> int:
        where, values = condition(which)
        sql = f"DELETE FROM answers WHERE {where}"  # noqa: S608 - fixed text, its values are parameters
        return await self._write(lambda db: db.execute(sql, values).rowcount)

    async def remove_phrasing(self, phrasing_id: int) -> bool:
        sql = "DELETE FROM phrasings WHERE id = ?"
        return await self._write(lambda db: db.execute(sql, (phrasing_id,)).rowcount > 0)

    async def answers(self, which: Filter) -> AsyncIterator[tuple[Answer, list[Phrasing]]]:
        where, values = condition(which)
        sql = (
            "SELECT * FROM known WHERE answer_id IN"  # noqa: S608 - as above
            f" (SELECT id FROM answers WHERE {where} AND (created_at, id) > (?, ?)"
            " ORDER BY created_at, id LIMIT ?)"
            " ORDER BY answered_at, answer_id, id"
        )
        after = (float("-inf"), "")
        while rows := await self._scan(sql, (*values, *after, _ANSWERS_BATCH)):
            for _, group in groupby(map(known, rows), key=lambda one: one.answer.id):
                its = list(group)
                answer = its[0].answer
                after = (answer.created_at, answer.id)
                yield answer, [one.phrasing for one in its]

    async def vectors(self, scope: str, ids: Sequence[int] | None = None) -> Vectors:
        sql, chosen = (_VECTORS, []) if ids is None else (_SOME_VECTORS, [_json_ids(ids)])
        batches, last = [], -1
        while rows := await self._scan(sql, (scope, self._model, *chosen, last, _BATCH)):
            batches.append(vectors_of(rows))
            last = rows[-1][0]
        if not batches:
            return Vectors(np.empty(0, np.int64), np.empty((0, 0), np.float32))
        return Vectors(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))

    async def changed(self, within_s: float) -> None:
        await asyncio.sleep(within_s)  # nobody tells: whoever waits shall look

    def news(self) -> Sequence[Touched] | None:
        try:
            return self._live.news.read()
        except sqlite3.Error as exc:  # not always a context: this is asked at every look-up
            forget(self._live.reader)
            raise our_error(self._path, exc) from exc

    async def changes(self, after: int, limit: int = 10_000) -> list[Change] | None:
        rows = self._read(
            "SELECT seq, scope, phrasing_id, removed FROM changes WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        # Numbers have no gaps, so one shows that steps were trimmed, or that `after` is of another file.
        known_until = rows[0][0] - 1 if rows else await self.latest_change()
        if after != known_until:
            return None
        return [Change(seq, scope, id_, bool(removed)) for seq, scope, id_, removed in rows]

    async def latest_change(self) -> int:
        ((latest,),) = self._read("SELECT ifnull(max(seq), 0) FROM changes")
        return int(latest)

    async def add_labels(self, labels: Sequence[Label]) -> None:
        rows = [astuple(label) for label in labels]
        sql = "INSERT INTO labels VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        await self._write(lambda db: db.executemany(sql, rows))

    async def labels(self, route: str, newest: int | None = None) -> list[Label]:
        rows = await self._scan(LABELS, (route, -1 if newest is None else newest))
        return [label(row) for row in reversed(rows)]

    async def barred(self, scope: str, key: str) -> frozenset[str]:
        newest = dict(self._read(SAID, (scope, key)))
        return frozenset(answer_id for answer_id, right in newest.items() if not right)

    async def add_served(self, served: Served) -> None:
        self._live.served.add(served)

    async def served(self, completion_id: str) -> Served | None:
        self._live.served.post()
        # Asked in the writer's queue: whatever was added before is then there.
        row = await self._write(lambda db: db.execute(SERVED, (completion_id,)).fetchone())
        return served(row) if row else None

    async def unjudged(self, route: str, limit: int) -> list[Served]:
        return [served(row) for row in await self._scan(UNJUDGED, (route, limit))]

    async def hit_times(self, route: str, limit: int) -> list[float]:
        return [at for (at,) in reversed(await self._scan(HIT_TIMES, (route, limit)))]

    async def outdated(self, limit: int) -> list[Phrasing]:
        rows = await self._scan(
            "SELECT p.id, p.answer_id, p.scope, p.key, p.text, p.origin, p.created_at"
            " FROM models m CROSS JOIN vectors v ON v.model = m.id JOIN phrasings p ON p.id = v.phrasing_id"
            " WHERE m.id <> ? LIMIT ?",
            (self._model, limit),
        )
        return [phrasing(row) for row in rows]

    async def put_vectors(self, phrasing_ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
        model = self._model
        rows = [(model, vector_bytes(row), int(id_)) for id_, row in zip(phrasing_ids, vectors, strict=True)]
        sql = "UPDATE vectors SET model = ?, vector = ? WHERE phrasing_id = ?"
        await self._write(lambda db: db.executemany(sql, rows))

    async def add_spending(self, spent: Mapping[SpendingKey, float]) -> dict[SpendingKey, float]:
        return await self._write(partial(add_spending, dict(spent)))

    async def add_rule(
        self, route: str, body: str, *, by: str, created_at: float, after: int | None = None
    ) -> StoredRule:
        return await self._write(partial(add_rule, StoredRule(route, 0, body, by, created_at), after))

    async def rules(self, route: str) -> list[StoredRule]:
        rows = self._read("SELECT * FROM rules WHERE route = ? ORDER BY version", (route,))
        return [StoredRule(*row) for row in rows]

    async def rules_in_force(self) -> list[StoredRule]:
        rows = self._read(
            "SELECT * FROM rules r WHERE version = (SELECT max(version) FROM rules WHERE route = r.route)"
        )
        return [StoredRule(*row) for row in rows]

    async def remarks(self) -> list[str]:
        return []

    async def counts(self) -> Counts:
        ((*numbers,),) = await self._scan(
            "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM phrasings),"
            " (SELECT count(*) FROM vectors), (SELECT count(*) FROM labels),"
            " (SELECT count(DISTINCT scope) FROM answers)"
        )
        return Counts(*numbers)

    @property
    def _live(self) -> _Opened:
        if self._opened is None:
            raise StoreError(f"the store in {self._path} is closed: open() it first")
        return self._opened

    @property
    def _model(self) -> int:
        return self._live.model

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """At once, on the event loop's thread: for look-ups that touch a few pages."""
        reader = self._live.reader
        with our_errors(self._path, reader):
            return reader.execute(sql, values).fetchall()

    async def _scan(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """In the scanning thread."""
        opened = self._live
        with our_errors(self._path):
            return await asyncio.get_running_loop().run_in_executor(
                opened.scans, lambda: opened.scanner.execute(sql, values).fetchall()
            )

    async def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        opened = self._live
        with our_errors(self._path):
            written = await opened.writer.run(change)
        opened.news.wrote()
        return written

    def _enter(self, fingerprint: str, *, reembedding: bool) -> tuple[sqlite3.Connection, int]:
        """The first connection, for the writer, and the row of the model. Raises ModelMismatch."""
        db = open_file(self._path, self._busy_s)
        try:
            db.execute("BEGIN IMMEDIATE")  # also shows that the file can be written
            with db:
                if not reembedding:
                    check_model(db, self._path, fingerprint)
                db.execute("INSERT OR IGNORE INTO models (fingerprint) VALUES (?)", (fingerprint,))
            (model,) = db.execute("SELECT id FROM models WHERE fingerprint = ?", (fingerprint,)).fetchone()
        except BaseException:
            db.close()
            raise
        return db, model


def _json_ids(ids: Sequence[int]) -> str:
    """As one parameter, whose number SQLite limits; a list of numpy's integers will do too."""
    return json.dumps([int(id_) for id_ in ids])
