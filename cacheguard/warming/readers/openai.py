"""Requests and responses of OpenAI's API, side by side in a line or as the two files of a batch.

Sources: platform.openai.com/docs/api-reference, chat/create and chat/object; batch/request-input, batch/request-output
(`custom_id` joins the lines of the two). A line of a log names them `request` and `response`, or the like.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from cacheguard.warming.readers.shapes import (
    NO_ANSWER,
    NO_CHAT,
    between,
    messages_in,
    number_in,
    object_in,
    said_in,
    time_in,
    verdict_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

_REQUEST: Final = ("request", "request_body", "input")
_RESPONSE: Final = ("response", "response_body", "output")
_SUCCESS: Final = range(200, 300)


class OpenAI:
    """A batch's requests wait for their responses, and these for them, in a temporary database."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # sqlite.org/inmemorydb.html, «temporary databases»
        self._db.execute("CREATE TABLE waiting (id TEXT PRIMARY KEY NOT NULL, is_request INTEGER, fields TEXT)")
        self._db.execute("BEGIN")

    def close(self) -> None:
        self._db.close()

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        if "custom_id" in fields and ("body" in fields or "response" in fields):
            return True
        request = _request(fields)
        return request is not None and ("messages" in request or "input" in request) and _answers(fields)

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        if "custom_id" in fields:
            yield from self._batched(fields)
            return
        request = _request(fields)
        if request is None:
            raise ValueError("lacks 'request'")
        begun = time_in(fields.get("timestamp") or fields.get("created_at") or fields.get("time"))
        more = {
            "cost_usd": number_in(fields.get("cost_usd") or fields.get("cost")),
            "is_right": verdict_in(fields.get("feedback")),
            "took_s": number_in(fields.get("latency_s")) or between(begun, time_in(fields.get("ended_at"))),
        }
        if begun is not None:
            more["at"] = begun
        yield _said(request, _response(fields), more)

    def _batched(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        id_, is_request = str(fields["custom_id"]), "body" in fields
        waiting = self._db.execute("SELECT is_request, fields FROM waiting WHERE id = ?", (id_,)).fetchone()
        if waiting is None or bool(waiting[0]) is is_request:
            row = (id_, is_request, json.dumps(fields))
            self._db.execute("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)", row)
            return
        self._db.execute("DELETE FROM waiting WHERE id = ?", (id_,))
        other = json.loads(waiting[1])
        request, response = (fields, other) if is_request else (other, fields)
        came = object_in(response, "response") or {}
        if response.get("error") or came.get("status_code", 200) not in _SUCCESS:
            yield NO_ANSWER
            return
        yield _said(request["body"], came.get("body"), {})


def _said(request: Mapping[str, Any], response: object, more: dict[str, Any]) -> Said:
    """Of Responses, `input` and `instructions` are messages by other names."""
    body = dict(request)
    if "messages" not in body:
        if "input" not in body or _embeds(response):
            return NO_CHAT
        instructions = body.pop("instructions", None)
        system = [{"role": "system", "content": instructions}] if instructions else []
        body = {**body, "messages": [*system, *messages_in(body.pop("input"))]}
    return said_in({**body, "messages": messages_in(body["messages"])}, response, **more)


def _embeds(response: object) -> bool:
    return isinstance(response, dict) and "data" in response


def _request(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = object_in(fields, *_REQUEST)
    if found is None:
        return fields if "messages" in fields and _answers(fields) else None
    return object_in(found, "body", "json") or found


def _response(fields: Mapping[str, Any]) -> object:
    if "choices" in fields:
        return fields
    found = object_in(fields, *_RESPONSE)
    if found is None:
        return next((fields[name] for name in _RESPONSE if fields.get(name)), None)
    return object_in(found, "body", "json") or found


def _answers(fields: Mapping[str, Any]) -> bool:
    return "choices" in fields or any(name in fields for name in _RESPONSE)
