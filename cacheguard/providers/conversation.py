"""What a chat request says, apart from how OpenAI writes it: for the formats that write it otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cacheguard.failures import AttemptFailed, FailureClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheguard.providers.base import Body

# What other formats have no place for, and why an answer without it is still an answer.
DROPPED: Mapping[str, str] = {
    "audio": "answers are text",
    "logit_bias": "counts tokens as OpenAI cuts them",
    "logprobs": "not an answer's text",
    "metadata": "labels for OpenAI's own storage",
    "modalities": "answers are text",
    "moderation": "OpenAI's own service",
    "prediction": "a hint for speed",
    "prompt_cache_key": "a hint for OpenAI's prompt cache",
    "prompt_cache_options": "a hint for OpenAI's prompt cache",
    "prompt_cache_retention": "a hint for OpenAI's prompt cache",
    "reasoning_effort": "not every model takes it, and those that don't refuse the whole request",
    "safety_identifier": "whom OpenAI knows is no other host's business",
    "service_tier": "OpenAI's own price list",
    "store": "OpenAI's own storage",
    "stream_options": "usage is always counted",
    "top_logprobs": "not an answer's text",
    "user": "whom OpenAI knows is no other host's business",
    "verbosity": "OpenAI's own models",
    "web_search_options": "OpenAI's own service",
}


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """kind: its MIME type, where known. Either data, in base64, or the url where it lies."""

    kind: str = ""
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """extra: what a host gave along, to be given back to it."""

    id: str
    name: str
    arguments: Body
    extra: Body


@dataclass(frozen=True, slots=True)
class ToolResult:
    id: str
    name: str
    text: str


Part: TypeAlias = Text | Media | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says before the other one speaks; tools speak on the user's side."""

    speaker: Literal["user", "assistant"]
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Conversation:
    """system: all instructions, in order. turns: alternating, none of them empty."""

    system: str
    turns: list[Turn]


@dataclass(frozen=True, slots=True)
class Tool:
    """parameters: JSON Schema."""

    name: str
    description: str
    parameters: Body
    strict: bool


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """name: of the one tool that must be called, or ""."""

    mode: Literal["auto", "none", "required"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Json:
    """The answer is to be JSON. schema: None for any object."""

    schema: Body | None


def refused(why: str) -> AttemptFailed:
    """What this provider can't be asked."""
    return AttemptFailed(FailureClass.BAD_REQUEST, why)


def read_conversation(messages: Iterable[Mapping[str, Any]]) -> Conversation:
    """Raises AttemptFailed for what other formats can't say; KeyError, TypeError and the like for another shape."""
    system: list[str] = []
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for message in messages:
        speaker: Literal["user", "assistant"] = "user"
        match message["role"]:
            case "system" | "developer":
                system.append(_text(message))
                continue
            case "user":
                parts = list(_parts(message))
            case "assistant":
                speaker = "assistant"
                calls = [_tool_call(call) for call in message.get("tool_calls") or ()]
                names |= {call.id: call.name for call in calls}
                parts = [*_parts(message), *calls]
            case "tool":
                call_id = message["tool_call_id"]
                parts = [ToolResult(call_id, names.get(call_id, ""), _text(message))]
            case role:
                raise refused(f"this provider knows no role {role!r}; tools answer in the role 'tool'")
        if parts and (not turns or turns[-1].speaker != speaker):
            turns.append(Turn(speaker))
        if parts:
            turns[-1].parts.extend(parts)
    return Conversation("\n\n".join(filter(None, system)), turns)


def read_tools(body: Mapping[str, Any]) -> list[Tool]:
    if body.get("functions"):
        raise refused("this provider takes 'tools', not their former shape 'functions'")
    return [_tool(tool) for tool in body.get("tools") or ()]


def read_tool_choice(body: Mapping[str, Any]) -> ToolChoice | None:
    match body.get("tool_choice"):
        case None:
            return None
        case ("auto" | "none" | "required") as mode:
            return ToolChoice(mode)
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("required", name)
        case _:
            raise refused("this provider takes a tool_choice of auto, none, required or one function")


def read_json_wish(body: Mapping[str, Any]) -> Json | None:
    """What `response_format` asks for; None for plain text."""
    match body.get("response_format"):
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return Json(None)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return Json(schema)
        case _:
            raise refused("this provider takes a response_format of text, json_object or json_schema with its schema")


def read_max_tokens(body: Mapping[str, Any]) -> int | None:
    """max_tokens is the former name of max_completion_tokens."""
    limit: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    return limit


def read_stops(body: Mapping[str, Any]) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def renamed(body: Mapping[str, Any], names: Mapping[str, str]) -> Body:
    """The fields that are set, under their names in another format."""
    return {other: body[name] for name, other in names.items() if body.get(name) is not None}


def _text(message: Mapping[str, Any]) -> str:
    parts = list(_parts(message))
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        raise refused(f"this provider takes only text in the role {message['role']!r}")
    return "\n".join(texts)


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    """What a message says; blank texts are left out, since Anthropic refuses them."""
    content = message.get("content") or message.get("refusal") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                if text.strip():
                    yield Text(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                yield _media(url) if url.startswith("data:") else Media(url=url)
            case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
                yield Media(f"audio/{kind}", data)
            case {"type": "file", "file": {"file_data": str(url)}}:
                yield _media(url)
            case _:
                raise refused(f"this provider takes no content of type {part['type']!r}, or not in that shape")


def _media(data_url: str) -> Media:
    head, _, data = data_url.removeprefix("data:").partition(",")
    kind, *parameters = head.split(";")
    if not kind or "base64" not in parameters:
        raise refused("this provider takes data: URLs with a type and in base64 only")
    return Media(kind, data)


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    arguments = json.loads(function.get("arguments") or "{}")
    if not isinstance(arguments, dict):
        raise refused(f"the arguments of the earlier call of {function['name']!r} are no JSON object")
    return ToolCall(call["id"], function["name"], arguments, call.get("extra_content") or {})


def _tool(tool: Mapping[str, Any]) -> Tool:
    if tool["type"] != "function":
        raise refused(f"this provider takes no tools of type {tool['type']!r}")
    function = tool["function"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(function["name"], function.get("description") or "", parameters, bool(function.get("strict")))
