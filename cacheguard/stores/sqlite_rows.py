"""Answers and phrasings as rows: how they are written, read back, and chosen by a filter."""

from __future__ import annotations

import json
from dataclasses import astuple, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cacheguard.errors import RuleChanged
from cacheguard.json_text import to_json
from cacheguard.stores.base import Known, StoredRule
from cacheguard.types import Answer, Origin, Phrasing, Provenance

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.stores.base import Filter, NewPhrasing, SpendingKey

_ADD: Final = """
    INSERT INTO answers VALUES (:id, :scope, :tenant, :route, :text, :provenance, :model, :created_at,
        :refreshed_at, :ttl_s, :tags, :source_id)"""
_REFRESH: Final = """
    UPDATE answers SET text = :text, provenance = :provenance, model = :model, refreshed_at = :refreshed_at,
        ttl_s = :ttl_s, tags = :tags WHERE id = :id"""

# Named, for asdict looks into every field for more dataclasses, which takes ten times as long.
_PROVENANCE: Final = tuple(field.name for field in fields(Provenance))


def known(row: tuple[Any, ...]) -> Known:
    """Of a row of the view `known`."""
    own = phrasing(row[:7])
    tenant, route, text, provenance, answered_at, refreshed_at, ttl_s, tags, source_id = row[7:]
    answer = Answer(
        id=own.answer_id,
        scope=own.scope,
        tenant=tenant,
        route=route,
        text=text,
        provenance=_provenance(provenance),
        created_at=answered_at,
        refreshed_at=refreshed_at,
        ttl_s=ttl_s,
        tags=_tags(tags),
        source_id=source_id,
    )
    return Known(own, answer)


# Few texts come in many rows: remembered, twenty rows take 92 µs instead of 207.
@lru_cache(maxsize=4096)
def _provenance(text: str) -> Provenance:
    said = json.loads(text)
    return Provenance(**{**said, "validators": tuple(said["validators"])})


@lru_cache(maxsize=4096)
def _tags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def phrasing(row: tuple[Any, ...]) -> Phrasing:
    """Of a row of `phrasings`."""
    id_, answer_id, scope, key, text, origin, created_at = row
    return Phrasing(id_, answer_id, scope, key, text, Origin(origin), created_at)


def condition(which: Filter) -> tuple[str, list[Any]]:
    """The filter as an SQL condition on `answers`, and its parameters."""
    ids = None if which.ids is None else json.dumps(which.ids)
    parts = {
        "tenant = ?": which.tenant,
        "route = ?": which.route,
        "id IN (SELECT answer_id FROM tags WHERE tag = ?)": which.tag,
        "model = ?": which.model,
        "refreshed_at < ?": which.refreshed_before,
        "id IN (SELECT value FROM json_each(?))": ids,
    }
    asked = {sql: value for sql, value in parts.items() if value is not None}
    return " AND ".join(["TRUE", *asked]), list(asked.values())


def keep(answer: Answer, phrasings: Sequence[NewPhrasing], model: int, db: sqlite3.Connection) -> list[int]:
    """Refresh or add the answer with its phrasings; their ids. Without any, an answer is not kept."""
    answer_id = _put_answer(db, answer)
    ids = [_put_phrasing(db, answer_id, answer.scope, new, model) for new in phrasings]
    db.execute(
        "DELETE FROM answers WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM phrasings WHERE answer_id = ?1)",
        (answer_id,),
    )
    return ids


def add_phrasings(answer_id: str, phrasings: Sequence[NewPhrasing], model: int, db: sqlite3.Connection) -> list[int]:
    """Phrasings of an answer that there is; their ids."""
    row = db.execute("SELECT scope FROM answers WHERE id = ?", (answer_id,)).fetchone()
    return [_put_phrasing(db, answer_id, row[0], new, model) for new in phrasings] if row else []


