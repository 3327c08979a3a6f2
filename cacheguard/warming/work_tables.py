"""The tables of a warming's work, and what is asked of them."""

from __future__ import annotations

from typing import Final

TABLES: Final = """
    CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS questions (
        id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL,
        asked INTEGER NOT NULL,
        first INTEGER NOT NULL  -- number of the exchange that first asked it
    );
    CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS answers (  -- that a question got
        question INTEGER NOT NULL, source_id TEXT NOT NULL, text INTEGER NOT NULL,
        given INTEGER NOT NULL, praised INTEGER NOT NULL, blamed INTEGER NOT NULL,
        last INTEGER NOT NULL,  -- number of the exchange that last gave it
        at REAL, model TEXT NOT NULL,
        PRIMARY KEY (question, source_id, text)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS unsettled (question INTEGER PRIMARY KEY);  -- whose answers contradict each other
    CREATE TABLE IF NOT EXISTS named (  -- the last text under an id of the log's own
        source_id TEXT PRIMARY KEY NOT NULL, text INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS exchanges (
        number INTEGER PRIMARY KEY, question INTEGER NOT NULL, source_id TEXT NOT NULL, text INTEGER NOT NULL,
        at REAL, cost_usd REAL NOT NULL, took_s REAL NOT NULL
    );
"""
SAVED: Final = """
    WITH given AS (
        SELECT cost_usd, took_s, row_number() OVER (PARTITION BY founder ORDER BY number) AS nth
        FROM exchanges JOIN chosen USING (question) JOIN groups USING (place)
    )
    SELECT coalesce(sum(cost_usd), 0), coalesce(sum(took_s), 0) FROM given WHERE nth > 1
"""
# Of each question that is kept: whether it was asked before the cut, and how often since.
AROUND: Final = """
    WITH timed AS (SELECT question, row_number() OVER (ORDER BY at, number) AS rank FROM exchanges)
    SELECT place, min(rank) <= :cut, sum(rank > :cut) FROM timed JOIN chosen USING (question)
    GROUP BY place ORDER BY place
"""
# Made when everything is read: the questions that are to be kept, those of one scope together, with a place each.
CHOOSE: Final = """
    CREATE TABLE chosen (
        place INTEGER PRIMARY KEY, question INTEGER NOT NULL, scope TEXT NOT NULL, asked INTEGER NOT NULL
    );
    CREATE INDEX chosen_by_question ON chosen (question);
    INSERT INTO chosen SELECT row_number() OVER (ORDER BY scope, first) - 1, id, scope, asked FROM questions
        WHERE id IN (
            SELECT id FROM questions WHERE asked >= {at_least} AND id NOT IN (SELECT question FROM unsettled)
            ORDER BY asked DESC, first LIMIT {most}
        );
    CREATE TABLE near (place INTEGER PRIMARY KEY, places BLOB NOT NULL, cosines BLOB NOT NULL);
    CREATE TABLE groups (  -- founder: the place that names a group
        place INTEGER PRIMARY KEY, founder INTEGER NOT NULL
    );
    CREATE INDEX groups_by_founder ON groups (founder, place)
"""
