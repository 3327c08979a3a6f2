"""Gemini's generateContent.

Source: ai.google.dev: API reference «Generating content», Function calling, Thought signatures, Structured output,
File input methods.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, assert_never
from urllib.parse import quote
from uuid import uuid4

from cacheguard.providers import conversation
from cacheguard.providers.base import Body, Call, Chunk, Completion, Finish, Usage
from cacheguard.providers.calling import ErrorReply, Verdict, cut_off
from cacheguard.providers.chat_reply import ChatReply, Said, tool_call
from cacheguard.providers.conversation import Media, Text, ToolCall, ToolResult
from cacheguard.providers.google_errors import classify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheguard.providers.conversation import Part, ToolChoice

DROPPED: Mapping[str, str] = {**conversation.DROPPED, "parallel_tool_calls": "no such control"}


class GenerateContent:
    """Its host's address has no version in it."""

    models = "v1beta/models"

    def headers(self, key: str) -> Body:
        return {"x-goog-api-key": key} if key else {}

    def path(self, model: str, *, stream: bool) -> str:
        place = quote(model if "/" in model else f"models/{model}")
        return f"v1beta/{place}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def request(self, call: Call, *, stream: bool) -> Body:  # noqa: ARG002 (its path says so)
        said = conversation.read_conversation(call.body["messages"])
        body: Body = {
            "contents": [
                {"role": _ROLES[turn.speaker], "parts": _signed([_part(part) for part in turn.parts])}
                for turn in said.turns
            ],
            **_tools(call.body),
        }
        if said.system:
            body["systemInstruction"] = {"parts": [{"text": said.system}]}
        if config := _config(call.body):
            body["generationConfig"] = config
        return body

    def read(self, body: Body) -> Completion:
        choices = [_said(candidate) for candidate in _candidates(body)]
        return _reply(body).whole(choices, _usage(body.get("usageMetadata") or {}))

    def reading(self) -> _Stream:
        return _Stream()

    def classify(self, reply: ErrorReply) -> Verdict:
        return classify(reply)


class _Stream:
    """Every event has the shape of a whole answer. The stream has no end marker but the finish of its candidates."""

    def __init__(self) -> None:
        self.done = False
        self._reply = ChatReply("", "")
        self._usage: Mapping[str, Any] = {}
        self._finishes: dict[int, Finish | None] = {}
        self._calls: dict[int, int] = {}

    def read(self, event: Body) -> Iterator[Chunk]:
        self._usage = event.get("usageMetadata") or self._usage
        for candidate in _candidates(event):
            index = candidate.get("index", 0)
            if index not in self._finishes:
                self._reply = self._reply if self._finishes else _reply(event)
                self._finishes[index] = None
                yield self._reply.opening(index=index)
            said = _said(candidate)
            if "finishReason" in candidate:
                self._finishes[index] = said.finish
            yield from self._say(index, said)

    def _say(self, index: int, said: Said) -> Iterator[Chunk]:
        if said.reasoning:
            yield self._reply.chunk({"reasoning_content": said.reasoning}, index=index)
        if said.text:
            yield self._reply.chunk({"content": said.text}, index=index)
        for call in said.tool_calls:
            at = self._calls.get(index, 0)
            self._calls[index] = at + 1
            yield self._reply.chunk({"tool_calls": [{"index": at, **call}]}, index=index)

    def close(self) -> Iterator[Chunk]:
        if not self._finishes or None in self._finishes.values():
            raise cut_off("a finishReason")
        for index, finish in self._finishes.items():
            called = finish is Finish.STOP and index in self._calls
            yield self._reply.chunk({}, index=index, finish=Finish.TOOL_CALLS if called else finish)
        yield self._reply.usage(_usage(self._usage))


def _reply(body: Body) -> ChatReply:
    return ChatReply(body.get("responseId") or "", body.get("modelVersion") or "")


def _candidates(body: Body) -> list[Body]:
    """A prompt that was blocked has no candidates: it counts as one that a filter stopped."""
    candidates: list[Body] = body.get("candidates") or []
    if not candidates and (body.get("promptFeedback") or {}).get("blockReason"):
        return [{"finishReason": "SAFETY"}]
    if not candidates and "usageMetadata" not in body:
        raise KeyError("candidates")
    return candidates


