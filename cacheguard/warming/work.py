"""What a warming has found so far, in a database of its own: larger than memory, and there after a kill.

Whatever is written together is committed together with how far the warming is, so that a run that goes on does nothing
twice. Questions and texts are named by 64 bits of their hash: of ten million, two share a name once in 370,000 logs.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cacheguard.errors import FileUnusable
from cacheguard.warming.work_tables import AROUND, CHOOSE, SAVED, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cacheguard.warming.neighbours import Near


class Asked(NamedTuple):
    """A question about to be written; its fields are those of the table `exchanges` and what these refer to."""

    number: int
    scope: str
    key: str
    prompt: str
    answer: str
    source_id: str
    model: str
    at: float | None
    is_right: bool | None
    cost_usd: float
    took_s: float


@dataclass(slots=True)
class Candidate:
    """An answer that a question got. last: number of the exchange that last gave it."""

    source_id: str
    text: str
    given: int
    praised: int
    blamed: int
    last: int
    at: float | None
    model: str


class Chosen(NamedTuple):
    """A question that is to be kept. place: its row among the vectors."""

    place: int
    id: int
    scope: str
    key: str
    text: str
    asked: int


class Work:
    """vectors: float32 (places, dimension), in a file beside the database. Raises FileUnusable where it is in use."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._dimension = dimension
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths = (path, path.with_suffix(".f32"), path.with_name(path.name + "-wal"))
        for held in self._paths[:2]:
            held.touch(mode=0o600)  # prompts, and what they could be guessed by; SQLite makes the third like the first
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            # One process at a time; a kill loses nothing that was committed, a power cut the end.
            self._db.executescript(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            )
            self._db.executescript(TABLES)
        except sqlite3.OperationalError as exc:
            self._db.close()
            raise FileUnusable(f"{path} is in use: another warming of the same logs is under way ({exc})") from None
        self._vectors = path.with_suffix(".f32").open("a+b")

    def close(self) -> None:
        self._db.close()
        self._vectors.close()

    def remove(self) -> None:
        """When all is done."""
        self.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def get(self, name: str, otherwise: Any) -> Any:
        """What was noted of the progress."""
        row = self._db.execute("SELECT value FROM progress WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else otherwise

    def note(self, **progress: Any) -> None:
        rows = [(name, json.dumps(value)) for name, value in progress.items()]
        self._db.executemany("INSERT OR REPLACE INTO progress VALUES (?, ?)", rows)

    def add(self, asked: Sequence[Asked], **progress: Any) -> None:
        """Write exchanges, and how far the reading is with them."""
        rows = [(question_id(one.scope, one.key), text_id(one.answer), one) for one in asked]
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO questions VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET asked = asked + 1",
            ((id_, one.scope, one.key, one.prompt, one.number) for id_, _, one in rows),
        )
        self._db.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", ((text, one.answer) for _, text, one in rows))
        self._db.executemany(
            "INSERT INTO answers VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET given = given + 1,"
            " praised = praised + excluded.praised, blamed = blamed + excluded.blamed, last = excluded.last,"
            " at = coalesce(max(at, excluded.at), excluded.at, at), model = excluded.model",
            (
                (id_, one.source_id, text, one.is_right is True, one.is_right is False, one.number, one.at, one.model)
                for id_, text, one in rows
            ),
        )
        named = [(one.source_id, text) for _, text, one in rows if one.source_id]
        self._db.executemany("INSERT OR REPLACE INTO named VALUES (?, ?)", named)
        self._db.executemany(
            "INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((one.number, id_, one.source_id, text, one.at, one.cost_usd, one.took_s) for id_, text, one in rows),
        )
        self.note(**progress)
        self._db.execute("COMMIT")

    def contested(self) -> list[int]:
        """Questions that got more than one answer."""
        sql = "SELECT question FROM answers GROUP BY question HAVING count(*) > 1 ORDER BY min(last)"
        return [id_ for (id_,) in self._db.execute(sql)]

    def set_aside(self, questions: Iterable[int], **progress: Any) -> None:
        """Questions that are not kept, because their answers contradict each other."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO unsettled VALUES (?)", ((id_,) for id_ in questions))
        self.note(**progress)
        self._db.execute("COMMIT")

    def unsettled(self) -> Iterator[tuple[str, str]]:
        """Scopes and keys of those that were set aside."""
        return iter(self._db.execute("SELECT scope, key FROM questions JOIN unsettled ON id = question"))

    def text_asked(self, question: int) -> str:
        (text,) = self._db.execute("SELECT text FROM questions WHERE id = ?", (question,)).fetchone()
        return str(text)

    def choose(self, *, at_least: int, most: int | None, **progress: Any) -> None:
        """Settle which questions are kept: those asked so often, the most asked first, at most so many."""
        self._db.execute("BEGIN")
        for statement in CHOOSE.format(at_least=int(at_least), most=-1 if most is None else int(most)).split(";\n"):
            self._db.execute(statement)
        self.note(**progress)
        self._db.execute("COMMIT")

    @property
    def questions(self) -> int:
        return self._count("questions")

    @property
    def chosen(self) -> int:
        return self._count("chosen")

    def chosen_from(self, place: int, until: int | None = None) -> Iterator[Chosen]:
        """Those with places from here on, in their order."""
        rows = self._db.execute(
            "SELECT place, id, questions.scope, key, text, chosen.asked FROM chosen JOIN questions ON id = question"
            " WHERE place >= ? AND place < ? ORDER BY place",
            (place, self.chosen if until is None else until),
        )
        return map(Chosen._make, rows)

    def scopes(self) -> list[tuple[int, int]]:
        """Of each the place of its first question and the one past its last."""
        sql = "SELECT min(place), max(place) + 1 FROM chosen GROUP BY scope ORDER BY 1"
        return self._db.execute(sql).fetchall()

    def candidates(self, question: int) -> list[Candidate]:
        """What was answered to it, what was given last coming last."""
        rows = self._db.execute(
            "SELECT source_id, texts.text, given, praised, blamed, last, at, model FROM answers"
            " JOIN texts ON texts.id = answers.text WHERE question = ? ORDER BY last",
            (question,),
        )
        return [Candidate(*row) for row in rows]

    def text_of(self, source_id: str) -> str:
        """The last text under an id that the log gave."""
        sql = "SELECT texts.text FROM named JOIN texts ON texts.id = named.text WHERE source_id = ?"
        (text,) = self._db.execute(sql, (source_id,)).fetchone()
        return str(text)

    def put_vectors(self, vectors: NDArray[np.float32], cut: Sequence[int], **progress: Any) -> None:
        """Add the vectors of the next places. cut: those of them, counted from 0, whose prompts were not read whole."""
        done = self.embedded
        self._vectors.truncate(done * self._dimension * 4)  # what a killed run wrote and did not commit
        self._vectors.seek(0, 2)
        self._vectors.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        self._vectors.flush()
        cuts = [*self.get("cut", []), *(done + at for at in cut)] if cut else None
        self._db.execute("BEGIN")
        self.note(embedded=done + len(vectors), **({"cut": cuts} if cuts else {}), **progress)
        self._db.execute("COMMIT")

    @property
    def embedded(self) -> int:
        return int(self.get("embedded", 0))

    def vectors(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of the places, in their order: float32 (stop - start, dimension)."""
        width = self._dimension * 4
        self._vectors.seek(start * width)
        rows = np.frombuffer(self._vectors.read((stop - start) * width), "<f4")
        return rows.reshape(-1, self._dimension).astype(np.float32)

    def put_near(self, near: Near, **progress: Any) -> None:
        rows = zip(near.places.astype("<i8"), near.cosines.astype("<f4"), strict=True)
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO near VALUES (?, ?, ?)",
            ((near.start + at, its.tobytes(), cosines.tobytes()) for at, (its, cosines) in enumerate(rows)),
        )
        self.note(**progress)
        self._db.execute("COMMIT")

    def by_traffic(self, start: int, stop: int) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """The questions with these places, the most asked first, each with those nearest to it, as far as sought."""
        rows = self._db.execute(
            "SELECT chosen.place, places, cosines FROM chosen LEFT JOIN near USING (place)"
            " WHERE chosen.place >= ? AND chosen.place < ? ORDER BY asked DESC, chosen.place",
            (start, stop),
        )
        return ((place, _pairs(places, cosines)) for place, places, cosines in rows)

    def near(self, place: int) -> list[tuple[int, float]]:
        """Places and cosines of the questions nearest to one, nearest first."""
        row = self._db.execute("SELECT places, cosines FROM near WHERE place = ?", (place,)).fetchone()
        return _pairs(*row) if row else []

    def put_groups(self, rows: Iterable[tuple[int, int]], **progress: Any) -> None:
        """rows: places and founders. All at once, in the place of what was there."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM groups")
        self._db.executemany("INSERT INTO groups VALUES (?, ?)", rows)
        self.note(**progress)
        self._db.execute("COMMIT")

    def groups(self, after: int) -> Iterator[tuple[int, int]]:
        """Founders past this one and the places of their groups, a group's together."""
        sql = "SELECT founder, place FROM groups WHERE founder > ? ORDER BY founder, place"
        return iter(self._db.execute(sql, (after,)))

    def saved(self) -> tuple[float, float]:
        """US dollars and seconds that went into answers which the group had before."""
        cost_usd, took_s = self._db.execute(SAVED).fetchone()
        return float(cost_usd), float(took_s)

    def around(self, cut: int) -> Iterator[tuple[int, bool, int]]:
        """Places, whether they were asked among the first `cut` exchanges, and how often after; in order of time."""
        return ((place, bool(before), after) for place, before, after in self._db.execute(AROUND, {"cut": cut}))

    @property
    def exchanges(self) -> int:
        return self._count("exchanges")

    @property
    def founders(self) -> int:
        (number,) = self._db.execute("SELECT count(DISTINCT founder) FROM groups").fetchone()
        return int(number)

    def question(self, place: int) -> Chosen:
        return next(self.chosen_from(place, place + 1))

    def _count(self, table: str) -> int:
        (number,) = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
        return int(number)


def _pairs(places: bytes | None, cosines: bytes | None) -> list[tuple[int, float]]:
    if places is None or cosines is None:
        return []
    near = zip(np.frombuffer(places, "<i8").tolist(), np.frombuffer(cosines, "<f4").tolist(), strict=True)
    return [one for one in near if one[0] >= 0]


def question_id(scope: str, key: str) -> int:
    return _hashed(f"{scope} {key}")


def text_id(text: str) -> int:
    return _hashed(text)


def _hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big", signed=True)
