"""The tables of a SQLite store, and the way from any earlier form of them to today's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cacheguard.errors import ModelMismatch, StoreUnusable

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

# Written into the file's header, so that another program's database is never taken for a cache.
APPLICATION_ID: Final = int.from_bytes(b"CGrd", "big")

_FIRST: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """CREATE TABLE answers (
        id TEXT PRIMARY KEY NOT NULL,
        scope TEXT NOT NULL,
        tenant TEXT NOT NULL,
        route TEXT NOT NULL,
        text TEXT NOT NULL,
        provenance TEXT NOT NULL,  -- a JSON object
        model TEXT NOT NULL,  -- of the provenance, for filters
        created_at REAL NOT NULL,
        refreshed_at REAL NOT NULL,
        ttl_s REAL,
        tags TEXT NOT NULL,  -- a JSON array
        source_id TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX answers_by_source ON answers (scope, source_id) WHERE source_id <> ''",
    "CREATE INDEX answers_by_age ON answers (created_at, id)",
    # Apart from the array in `answers`, because SQLite's JSON functions end a text at a NUL: filters must be exact.
    """CREATE TABLE tags (
        tag TEXT NOT NULL,
        answer_id TEXT NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        PRIMARY KEY (tag, answer_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX tags_by_answer ON tags (answer_id)",
    """CREATE TABLE phrasings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: indexes elsewhere may still hold it
        answer_id TEXT NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        origin TEXT NOT NULL,
        created_at REAL NOT NULL,
        UNIQUE (scope, key)
    )""",
    "CREATE INDEX phrasings_by_answer ON phrasings (answer_id)",
    """CREATE TRIGGER phrasing_left AFTER UPDATE OF answer_id ON phrasings WHEN old.answer_id <> new.answer_id
    BEGIN
        DELETE FROM answers WHERE id = old.answer_id
            AND NOT EXISTS (SELECT 1 FROM phrasings WHERE answer_id = old.answer_id);
    END""",
    """CREATE TRIGGER phrasing_gone AFTER DELETE ON phrasings
    BEGIN
        DELETE FROM answers WHERE id = old.answer_id
            AND NOT EXISTS (SELECT 1 FROM phrasings WHERE answer_id = old.answer_id);
    END""",
    """CREATE VIEW known AS
        SELECT p.id, p.answer_id, p.scope, p.key, p.text, p.origin, p.created_at,
            a.tenant, a.route, a.text AS answer, a.provenance, a.created_at AS answered_at, a.refreshed_at,
            a.ttl_s, a.tags, a.source_id
        FROM phrasings p JOIN answers a ON a.id = p.answer_id""",
    "CREATE TABLE models (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE)",
    # Apart from the phrasings: 1.5 kB each, and exact look-ups must not page through them.
    """CREATE TABLE vectors (
        phrasing_id INTEGER PRIMARY KEY REFERENCES phrasings (id) ON DELETE CASCADE,
        scope TEXT NOT NULL,
        model INTEGER NOT NULL REFERENCES models (id),
        vector BLOB NOT NULL  -- float32, little endian
    )""",
    "CREATE INDEX vectors_by_scope ON vectors (scope, model, phrasing_id)",
    "CREATE INDEX vectors_by_model ON vectors (model)",
    """CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        scope TEXT NOT NULL,
        phrasing_id INTEGER NOT NULL,
        removed INTEGER NOT NULL
    )""",
    """CREATE TRIGGER vector_added AFTER INSERT ON vectors
    BEGIN
        INSERT INTO changes (scope, phrasing_id, removed) VALUES (new.scope, new.phrasing_id, 0);
    END""",
    """CREATE TRIGGER vector_replaced AFTER UPDATE ON vectors
    BEGIN
        INSERT INTO changes (scope, phrasing_id, removed) VALUES (new.scope, new.phrasing_id, 0);
    END""",
    """CREATE TRIGGER vector_gone AFTER DELETE ON vectors
    BEGIN
        INSERT INTO changes (scope, phrasing_id, removed) VALUES (old.scope, old.phrasing_id, 1);
    END""",
    """CREATE TABLE labels (
        id INTEGER PRIMARY KEY,
        scope TEXT NOT NULL,
        route TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        answer_id TEXT NOT NULL,
        is_right INTEGER NOT NULL,
        said_by TEXT NOT NULL,
        created_at REAL NOT NULL,
        note TEXT NOT NULL,
        similarity REAL
    )""",
    "CREATE INDEX labels_by_question ON labels (scope, key)",
    "CREATE INDEX labels_by_route ON labels (route, created_at)",
    """CREATE TABLE served (
        id INTEGER PRIMARY KEY,
        completion_id TEXT NOT NULL UNIQUE,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        answer_id TEXT NOT NULL,
        phrasing_id INTEGER NOT NULL,
        similarity REAL NOT NULL,
        at REAL NOT NULL
    )""",
)

# No row ever goes: one takes some 60 bytes, and what was spent last month is worth asking.
_SPENDING: Final = (
    """CREATE TABLE spending (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        per TEXT NOT NULL,
        since INTEGER NOT NULL,  -- Unix seconds
        usd REAL NOT NULL,
        PRIMARY KEY (kind, name, per, since)
    ) WITHOUT ROWID""",
)

_RULES: Final = (
    """CREATE TABLE rules (
        route TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,  -- a JSON object
        made_by TEXT NOT NULL,
        created_at REAL NOT NULL,
        PRIMARY KEY (route, version)
    )""",
)

# Hits that were served before have no route, and so are in nobody's review.
_REVIEW: Final = (
    "ALTER TABLE served ADD COLUMN route TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE served ADD COLUMN confidence REAL NOT NULL DEFAULT 0",
    "ALTER TABLE served ADD COLUMN is_near_miss INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX served_by_route ON served (route, at)",
)

# What processes that keep rows in memory must read again. A phrasing's own row tells of its answer's first one, so that
# adding an answer is no news.
_NEWS: Final = (
    """CREATE TABLE news (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        answer_id TEXT NOT NULL,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        phrasing_id INTEGER NOT NULL
    )""",
    """CREATE TRIGGER answer_refreshed AFTER UPDATE ON answers
    BEGIN
        INSERT INTO news (answer_id, scope, key, phrasing_id) VALUES (old.id, '', '', 0);
    END""",
    """CREATE TRIGGER phrasing_added AFTER INSERT ON phrasings
    BEGIN
        INSERT INTO news (answer_id, scope, key, phrasing_id) VALUES ('', new.scope, new.key, new.id);
    END""",
    """CREATE TRIGGER phrasing_moved AFTER UPDATE ON phrasings
    BEGIN
        INSERT INTO news (answer_id, scope, key, phrasing_id) VALUES ('', new.scope, new.key, new.id);
    END""",
    """CREATE TRIGGER phrasing_removed AFTER DELETE ON phrasings
    BEGIN
        INSERT INTO news (answer_id, scope, key, phrasing_id) VALUES ('', old.scope, old.key, old.id);
    END""",
    """CREATE TRIGGER label_added AFTER INSERT ON labels
    BEGIN
        INSERT INTO news (answer_id, scope, key, phrasing_id) VALUES ('', new.scope, new.key, 0);
    END""",
)

# By which indexes elsewhere know the store that they were derived from.
_IDENTITY: Final = (
    "CREATE TABLE identity (id TEXT NOT NULL)",
    "INSERT INTO identity VALUES (lower(hex(randomblob(16))))",
)

# Step n leads from version n to n + 1 (PRAGMA user_version). Only ever append: files of every version exist.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _SPENDING, _RULES, _REVIEW, _NEWS, _IDENTITY)


def check_ours(db: sqlite3.Connection, path: Path) -> int:
    """The version of the file's schema, 0 for an empty file.

    Raises StoreUnusable for another program's database and for a version newer than this program.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    empty = not (application or version or objects)
    if not empty and application != APPLICATION_ID:
        raise StoreUnusable(f"{path} is another program's database: name another file in store.url")
    if version > len(MIGRATIONS):
        raise StoreUnusable(
            f"{path} was written by a newer cacheguard (schema {version}, this one knows {len(MIGRATIONS)}): "
            "upgrade cacheguard, or name another file in store.url"
        )
    return int(version)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date, as one change, also when several processes try at once."""
    db.execute("BEGIN IMMEDIATE")
    with db:
        for version in range(check_ours(db, path), len(MIGRATIONS)):
            for statement in MIGRATIONS[version]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")


def check_model(db: sqlite3.Connection, path: Path, fingerprint: str) -> None:
    """Raises ModelMismatch where vectors of another model lie in the file."""
    other = db.execute(
        "SELECT fingerprint FROM models m WHERE fingerprint <> ? AND EXISTS (SELECT 1 FROM vectors WHERE model = m.id)",
        (fingerprint,),
    ).fetchone()
    if other:
        raise ModelMismatch(
            f"the vectors in {path} were made by another model ({other[0]}, now {fingerprint}):"
            " run `cacheguard entries re-embed`, or set the former model again"
        )
