"""Shapes that many products log: messages, completions, times, verdicts. What is wrong is a ValueError, for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cacheguard.lines import text_in
from cacheguard.question import text_of
from cacheguard.scope import FIELDS, Bearing
from cacheguard.warming.log import Exchange, LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheguard.warming.log import Said

NO_ANSWER: Final = LeftOut("no answer: the call failed, or only its request was logged")
CUT: Final = LeftOut("an answer that was cut or filtered")
CALLS_TOOLS: Final = LeftOut("an answer that calls tools")
REFUSED: Final = LeftOut("the model refused")
NO_CHAT: Final = LeftOut("no chat: another kind of call")
# Numbers past these are in milliseconds, microseconds, nanoseconds: of the year 2033 and later in a finer unit's place.
_FINER: Final = ((2e17, 1e9), (2e14, 1e6), (2e11, 1e3))
_FINISHED: Final = frozenset({None, "", "stop", "end_turn", "stop_sequence", "completed", "eos"})
_CONDITIONS: Final = frozenset(
    name for name, bearing in FIELDS.items() if bearing in {Bearing.SCOPE, Bearing.BYPASS}
) - {"logit_bias"}


def parsed(value: object) -> Any:
    """The value, or what it says where it is JSON in a text, as cells of tables are."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def object_in(fields: Mapping[str, Any], *names: str) -> dict[str, Any] | None:
    """The first of these fields that holds an object, in JSON or not."""
    for name in names:
        value = parsed(fields.get(name))
        if isinstance(value, dict):
            return value
    return None


def messages_in(value: object) -> list[dict[str, Any]]:
    """OpenAI-style messages; a lone text is a user's."""
    value = parsed(value)
    if isinstance(value, str) and value.strip():
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise ValueError("lacks 'messages'")
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError("holds a message without a role")  # noqa: TRY004 - wrong data, not a wrong call
        if not isinstance(message.get("content"), str | list | None):
            raise ValueError("holds a message whose content is no text")  # noqa: TRY004 - as above
    return value


def conditions_in(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters of a call that bear on the answer, where what else was sent is not known for sure."""
    known = {name: value for name, value in (parameters or {}).items() if name in _CONDITIONS}
    for name in ("max_tokens", "max_completion_tokens"):
        if not isinstance(known.get(name), int):
            known.pop(name, None)
    return known


def exchange(body: Mapping[str, Any], answer: object, **more: Any) -> Said:
    """A question and its answer, where there is one. more: fields of Exchange."""
    if answer is None or answer == "":
        return NO_ANSWER
    return Exchange(body, text_in({"answer": answer}, "answer"), **more)


def said_in(body: Mapping[str, Any], response: object, **more: Any) -> Said:
    """A request and what came back: a chat completion, a response, or a message of Anthropic's.

    Sources: platform.openai.com/docs/api-reference, chat/object and responses/object; docs.anthropic.com, messages.
    """
    match parsed(response):
        case None | "":
            return NO_ANSWER
        case str(text):
            return exchange(body, text, **more)
        case dict(came):
            more.setdefault("model", name_in(came, "model") or name_in(body, "model"))
            more.setdefault("at", time_in(came.get("created") or came.get("created_at")))
            return _came(body, came, more)
        case _:
            raise ValueError("holds a response that is no object")


def _came(body: Mapping[str, Any], came: Mapping[str, Any], more: dict[str, Any]) -> Said:
    match came:
        case {"choices": list(choices)}:
            return _choice(body, choices, more)
        case {"output": list(items)}:
            messages = [item for item in items if isinstance(item, dict) and item.get("type") == "message"]
            parts = [part for message in messages for part in message.get("content") or ()]
            calls = bool(items) and not messages
            return CALLS_TOOLS if calls else _whole(body, _texts(parts), came.get("status"), more)
        case {"content": list(parts)}:
            calls = any(part.get("type") == "tool_use" for part in parts)
            return CALLS_TOOLS if calls else _whole(body, _texts(parts), came.get("stop_reason"), more)
        case {"content": str(text)}:
            return _whole(body, text, came.get("stop_reason"), more)
        case _:
            return NO_ANSWER


def _choice(body: Mapping[str, Any], choices: Sequence[Any], more: dict[str, Any]) -> Said:
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    if message is None and "text" in first:  # the completions of before there were chats
        return _whole(body, first["text"], first.get("finish_reason"), more)
    return answered_by(body, message or {}, first.get("finish_reason"), **more)


def answered_by(body: Mapping[str, Any], message: Mapping[str, Any], finish: object = None, **more: Any) -> Said:
    """A request, and the assistant's message that came back."""
    if message.get("tool_calls") or message.get("function_call"):
        return CALLS_TOOLS
    if message.get("refusal"):
        return REFUSED
    return _whole(body, text_of(message.get("content")), finish, more)


def _whole(body: Mapping[str, Any], text: object, finish: object, more: dict[str, Any]) -> Said:
    return exchange(body, text, **more) if finish in _FINISHED else CUT


def _texts(parts: Sequence[Any]) -> str:
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def time_in(value: object) -> float | None:
    """Unix seconds of a number in any unit or of an ISO 8601 text, which is in UTC where it names no zone."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            return time_in(float(value))
        except ValueError:
            pass
        try:
            return time_in(datetime.fromisoformat(value.strip()))
        except ValueError:
            raise ValueError(f"holds a time that can't be read: {value[:40]!r}") from None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        return None
    unit = 1.0
    for least, finer in _FINER:
        if value >= least:
            unit = finer
            break
    return value / unit


def number_in(value: object) -> float:
    """A number that is not negative, in a text or not; 0 where there is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return number if 0 < number < float("inf") else 0.0


def between(begun: float | None, ended: float | None) -> float | None:
    """Seconds, where both are known."""
    return None if begun is None or ended is None or ended < begun else ended - begun


def verdict_in(value: object) -> bool | None:
    """Whether somebody said that an answer was right: a boolean, a word, or a score whose sign or half decides."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value > 0
    if isinstance(value, str):
        word = value.strip().lower()
        if word in {"right", "good", "positive", "up", "thumbs_up", "true", "yes", "1", "correct"}:
            return True
        if word in {"wrong", "bad", "negative", "down", "thumbs_down", "false", "no", "0", "-1", "incorrect"}:
            return False
    return None


def name_in(fields: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that says something, "" where none does."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return ""
