"""Labels as rows, and hits and near-misses that wait for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from cacheguard.stores.base import Label, Served

LABELS: Final = """
    SELECT scope, route, key, text, answer_id, is_right, said_by, created_at, note, similarity FROM labels
    WHERE route = ? ORDER BY created_at DESC, id DESC LIMIT ?"""
SAID: Final = "SELECT answer_id, is_right FROM labels WHERE scope = ? AND key = ? ORDER BY created_at, id"
EXACT: Final = """
    SELECT * FROM known k WHERE scope = ? AND key = ? AND coalesce((
        SELECT is_right FROM labels WHERE scope = k.scope AND key = k.key AND answer_id = k.answer_id
        ORDER BY created_at DESC, id DESC LIMIT 1), TRUE)"""
_SERVED: Final = """
    s.completion_id, s.scope, s.key, s.text, s.answer_id, s.phrasing_id, s.similarity, s.at, s.route, s.confidence,
    s.is_near_miss"""
SERVED: Final = f"SELECT {_SERVED} FROM served s WHERE completion_id = ?"  # noqa: S608 - here and below: fixed text
UNJUDGED: Final = f"""
    SELECT {_SERVED} FROM served s JOIN phrasings p ON p.id = s.phrasing_id AND p.answer_id = s.answer_id
    WHERE s.id IN (SELECT max(id) FROM served WHERE route = ? GROUP BY scope, key, answer_id) AND NOT EXISTS (
        SELECT 1 FROM labels WHERE scope = s.scope AND key = s.key AND answer_id = s.answer_id)
    ORDER BY s.id DESC LIMIT ?"""  # noqa: S608
HIT_TIMES: Final = "SELECT at FROM served WHERE route = ? AND NOT is_near_miss ORDER BY at DESC LIMIT ?"


def label(row: tuple[Any, ...]) -> Label:
    """Of a row of `LABELS`."""
    scope, route, key, text, answer_id, is_right, said_by, created_at, note, similarity = row
    right = bool(is_right)
    return Label(scope, route, key, text, answer_id, right, said_by, created_at, note, similarity)


def served(row: tuple[Any, ...]) -> Served:
    """Of a row of `SERVED` or `UNJUDGED`."""
    return replace(Served(*row), is_near_miss=bool(row[-1]))