_FINISHES: Mapping[object, Finish] = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "SAFETY": Finish.CONTENT_FILTER,
    "RECITATION": Finish.CONTENT_FILTER,
    "BLOCKLIST": Finish.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "SPII": Finish.CONTENT_FILTER,
    "IMAGE_SAFETY": Finish.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "IMAGE_RECITATION": Finish.CONTENT_FILTER,
    "ESCALATION": Finish.CONTENT_FILTER,
    "MODEL_ARMOR": Finish.CONTENT_FILTER,
}


def _said(candidate: Body) -> Said:
    """LANGUAGE, OTHER, MALFORMED_FUNCTION_CALL, whatever is new, and None are no end that this service knows."""
    said = Said(_FINISHES.get(candidate.get("finishReason"), Finish.UNKNOWN))
    for part in (candidate.get("content") or {}).get("parts") or ():
        if "functionCall" in part:
            said.tool_calls.append(_call(part))
        elif part.get("thought"):
            said.reasoning += part.get("text", "")
        else:
            said.text += part.get("text", "")
    if said.tool_calls and said.finish is Finish.STOP:
        said.finish = Finish.TOOL_CALLS
    return said


def _call(part: Body) -> Body:
    """The signature goes where Google's own OpenAI endpoint has it: clients that give it back there do so here too."""
    function = part["functionCall"]
    call = tool_call(function.get("id") or f"call_{uuid4().hex}", function["name"], function.get("args") or {})
    if signature := part.get("thoughtSignature"):
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


def _usage(usage: Mapping[str, Any]) -> Usage:
    return Usage(
        input=usage.get("promptTokenCount") or 0,
        output=(usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0),
        cached_input=usage.get("cachedContentTokenCount") or 0,
    )


_ROLES = {"user": "user", "assistant": "model"}


def _part(part: Part) -> Body:
    match part:
        case Text():
            return {"text": part.text}
        case Media(url=""):
            return {"inlineData": {"mimeType": part.kind, "data": part.data}}
        case Media():
            return {"fileData": {"fileUri": part.url}}
        case ToolCall():
            signature = part.extra.get("google", {}).get("thought_signature")
            call = {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
            return {**call, "thoughtSignature": signature} if signature else call
        case ToolResult():
            return {"functionResponse": {"id": part.id, "name": part.name, "response": _response(part.text)}}
        case _:
            assert_never(part)


# What the documentation gives for calls that another model made, or whose client has lost the signature: without one
# Gemini 3 refuses the conversation.
_UNSIGNED = "skip_thought_signature_validator"


def _signed(parts: list[Body]) -> list[Body]:
    """Of several calls in one turn, the first bears the signature."""
    calls = [part for part in parts if "functionCall" in part]
    if calls:
        calls[0].setdefault("thoughtSignature", _UNSIGNED)
    return parts


def _response(text: str) -> Body:
    """The format wants an object; `output` is its own name for what is none."""
    try:
        result = json.loads(text)
    except ValueError:
        result = text
    return result if isinstance(result, dict) else {"output": result}


_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
}


def _config(asked: Mapping[str, Any]) -> Body:
    config = conversation.renamed(asked, _CONFIG)
    if limit := conversation.read_max_tokens(asked):
        config["maxOutputTokens"] = limit
    if stops := conversation.read_stops(asked):
        config["stopSequences"] = stops
    if wish := conversation.read_json_wish(asked):
        config["responseMimeType"] = "application/json"
        if wish.schema is not None:
            config["responseJsonSchema"] = _lone_refs(wish.schema)
    return config


def _lone_refs(schema: Any) -> Any:
    """The schema as the format takes it: it passes over what it doesn't know, but nothing may stand beside a $ref."""
    match schema:
        case {"$ref": str()}:
            return {name: _lone_refs(part) for name, part in schema.items() if name.startswith("$")}
        case dict():
            return {name: _lone_refs(part) for name, part in schema.items()}
        case list():
            return [_lone_refs(part) for part in schema]
        case _:
            return schema


_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def _tools(asked: Mapping[str, Any]) -> Body:
    tools = conversation.read_tools(asked)
    if not tools:
        return {}
    declared = [
        {"name": tool.name, "description": tool.description, "parametersJsonSchema": _lone_refs(tool.parameters)}
        for tool in tools
    ]
    body: Body = {"tools": [{"functionDeclarations": declared}]}
    if choice := conversation.read_tool_choice(asked):
        body["toolConfig"] = {"functionCallingConfig": _calling(choice)}
    return body


def _calling(choice: ToolChoice) -> Body:
    named = {"allowedFunctionNames": [choice.name]} if choice.name else {}
    return {"mode": _MODES[choice.mode], **named}
