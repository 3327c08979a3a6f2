"""What was read of logs: questions, the answers that each got, and when.

Questions and texts are named by 64 bits of their hash: of ten million, two share a name once in 370,000 logs.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cacheguard.question import ask_instead

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cacheguard.warming.settling import Settled

# Scopes that are remembered as written: a chat's later turns have one each.
_SCOPES: Final = 10_000
_TABLES: Final = (
    # conditions: a request of the scope, all but its last turn
    "CREATE TABLE IF NOT EXISTS scopes (key TEXT PRIMARY KEY NOT NULL, conditions TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS questions (
        id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL,
        asked INTEGER NOT NULL,
        first INTEGER NOT NULL  -- number of the exchange that first asked it
    )""",
    "CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS answers (  -- that a question got
        question INTEGER NOT NULL, source_id TEXT NOT NULL, text INTEGER NOT NULL,
        given INTEGER NOT NULL, praised INTEGER NOT NULL, blamed INTEGER NOT NULL,
        last INTEGER NOT NULL,  -- number of the exchange that last gave it
        at REAL, model TEXT NOT NULL,
        PRIMARY KEY (question, source_id, text)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS named (  -- the last text under an id of the log's own
        source_id TEXT PRIMARY KEY NOT NULL, text INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS exchanges (
        number INTEGER PRIMARY KEY, question INTEGER NOT NULL, at REAL, cost_usd REAL NOT NULL, took_s REAL NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS settled (  -- the answer that a question has
        question INTEGER PRIMARY KEY, source_id TEXT NOT NULL, text INTEGER NOT NULL, at REAL, model TEXT NOT NULL,
        score INTEGER NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS unsettled (question INTEGER PRIMARY KEY)",  # whose answers contradict each other
)
# As `settle` has it of one alone.
_SETTLE_UNCONTESTED: Final = """
    INSERT INTO settled SELECT question, source_id, text, at, model, praised - blamed FROM answers
    GROUP BY question HAVING count(*) = 1
"""


class Asked(NamedTuple):
    """A question about to be written; its fields are those of the table `exchanges` and what these refer to.

    body: the request that asks it.
    """

    number: int
    scope: str
    body: Mapping[str, Any]
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


class Exchanges:
    """In a database that it does not commit."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._scopes: set[str] = set()  # known to be written, of late
        for table in _TABLES:
            db.execute(table)

    def add(self, asked: Sequence[Asked]) -> Iterable[int]:
        """The questions' ids, each once."""
        self._add_scopes(asked)
        rows = [(_hashed(f"{one.scope} {one.key}"), _hashed(one.answer), one) for one in asked]
        times = Counter(id_ for id_, _, _ in rows)
        first = {id_: one for id_, _, one in reversed(rows)}
        # Each once, and in the order of the file.
        self._db.executemany(
            "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET asked = asked + excluded.asked",
            ((id_, one.scope, one.key, one.prompt, times[id_], one.number) for id_, one in sorted(first.items())),
        )
        texts = {text: one.answer for _, text, one in rows}
        self._db.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", sorted(texts.items()))
        self._db.executemany(
            "INSERT INTO answers VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET given = given + 1,"
            " praised = praised + excluded.praised, blamed = blamed + excluded.blamed, last = excluded.last,"
            " at = coalesce(max(at, excluded.at), excluded.at, at), model = excluded.model",
            (
                (id_, one.source_id, text, one.is_right is True, one.is_right is False, one.number, one.at, one.model)
                for id_, text, one in sorted(rows, key=itemgetter(0, 1))
            ),
        )
        named = [(one.source_id, text) for _, text, one in rows if one.source_id]
        self._db.executemany("INSERT OR REPLACE INTO named VALUES (?, ?)", named)
        self._db.executemany(
            "INSERT INTO exchanges VALUES (?, ?, ?, ?, ?)",
            ((one.number, id_, one.at, one.cost_usd, one.took_s) for id_, _, one in rows),
        )
        return times

    def _add_scopes(self, asked: Sequence[Asked]) -> None:
        if len(self._scopes) > _SCOPES:
            self._scopes.clear()
        new = {one.scope: one.body for one in asked if one.scope not in self._scopes}
        self._db.executemany(
            "INSERT OR IGNORE INTO scopes VALUES (?, ?)", ((key, json.dumps(body)) for key, body in new.items())
        )
        self._scopes.update(new)

    def request(self, scope: str, text: str) -> dict[str, Any]:
        """A request of the scope that asks this."""
        (conditions,) = self._db.execute("SELECT conditions FROM scopes WHERE key = ?", (scope,)).fetchone()
        body: dict[str, Any] = json.loads(conditions)
        return body | {"messages": ask_instead(body["messages"], text)}

    def asked(self, question: int) -> tuple[str, str]:
        """Scope and text of a question."""
        scope, text = self._db.execute("SELECT scope, text FROM questions WHERE id = ?", (question,)).fetchone()
        return scope, text

    def texts(self, questions: Sequence[int]) -> list[str]:
        """Of each."""
        return [self.asked(question)[1] for question in questions]

    def __len__(self) -> int:
        return self._count("exchanges")

    @property
    def questions(self) -> int:
        """Different ones."""
        return self._count("questions")

    def settle_uncontested(self) -> None:
        """Questions that got one answer have that."""
        self._db.execute(_SETTLE_UNCONTESTED)

    def contested(self) -> Iterator[int]:
        """Questions that got more than one answer."""
        sql = "SELECT question FROM answers GROUP BY question HAVING count(*) > 1 ORDER BY min(last)"
        return (id_ for (id_,) in self._db.execute(sql))

    def candidates(self, question: int) -> list[Candidate]:
        """What was answered to it, what was given last coming last."""
        rows = self._db.execute(
            "SELECT source_id, texts.text, given, praised, blamed, last, at, model FROM answers"
            " JOIN texts ON texts.id = answers.text WHERE question = ? ORDER BY last",
            (question,),
        )
        return [Candidate(*row) for row in rows]

    def settle(self, question: int, settled: Settled) -> None:
        row = question, settled.id, _hashed(settled.text), settled.at, settled.model, settled.score
        self._db.execute("INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?)", row)

    def set_aside(self, question: int) -> None:
        """It is not kept, because its answers contradict each other."""
        self._db.execute("INSERT INTO unsettled VALUES (?)", (question,))

    def unsettled(self) -> Iterator[tuple[str, str]]:
        """Scopes and keys of those that were set aside."""
        return iter(self._db.execute("SELECT scope, key FROM questions JOIN unsettled ON id = question"))

    def _count(self, table: str) -> int:
        (number,) = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
        return int(number)


def _hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big", signed=True)