def _put_answer(db: sqlite3.Connection, answer: Answer) -> str:
    """Refresh the answer in place where its scope has it already, else add it; the id that it has."""
    found = db.execute(
        "SELECT id FROM answers WHERE (id = ?1 AND scope = ?2)"
        " OR (scope = ?2 AND source_id = ?3 AND source_id <> '') ORDER BY id <> ?1 LIMIT 1",
        (answer.id, answer.scope, answer.source_id),
    ).fetchone()
    row = {
        "text": answer.text,
        "provenance": to_json({name: getattr(answer.provenance, name) for name in _PROVENANCE}).decode(),
        "model": answer.provenance.model,
        "refreshed_at": answer.refreshed_at,
        "ttl_s": answer.ttl_s,
        "tags": json.dumps(answer.tags),
        "id": found[0] if found else answer.id,
    }
    if found:
        db.execute(_REFRESH, row)
        db.execute("DELETE FROM tags WHERE answer_id = :id", row)
    else:
        own = {name: getattr(answer, name) for name in ("scope", "tenant", "route", "created_at", "source_id")}
        db.execute(_ADD, row | own)
    for tag in set(answer.tags):
        db.execute("INSERT INTO tags VALUES (?, ?)", (tag, row["id"]))
    return str(row["id"])


def _put_phrasing(db: sqlite3.Connection, answer_id: str, scope: str, new: NewPhrasing, model: int) -> int:
    """Add the phrasing, or move it here; its id. A trigger removes the answer that so lost its last one."""
    db.execute(
        "INSERT INTO phrasings (answer_id, scope, key, text, origin, created_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (scope, key) DO UPDATE SET answer_id = excluded.answer_id, text = excluded.text,"
        " origin = excluded.origin, created_at = excluded.created_at",
        (answer_id, scope, new.key, new.text, new.origin, new.created_at),
    )
    # Not RETURNING: systems that are still supported ship SQLite 3.34, which doesn't know it.
    (id_,) = db.execute("SELECT id FROM phrasings WHERE scope = ? AND key = ?", (scope, new.key)).fetchone()
    if new.vector is None:
        db.execute("DELETE FROM vectors WHERE phrasing_id = ?", (id_,))
    else:
        db.execute(
            "INSERT INTO vectors (phrasing_id, scope, model, vector) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (phrasing_id) DO UPDATE SET model = excluded.model, vector = excluded.vector",
            (id_, scope, model, vector_bytes(new.vector)),
        )
    return int(id_)


def add_spending(spent: Mapping[SpendingKey, float], db: sqlite3.Connection) -> dict[SpendingKey, float]:
    """Add the US dollars; the sums of the same keys."""
    return {key: _add_spending(db, (*key.account, key.per, key.since), usd) for key, usd in spent.items()}


def _add_spending(db: sqlite3.Connection, key: tuple[str, str, str, int], usd: float) -> float:
    if usd:
        db.execute(
            "INSERT INTO spending VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, name, per, since) DO UPDATE SET usd = usd + excluded.usd",
            (*key, usd),
        )
    row = db.execute("SELECT usd FROM spending WHERE (kind, name, per, since) = (?, ?, ?, ?)", key).fetchone()
    return float(row[0]) if row else 0.0


def add_rule(rule: StoredRule, after: int | None, db: sqlite3.Connection) -> StoredRule:
    """The rule as its route's newest version. Raises RuleChanged."""
    (newest,) = db.execute("SELECT coalesce(max(version), 0) FROM rules WHERE route = ?", (rule.route,)).fetchone()
    if after not in (None, newest):
        raise RuleChanged(f"route '{rule.route}' has version {newest} of its rule by now, not {after}")
    rule = replace(rule, version=newest + 1)
    db.execute("INSERT INTO rules VALUES (?, ?, ?, ?, ?)", astuple(rule))
    return rule


def vector_bytes(vector: NDArray[np.float32]) -> bytes:
    """float32 (dimension,) as little-endian bytes."""
    return vector.astype("<f4").tobytes()


def vectors_of(rows: list[tuple[int, bytes]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids, int64 (n,), and vectors, float32 (n, dimension), of one or more rows."""
    ids = np.array([id_ for id_, _ in rows], dtype=np.int64)
    flat = np.frombuffer(b"".join(vector for _, vector in rows), dtype="<f4")
    return ids, flat.reshape(len(rows), -1).astype(np.float32, copy=False)
