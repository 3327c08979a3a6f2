"""Langfuse: observations, as its tables, its API and its exports to buckets give them, and whole traces.

Sources: langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields (names with underscores, times in
UTC without a zone) and export-from-ui; api.reference.langfuse.com, ObservationsView and TraceWithFullDetails (names in
camel case). Only generations hold questions and answers; scores of a trace count for all of its generations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheguard.warming.log import LeftOut
from cacheguard.warming.readers.shapes import (
    NO_ANSWER,
    NO_CHAT,
    answered_by,
    between,
    conditions_in,
    messages_in,
    name_in,
    number_in,
    object_in,
    parsed,
    said_in,
    time_in,
    verdict_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cacheguard.warming.log import Said

_SCORE = LeftOut("a score, which stands in a file of its own")


class Langfuse:
    def recognises(self, fields: Mapping[str, Any]) -> bool:
        if isinstance(fields.get("observations"), list) and ({"trace", "timestamp", "scores"} & fields.keys()):
            return True
        return (
            bool({"traceId", "trace_id"} & fields.keys())
            and bool({"startTime", "start_time"} & fields.keys())
            and (name_in(fields, "type").isupper())
        )

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        observations = fields.get("observations")
        if isinstance(observations, list):
            trace = object_in(fields, "trace") or fields
            verdict = _verdict(fields.get("scores") or trace.get("scores"))
            for one in observations:
                if not isinstance(one, dict):
                    raise ValueError("holds an observation that is no object")  # noqa: TRY004 - wrong data
                yield _said(one, verdict)
            return
        if "input" not in fields and "value" in fields:
            yield _SCORE
            return
        yield _said(fields, None)


def _said(fields: Mapping[str, Any], of_trace: bool | None) -> Said:
    if name_in(fields, "type") != "GENERATION":
        return NO_CHAT
    asked, output = parsed(fields.get("input")), parsed(fields.get("output"))
    if fields.get("level") == "ERROR" or not output or not asked:
        return NO_ANSWER
    body = _body(asked, object_in(fields, "modelParameters", "model_parameters"))
    begun = time_in(fields.get("startTime") or fields.get("start_time"))
    cost = (object_in(fields, "costDetails", "cost_details") or {}).get("total")
    verdict = _verdict(fields.get("scores"))
    more = {
        "model": name_in(fields, "providedModelName", "provided_model_name", "model"),
        "at": begun,
        "is_right": of_trace if verdict is None else verdict,
        "cost_usd": number_in(
            fields.get("totalCost") or fields.get("total_cost") or fields.get("calculatedTotalCost") or cost
        ),
        "took_s": between(begun, time_in(fields.get("endTime") or fields.get("end_time"))),
    }
    return _answered(body, output, more)


def _answered(body: Mapping[str, Any], output: Any, more: dict[str, Any]) -> Said:
    match output:
        case {"role": _} as message:
            return answered_by(body, message, **more)
        case [{"role": _} as message]:
            return answered_by(body, message, **more)
        case dict() | str():
            return said_in(body, output, **more)
        case _:
            return NO_ANSWER


def _body(asked: object, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of an input: messages, an object that holds them and perhaps tools, or a text."""
    if isinstance(asked, dict):
        return {**conditions_in(asked), **conditions_in(parameters), "messages": messages_in(asked.get("messages"))}
    return {**conditions_in(parameters), "messages": messages_in(asked)}


def _verdict(scores: object) -> bool | None:
    """Of scores as a list of objects, or as a table's mapping of their names to values: wrong where one says so."""
    scores = parsed(scores)
    values: Sequence[object] = ()
    if isinstance(scores, list):
        values = [one.get("value", one.get("stringValue")) for one in scores if isinstance(one, dict)]
    elif isinstance(scores, dict):
        values = [value for one in scores.values() for value in (one if isinstance(one, list) else [one])]
    verdicts = {verdict for value in values if (verdict := verdict_in(value)) is not None}
    return False not in verdicts if verdicts else None
