"""What models said of a warming's answers, and the answers that they gave anew: written as soon as it is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterator

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS verdicts (founder INTEGER PRIMARY KEY, is_right INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS renewed (
        question INTEGER PRIMARY KEY, text TEXT NOT NULL,
        tier TEXT NOT NULL, model TEXT NOT NULL, cost_usd REAL NOT NULL
    )""",
)
# Groups that nobody judged, and questions that have no answer: contradicted, or found wrong. The most asked first.
_CASES: Final = """
    SELECT sum(asked) AS asked, founder, 0 FROM groups JOIN chosen USING (place)
    WHERE :judges AND founder NOT IN (SELECT founder FROM verdicts) GROUP BY founder
    UNION ALL
    SELECT asked, NULL, id FROM questions JOIN unsettled ON question = id
    WHERE :asks_again AND id NOT IN (SELECT question FROM renewed)
    UNION ALL
    SELECT asked, NULL, question FROM verdicts JOIN chosen ON place = founder
    WHERE :asks_again AND NOT is_right AND question NOT IN (SELECT question FROM renewed)
    ORDER BY 1 DESC, 2, 3
"""
_RENEWED: Final = """
    SELECT scope, key, questions.text, renewed.text, tier, model, cost_usd
    FROM renewed JOIN questions ON id = question ORDER BY question
"""
_TAKEN_BACK: Final = """
    SELECT questions.scope, key FROM verdicts JOIN groups USING (founder) JOIN chosen USING (place)
    JOIN questions ON questions.id = chosen.question WHERE NOT is_right
"""


class GroupCase(NamedTuple):
    """A group whose answer may be judged."""

    founder: int


class QuestionCase(NamedTuple):
    """A question that may be asked anew, by its id."""

    question: int


class Renewed(NamedTuple):
    """A question with the answer that a tier gave it anew."""

    scope: str
    key: str
    prompt: str
    answer: str
    tier: str
    model: str
    cost_usd: float


class Opinions:
    """In a database that it does not commit."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        for table in _TABLES:
            db.execute(table)

    def cases(self, *, judges: bool, asks_again: bool) -> Generator[GroupCase | QuestionCase, None, None]:
        """What is left to do, the most asked first."""
        rows = self._db.execute(_CASES, {"judges": judges, "asks_again": asks_again})
        return (QuestionCase(question) if founder is None else GroupCase(founder) for _, founder, question in rows)

    def add_verdict(self, founder: int, *, is_right: bool) -> None:
        self._db.execute("INSERT INTO verdicts VALUES (?, ?)", (founder, is_right))

    def add_renewed(self, question: int, text: str, tier: str, model: str, cost_usd: float) -> None:
        self._db.execute("INSERT INTO renewed VALUES (?, ?, ?, ?, ?)", (question, text, tier, model, cost_usd))

    def renewed(self) -> Iterator[Renewed]:
        return map(Renewed._make, self._db.execute(_RENEWED))

    def rejected(self) -> Iterator[tuple[str, str]]:
        """Scopes and keys of the questions of groups whose answers were found wrong."""
        return iter(self._db.execute(_TAKEN_BACK))
