"""LangSmith: runs, as its API and its bulk export give them (Parquet, with inputs and outputs as JSON).

Sources: docs.langchain.com/langsmith/run-data-format and data-export; messages may be OpenAI's or LangChain's own
serialised ones (`{"lc": 1, "type": "constructor", "id": […], "kwargs": {"content": …}}`, or `{"type": "human", …}`).
Only runs of type `llm` are read: a chain's hold the same exchange once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cacheguard.warming.readers.shapes import (
    NO_ANSWER,
    NO_CHAT,
    answered_by,
    between,
    conditions_in,
    exchange,
    messages_in,
    name_in,
    number_in,
    object_in,
    parsed,
    said_in,
    time_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "function"}


class LangSmith:
    def recognises(self, fields: Mapping[str, Any]) -> bool:
        return {"run_type", "inputs", "outputs"} <= fields.keys()

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        if fields.get("run_type") != "llm":
            yield NO_CHAT
            return
        inputs, outputs = object_in(fields, "inputs") or {}, object_in(fields, "outputs") or {}
        if fields.get("error") or not inputs or not outputs:
            yield NO_ANSWER
            return
        begun = time_in(fields.get("start_time"))
        extra = object_in(fields, "extra") or {}
        more = {
            "model": name_in(object_in(extra, "metadata") or {}, "ls_model_name"),
            "at": begun,
            "is_right": _verdict(object_in(fields, "feedback_stats") or {}),
            "cost_usd": number_in(fields.get("total_cost")),
            "took_s": between(begun, time_in(fields.get("end_time"))),
        }
        conditions = {**conditions_in(object_in(extra, "invocation_params")), **conditions_in(inputs)}
        yield _said({**conditions, "messages": messages_in(_messages(inputs))}, outputs, more)


def _messages(inputs: Mapping[str, Any]) -> object:
    found = parsed(inputs.get("messages") or inputs.get("prompts") or inputs.get("prompt") or inputs.get("input"))
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list | str):
        found = found[0]  # a batch of one
    return [_message(one) for one in found] if isinstance(found, list) else found


def _message(message: Any) -> Any:
    """OpenAI's form of it."""
    if not isinstance(message, dict) or "role" in message:
        return message
    kwargs = object_in(message, "kwargs", "data") or message
    kind = name_in(kwargs, "type") or name_in(message, "type")
    if kind not in _ROLES and isinstance(id_ := message.get("id"), list) and id_:
        kind = str(id_[-1]).removesuffix("Chunk").removesuffix("Message").lower()
    calls = kwargs.get("tool_calls") or (object_in(kwargs, "additional_kwargs") or {}).get("tool_calls")
    made = {"role": _ROLES.get(kind, kind), "content": kwargs.get("content")}
    return {**made, "tool_calls": calls} if calls else made


def _said(body: Mapping[str, Any], outputs: Mapping[str, Any], more: dict[str, Any]) -> Said:
    generations = outputs.get("generations")
    while isinstance(generations, list) and generations:
        generations = generations[0]
    if isinstance(generations, dict):
        finish = (object_in(generations, "generation_info") or {}).get("finish_reason")
        message = _message(generations.get("message"))
        if isinstance(message, dict):
            return answered_by(body, message, finish, **more)
        return exchange(body, generations.get("text"), **more)
    if isinstance(messages := outputs.get("messages"), list) and messages:
        return answered_by(body, _message(messages[-1]), **more)
    if "role" in outputs or "content" in outputs:
        return answered_by(body, outputs, **more)
    if isinstance(outputs.get("output"), str):
        return exchange(body, outputs["output"], **more)
    return said_in(body, outputs, **more)


def _verdict(stats: Mapping[str, Any]) -> bool | None:
    """Of the averages of a run's scores, by key: wrong where one lies below the middle of 0 and 1."""
    averages = [one.get("avg") for one in stats.values() if isinstance(one, dict)]
    known = [average for average in averages if isinstance(average, int | float)]
    return min(known) >= 0.5 if known else None  # noqa: PLR2004 - the middle
