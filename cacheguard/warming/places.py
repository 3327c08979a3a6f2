"""The questions that are kept: each has a place, those of one scope together, the most asked ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from cacheguard.warming.settling import Settled

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from cacheguard.warming.neighbours import Near

# sibling: the first place whose question has the same answer, by the log's id or letter by letter.
_CHOOSE: Final = (
    """CREATE TABLE chosen (
        place INTEGER PRIMARY KEY, question INTEGER NOT NULL, scope TEXT NOT NULL, asked INTEGER NOT NULL,
        sibling INTEGER NOT NULL
    )""",
    """INSERT INTO chosen
    WITH kept AS (
        SELECT id, scope, asked, first FROM questions
        WHERE asked >= :at_least AND id NOT IN (SELECT question FROM unsettled)
        ORDER BY asked DESC, first LIMIT :most
    ), placed AS (
        SELECT row_number() OVER (ORDER BY scope, asked DESC, first) - 1 AS place, id, scope, asked, source_id,
            CASE source_id WHEN '' THEN text END AS said
        FROM kept JOIN settled ON question = id
    )
    SELECT place, id, scope, asked, min(place) OVER (PARTITION BY scope, source_id, said) FROM placed""",
    "CREATE INDEX chosen_by_question ON chosen (question)",
    "CREATE TABLE near (place INTEGER PRIMARY KEY, places BLOB NOT NULL, cosines BLOB NOT NULL)",
    # founder: the place that names a group
    "CREATE TABLE groups (place INTEGER PRIMARY KEY, founder INTEGER NOT NULL)",
    "CREATE INDEX groups_by_founder ON groups (founder, place)",
)
_UNITS: Final = """
    SELECT place, questions.text, key, settled.source_id, score, sibling
    FROM chosen JOIN questions ON questions.id = chosen.question JOIN settled USING (question)
    WHERE place >= ? AND place < ? ORDER BY place
"""
_SETTLED: Final = """
    SELECT settled.source_id, texts.text, at, model, score FROM chosen JOIN settled USING (question)
    LEFT JOIN named ON settled.source_id <> '' AND named.source_id = settled.source_id
    JOIN texts ON texts.id = coalesce(named.text, settled.text) WHERE place = ?
"""
_GROUPS: Final = """
    SELECT founder, place, questions.scope, key, questions.text
    FROM groups JOIN chosen USING (place) JOIN questions ON questions.id = chosen.question
    WHERE founder > ? AND founder NOT IN (SELECT founder FROM verdicts WHERE NOT is_right)
    ORDER BY founder, place
"""
_MEMBERS: Final = """
    SELECT founder, place, questions.scope, key, questions.text
    FROM groups JOIN chosen USING (place) JOIN questions ON questions.id = chosen.question
    WHERE founder = ? ORDER BY place <> founder, place LIMIT ?
"""
_SAVED: Final = """
    WITH given AS (
        SELECT cost_usd, took_s, row_number() OVER (PARTITION BY founder ORDER BY number) AS nth
        FROM exchanges JOIN chosen USING (question) JOIN groups USING (place)
    )
    SELECT coalesce(sum(cost_usd), 0), coalesce(sum(took_s), 0) FROM given WHERE nth > 1
"""
_AROUND: Final = """
    WITH timed AS (SELECT question, row_number() OVER (ORDER BY at, number) AS rank FROM exchanges)
    SELECT place, founder, min(rank) <= :cut, sum(rank > :cut)
    FROM timed JOIN chosen USING (question) JOIN groups USING (place)
    GROUP BY place ORDER BY place
