"""OpenTelemetry: spans of calls to models, as OTLP in JSON, one export request a line.

Sources: opentelemetry.io/docs/specs/otel/protocol/file-exporter; semantic conventions for generative AI spans
(`gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions`, with parts, in JSON or structured);
and OpenLLMetry's older flat attributes (`gen_ai.prompt.0.content`, `gen_ai.completion.0.content`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cacheguard.warming.readers.shapes import (
    NO_ANSWER,
    NO_CHAT,
    answered_by,
    between,
    conditions_in,
    messages_in,
    name_in,
    number_in,
    parsed,
    time_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

_CHATS: Final = frozenset({"chat", "text_completion", "generate_content", ""})
_FAILED: Final = frozenset({2, "STATUS_CODE_ERROR"})  # opentelemetry/proto/trace/v1/trace.proto, Status
_PARAMETERS: Final = {"gen_ai.request.max_tokens": "max_tokens", "gen_ai.request.choice.count": "n"}


class OpenTelemetry:
    def recognises(self, fields: Mapping[str, Any]) -> bool:
        return "resourceSpans" in fields

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        for resource in fields.get("resourceSpans") or ():
            for scope in resource.get("scopeSpans") or ():
                for span in scope.get("spans") or ():
                    yield _said(span, {one["key"]: _value(one.get("value")) for one in span.get("attributes") or ()})


def _said(span: Mapping[str, Any], about: Mapping[str, Any]) -> Said:
    if not any(name.startswith("gen_ai.") for name in about) or about.get("gen_ai.operation.name", "") not in _CHATS:
        return NO_CHAT
    answers = parsed(about.get("gen_ai.output.messages")) or _flat(about, "gen_ai.completion.")
    body = _body(about)
    if (span.get("status") or {}).get("code") in _FAILED or not answers or not body["messages"]:
        return NO_ANSWER
    begun = time_in(span.get("startTimeUnixNano"))
    return answered_by(
        body,
        _message(answers[0]),
        answers[0].get("finish_reason"),
        model=name_in(about, "gen_ai.response.model", "gen_ai.request.model"),
        at=begun,
        cost_usd=number_in(about.get("gen_ai.usage.cost")),
        took_s=between(begun, time_in(span.get("endTimeUnixNano"))),
    )


def _body(about: Mapping[str, Any]) -> dict[str, Any]:
    asked = [_message(one) for one in parsed(about.get("gen_ai.input.messages")) or _flat(about, "gen_ai.prompt.")]
    system = _texts(parsed(about.get("gen_ai.system_instructions")) or [])
    sent = {ours: int(number_in(about[name])) for name, ours in _PARAMETERS.items() if name in about}
    before = [{"role": "system", "content": system}] if system else []
    return {**conditions_in(sent), "messages": messages_in([*before, *asked]) if asked else []}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's form of it."""
    role = str(message.get("role") or "")
    if "parts" not in message:
        return {"role": role, "content": message.get("content")}
    calls = [part for part in message["parts"] if part.get("type") in {"tool_call", "tool_call_response"}]
    made = {"role": role, "content": _texts(message["parts"])}
    return {**made, "tool_calls": calls} if calls else made


def _texts(parts: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(str(part.get("content") or "") for part in parts if part.get("type") == "text")


def _flat(about: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Messages whose fields are attributes of their own, numbered."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in about.items():
        number, dot, field = name.removeprefix(prefix).partition(".")
        if name.startswith(prefix) and dot and number.isdigit():
            found.setdefault(int(number), {})[field] = value
    return [found[number] for number in sorted(found)]


def _value(value: Any) -> Any:
    """What an OTLP AnyValue holds. Source: opentelemetry/proto/common/v1/common.proto."""
    match value:
        case {"arrayValue": {"values": values}}:
            return [_value(one) for one in values]
        case {"kvlistValue": {"values": values}}:
            return {one["key"]: _value(one.get("value")) for one in values}
        case {"intValue": number}:
            return int(number)
        case {"stringValue": plain} | {"doubleValue": plain} | {"boolValue": plain}:
            return plain
        case _:
            return None
