"""Sorts what logs say: phrasings by answer, equal questions once, and questions with two answers set aside.

The sorting is done in a temporary SQLite database, which stays in memory while it is small: the lines of one answer
may be spread over all files, and the files may be larger than memory.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheguard.question import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.warming.log import Logged

# Answers without an id of their own are told apart by their text; no log's own ids look like this.
_BY_TEXT: Final = "text:sha256:"

_TABLES: Final = """
    CREATE TABLE answers (source_id TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL);
    CREATE TABLE questions (
        key TEXT PRIMARY KEY NOT NULL,
        text TEXT NOT NULL,
        source_id TEXT NOT NULL,
        rival TEXT  -- the id of another answer that the logs give it
    );
    CREATE INDEX questions_by_answer ON questions (source_id);
"""


class Sorted(NamedTuple):
    """A question (key: folded) and its answer, under the id that is the same at every reading of the log."""

    key: str
    prompt: str
    source_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A question for which the logs name two answers, so that at least one of them is wrong."""

    prompt: str
    answer_ids: tuple[str, str]


class Grouping:
    """duplicates: lines whose question had come before, with the same answer or an earlier wording of it."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # sqlite.org/inmemorydb.html, «temporary databases»
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")
        self.duplicates = 0

    def add(self, logged: Logged) -> None:
        """Where two lines give one answer different texts, the later one counts.

        So it does where they give one question two answers and neither has an id: a model words the same anew.
        """
        source_id = logged.answer_id or _BY_TEXT + sha256(logged.answer.encode()).hexdigest()[:32]
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (source_id, logged.answer))
        key = fold(logged.prompt)
        row = (key, logged.prompt, source_id)
        if self._db.execute("INSERT OR IGNORE INTO questions VALUES (?, ?, ?, NULL)", row).rowcount:
            return
        (earlier,) = self._db.execute("SELECT source_id FROM questions WHERE key = ?", (key,)).fetchone()
        if earlier == source_id:
            self.duplicates += 1
        elif earlier.startswith(_BY_TEXT) and source_id.startswith(_BY_TEXT):
            self.duplicates += 1
            self._db.execute("UPDATE questions SET source_id = ? WHERE key = ?", (source_id, key))
        else:
            self._db.execute("UPDATE questions SET rival = ? WHERE key = ?", (source_id, key))

    @property
    def questions(self) -> int:
        """How many may be kept."""
        return self._count("rival IS NULL")

    @property
    def conflicts(self) -> int:
        return self._count("rival IS NOT NULL")

    def some_conflicts(self, limit: int) -> list[Conflict]:
        rows = self._db.execute(
            "SELECT text, source_id, rival FROM questions WHERE rival IS NOT NULL ORDER BY rowid LIMIT ?", (limit,)
        )
        return [Conflict(text, (source_id, rival)) for text, source_id, rival in rows]

    def conflicting_keys(self) -> Iterator[str]:
        """The folded texts of all questions with two answers."""
        return (key for (key,) in self._db.execute("SELECT key FROM questions WHERE rival IS NOT NULL"))

    def __iter__(self) -> Iterator[Sorted]:
        """Every question that has one answer; those of one answer follow each other."""
        rows = self._db.execute(
            "SELECT key, questions.text, source_id, answers.text FROM questions JOIN answers USING (source_id)"
            " WHERE rival IS NULL ORDER BY source_id"
        )
        return map(Sorted._make, rows)

    def close(self) -> None:
        self._db.close()

    def _count(self, condition: str) -> int:
        (number,) = self._db.execute(f"SELECT count(*) FROM questions WHERE {condition}").fetchone()  # noqa: S608
        return int(number)