"""


class Unit(NamedTuple):
    """A question that may join others. id, score: of its answer, as the log and people have it."""

    place: int
    text: str
    key: str
    id: str
    score: int
    sibling: int


class Grouped(NamedTuple):
    """A question and the place that names its group."""

    founder: int
    place: int
    scope: str
    key: str
    text: str


class Around(NamedTuple):
    """A question, whether it was asked before a cut in time, and how often after it."""

    place: int
    founder: int
    before: bool
    after: int


class Places:
    """In a database that it does not commit."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def choose(self, *, at_least: int, most: int | None) -> None:
        """Settle which questions are kept: those asked so often, the most asked first, at most so many."""
        asked = {"at_least": at_least, "most": -1 if most is None else most}
        for statement in _CHOOSE:
            self._db.execute(statement, asked if ":most" in statement else {})

    def __len__(self) -> int:
        (number,) = self._db.execute("SELECT count(*) FROM chosen").fetchone()
        return int(number)

    def scopes(self) -> Iterator[tuple[int, int]]:
        """Of each the place of its first question and the one past its last, in their order."""
        return iter(self._db.execute("SELECT min(place), max(place) + 1 FROM chosen GROUP BY scope ORDER BY 1"))

    def units(self, start: int, stop: int) -> Iterator[Unit]:
        return map(Unit._make, self._db.execute(_UNITS, (start, stop)))

    def settled(self, place: int) -> Settled:
        """Its answer, with the text that its id has now."""
        return Settled(*self._db.execute(_SETTLED, (place,)).fetchone())

    def members(self, founder: int, most: int) -> list[Grouped]:
        """Of a group, the founder first, then the most asked."""
        rows = self._db.execute(_MEMBERS, (founder, most))
        return list(map(Grouped._make, rows))

    def question(self, place: int) -> int:
        """Its id among the exchanges."""
        (id_,) = self._db.execute("SELECT question FROM chosen WHERE place = ?", (place,)).fetchone()
        return int(id_)

    def put_near(self, near: Near) -> None:
        rows = zip(near.places.astype("<i8"), near.cosines.astype("<f4"), strict=True)
        self._db.executemany(
            "INSERT OR REPLACE INTO near VALUES (?, ?, ?)",
            ((near.start + at, its.tobytes(), cosines.tobytes()) for at, (its, cosines) in enumerate(rows)),
        )

    def near(self, start: int, stop: int) -> Iterator[list[tuple[int, float]]]:
        """Of each of these places those before it that lie nearest, with cosines, nearest first, as far as sought.

        What was not read whole is near to nothing.
        """
        rows = self._db.execute(
            "SELECT places, cosines FROM chosen LEFT JOIN near USING (place)"
            " WHERE chosen.place >= ? AND chosen.place < ? ORDER BY chosen.place",
            (start, stop),
        )
        return (_pairs(places, cosines) for places, cosines in rows)

    def put_groups(self, rows: Iterable[tuple[int, int]]) -> None:
        """rows: places and founders."""
        self._db.executemany("INSERT INTO groups VALUES (?, ?)", rows)

    def groups(self, after: int) -> Iterator[Grouped]:
        """The questions of groups whose founders come past this one, a group's together; not of those found wrong."""
        return map(Grouped._make, self._db.execute(_GROUPS, (after,)))

    def saved(self) -> tuple[float, float]:
        """US dollars and seconds that went into answers which the group had before."""
        cost_usd, took_s = self._db.execute(_SAVED).fetchone()
        return float(cost_usd), float(took_s)

    def around(self, cut: int) -> Iterator[Around]:
        """cut: after so many exchanges, in the order of time."""
        return map(Around._make, self._db.execute(_AROUND, {"cut": cut}))

    @property
    def founders(self) -> int:
        (number,) = self._db.execute("SELECT count(DISTINCT founder) FROM groups").fetchone()
        return int(number)


def _pairs(places: bytes | None, cosines: bytes | None) -> list[tuple[int, float]]:
    if places is None or cosines is None:
        return []
    near = zip(np.frombuffer(places, "<i8").tolist(), np.frombuffer(cosines, "<f4").tolist(), strict=True)
    return [one for one in near if one[0] >= 0 and one[1]]
