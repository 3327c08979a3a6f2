"""What a warming has found so far, in files of its own: larger than memory, and there after a kill.

Whatever is written together is committed together with how far the warming is, so that a run that goes on does nothing
twice.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cacheguard.errors import FileUnusable
from cacheguard.warming.exchanges import Exchanges
from cacheguard.warming.opinions import Opinions
from cacheguard.warming.places import Places
from cacheguard.warming.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embeddings.base import Embedded

_PROGRESS = "CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
_WITHOUT_VECTOR = (
    "SELECT {} FROM chosen JOIN questions ON id = question WHERE place >= ? AND id NOT IN (SELECT question FROM early)"
)
# Vectors of questions that have no place yet.
_EARLY = "CREATE TABLE IF NOT EXISTS early (question INTEGER PRIMARY KEY, vector BLOB NOT NULL)"


class Work:
    """exchanges: what was read. places: the questions that are kept. vectors: theirs, by place, in a file beside the
    database. opinions: what models said of them. Raises FileUnusable where it is in use.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths = (path, path.with_suffix(".f32"), path.with_name(path.name + "-wal"))
        for held in self._paths[:2]:
            held.touch(mode=0o600)  # prompts, and what they could be guessed by; SQLite makes the third like the first
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            # One process at a time; a kill loses nothing that was committed, a power cut the end. Rows are named by
            # hashes, so that each goes to another page: in 32 MB of them, reading takes a tenth less than in 2.
            self._db.executescript(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                "PRAGMA cache_size = -32768;"
            )
            self._db.execute(_PROGRESS)
            self._db.execute(_EARLY)
            self.exchanges = Exchanges(self._db)
        except sqlite3.OperationalError as exc:
            self._db.close()
            raise FileUnusable(f"{path} is in use: another warming of the same logs is under way ({exc})") from None
        self.places = Places(self._db)
        self.opinions = Opinions(self._db)
        self.vectors = Vectors(path.with_suffix(".f32"), dimension)

    def close(self) -> None:
        self._db.close()
        self.vectors.close()

    def remove(self) -> None:
        """When all is done."""
        self.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    @contextmanager
    def change(self) -> Iterator[None]:
        """What is written within is there as a whole or not at all."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def get(self, name: str, otherwise: Any) -> Any:
        """What was noted of the progress."""
        row = self._db.execute("SELECT value FROM progress WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else otherwise

    def note(self, **progress: Any) -> None:
        rows = [(name, json.dumps(value)) for name, value in progress.items()]
        self._db.executemany("INSERT OR REPLACE INTO progress VALUES (?, ?)", rows)

    def put_early(self, questions: Sequence[int], embedded: Embedded) -> None:
        """Vectors of questions, by their ids, whose places are not settled."""
        rows = zip(questions, _comparable(embedded).astype("<f4"), strict=True)
        self._db.executemany("INSERT OR REPLACE INTO early VALUES (?, ?)", ((id_, row.tobytes()) for id_, row in rows))

    def place_early(self) -> None:
        """Put vectors of questions whose places are settled by now there."""
        rows = self._db.execute("SELECT place, vector FROM early JOIN chosen USING (question) ORDER BY place")
        for place, vector in rows:
            self.vectors.put(place, np.frombuffer(vector, "<f4"))

    def without_vector(self) -> Iterator[tuple[int, str]]:
        """Places, and their questions, in their order."""
        return iter(self._db.execute(_WITHOUT_VECTOR.format("place, text") + " ORDER BY place", self._embedded))

    @property
    def unembedded(self) -> int:
        """How many they are."""
        (number,) = self._db.execute(_WITHOUT_VECTOR.format("count(*)"), self._embedded).fetchone()
        return int(number)

    @property
    def _embedded(self) -> tuple[int]:
        """Before which place all have one."""
        return (self.get("embedded", 0),)

    def put_vectors(self, places: Sequence[int], embedded: Embedded) -> None:
        """Of the next places that lack one."""
        for place, vector in zip(places, _comparable(embedded), strict=True):
            self.vectors.put(place, vector)
        self.note(embedded=places[-1] + 1)


def _comparable(embedded: Embedded) -> NDArray[np.float32]:
    """The vectors; of prompts that were not read whole zeros, which no cosine finds."""
    vectors: NDArray[np.float32] = np.where(np.array(embedded.cut)[:, np.newaxis], np.float32(0), embedded.vectors)
    return vectors
