"""Anthropic's messages.

Source: platform.claude.com/docs: Messages, Streaming messages, Versions, Errors, Rate limits (spend limits),
Structured outputs, Handling stop reasons.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, assert_never

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers import conversation
from cacheguard.providers.anthropic_schema import grammatical
from cacheguard.providers.base import Body, Call, Chunk, Completion, Finish, Usage
from cacheguard.providers.calling import ErrorReply, Verdict, class_of_status, cut_off
from cacheguard.providers.chat_reply import ChatReply, Said, tool_call
from cacheguard.providers.conversation import Media, Text, ToolCall, ToolResult, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheguard.providers.conversation import Json, Part, Tool, ToolChoice

VERSION = "2026-10-21"
# The format demands a limit where OpenAI's request may leave it out. Every model since Claude 4.5 can write four times
# as much; it is room for reasoning and some 8,000 words, more than any answer worth keeping.
DEFAULT_MAX_TOKENS = 16_384

DROPPED: Mapping[str, str] = {
    **conversation.DROPPED,
    "frequency_penalty": "no such control",
    "presence_penalty": "no such control",
    "seed": "no such control",
    # Models since Claude 4.7 refuse these two in the former version of the format as well.
    "temperature": "this version refuses the whole request for it",
    "top_p": "this version refuses the whole request for it",
}


class Messages:
    """Its host's address has no version in it."""

    models = "v1/models"

    def headers(self, key: str) -> Body:
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 (others' paths name them)
        return "v1/messages"

    def request(self, call: Call, *, stream: bool) -> Body:
        if (call.body.get("n") or 1) > 1:
            raise refused("this provider gives one answer at a time: leave n out, or make it 1")
        said = conversation.read_conversation(call.body["messages"])
        wish = conversation.read_json_wish(call.body)
        body: Body = {
            "model": call.model,
            "max_tokens": conversation.read_max_tokens(call.body) or DEFAULT_MAX_TOKENS,
            "messages": [
                {"role": turn.speaker, "content": [_block(part) for part in turn.parts]} for turn in said.turns
            ],
            "stream": stream,
            **_tools(call.body),
        }
        schema = grammatical(wish.schema) if wish and wish.schema is not None else None
        if schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if system := "\n\n".join(filter(None, (said.system, _in_words(wish) if wish and not schema else ""))):
            body["system"] = system
        if stops := conversation.read_stops(call.body):
            body["stop_sequences"] = stops
        return body

    def read(self, body: Body) -> Completion:
        said = Said(_finish(body["stop_reason"]))
        for block in body["content"]:
            match block["type"]:
                case "text":
                    said.text += block["text"]
                case "thinking":
                    said.reasoning += block["thinking"]
                case "tool_use":
                    said.tool_calls.append(tool_call(block["id"], block["name"], block["input"]))
                case _:
                    pass  # reasoning that is hidden, and kinds to come
        if body["stop_reason"] == "refusal":
            said.refusal = _refusal(body)
        completion = ChatReply(body["id"], body["model"]).whole([said], _usage(body["usage"]))
        if body["stop_reason"] == _WINDOW_FULL:
            raise AttemptFailed(FailureClass.CONTEXT_LENGTH, _WINDOW_FULL, completion=completion)
        return completion

    def reading(self) -> _Stream:
        return _Stream()

    def classify(self, reply: ErrorReply) -> Verdict:
        kind = reply.word("type")
        is_unknown = reply.status == HTTPStatus.NOT_FOUND or kind == "not_found_error"
        return Verdict(_class_of(kind, reply), reply.hint_s, unknown_model=is_unknown)


class _Stream:
    def __init__(self) -> None:
        self.done = False
        self._reply = ChatReply("", "")
        self._usage: Body = {}
        self._end: Body = {}
        # Places of tool calls among the tool calls, by their block's place among all blocks.
        self._calls: dict[int, int] = {}
        self._without_arguments: set[int] = set()

    def read(self, event: Body) -> Iterator[Chunk]:
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._reply = ChatReply(message["id"], message["model"])
                self._count(message["usage"])
                yield self._reply.opening()
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                yield self._begin_call(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._say(event["index"], event["delta"])
            case "content_block_stop" if event["index"] in self._without_arguments:
                yield self._argue(event["index"], "{}")
            case "message_delta":
                self._end = event["delta"]
                self._count(event.get("usage") or {})
            case "message_stop":
                self.done = True
            case _:
                pass  # pings, ends of blocks, and kinds to come

    def close(self) -> Iterator[Chunk]:
        reason = self._end.get("stop_reason")
        if not self.done:
            raise cut_off("message_stop")
        if reason is None:
            raise cut_off("a stop_reason")
        if reason == _WINDOW_FULL:
            raise AttemptFailed(FailureClass.CONTEXT_LENGTH, _WINDOW_FULL)
        if reason == "refusal":
            yield self._reply.refusal(_refusal(self._end))
        yield self._reply.chunk({}, finish=_finish(reason))
        yield self._reply.usage(_usage(self._usage))

    def _say(self, block: int, delta: Body) -> Iterator[Chunk]:
        match delta["type"]:
            case "text_delta":
                yield self._reply.chunk({"content": delta["text"]})
            case "thinking_delta":
                yield self._reply.chunk({"reasoning_content": delta["thinking"]})
            case "input_json_delta" if delta["partial_json"]:
                yield self._argue(block, delta["partial_json"])
            case _:
                pass  # signatures, citations, and kinds to come

    def _begin_call(self, block: int, tool_use: Body) -> Chunk:
        at = self._calls[block] = len(self._calls)
        self._without_arguments.add(block)
        function = {"name": tool_use["name"], "arguments": ""}
        return self._reply.chunk(
            {"tool_calls": [{"index": at, "id": tool_use["id"], "type": "function", "function": function}]}
        )

    def _argue(self, block: int, arguments: str) -> Chunk:
        self._without_arguments.discard(block)
        return self._reply.chunk({"tool_calls": [{"index": self._calls[block], "function": {"arguments": arguments}}]})

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Counts are cumulative, and a later event may leave out what an earlier one said."""
        self._usage |= {name: count for name, count in usage.items() if count is not None}


_WINDOW_FULL = "model_context_window_exceeded"
_FINISHES: Mapping[object, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    # As OpenAI's: what tells a refusal is the refusal, not the finish.
    "refusal": Finish.STOP,
    _WINDOW_FULL: Finish.LENGTH,
}


def _finish(reason: object) -> Finish:
    """pause_turn, whatever is new, and None are no end that this service knows."""
    return _FINISHES.get(reason, Finish.UNKNOWN)


def _refusal(ended: Mapping[str, Any]) -> str:
    """The words of a refusal, which come with its `stop_reason`, or don't come at all."""
    return (ended.get("stop_details") or {}).get("explanation") or "The model declined to answer."


def _usage(usage: Mapping[str, Any]) -> Usage:
    """input_tokens leaves out what went into the prompt cache or came from it."""
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    return Usage((usage.get("input_tokens") or 0) + cached + written, usage.get("output_tokens") or 0, cached)


def _in_words(wish: Json) -> str:
    """For what the format can't constrain an answer to, «any JSON object» first of all."""
    if wish.schema is None:
        return "Answer with one JSON object and nothing else."
    return f"Answer with JSON that fits this JSON Schema, and nothing else:\n{json.dumps(wish.schema)}"


def _block(part: Part) -> Body:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Media():
            return _media_block(part)
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case ToolResult():
            return {"type": "tool_result", "tool_use_id": part.id, "content": part.text}
        case _:
            assert_never(part)


def _media_block(media: Media) -> Body:
    if media.url:
        return {"type": "image", "source": {"type": "url", "url": media.url}}
    kind = "document" if media.kind == "application/pdf" else "image"
    if kind == "image" and not media.kind.startswith("image/"):
        raise refused(f"this provider takes images and PDF documents, not {media.kind}")
    return {"type": kind, "source": {"type": "base64", "media_type": media.kind, "data": media.data}}


_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def _tools(asked: Mapping[str, Any]) -> Body:
    tools = [_tool(tool) for tool in conversation.read_tools(asked)]
    if not tools:
        return {}
    choice = _tool_choice(conversation.read_tool_choice(asked))
    if asked.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": choice}


def _tool(tool: Tool) -> Body:
    """One whose schema is no grammar is called less strictly."""
    schema = grammatical(tool.parameters) if tool.strict else None
    strict = {"strict": True} if schema else {}
    return {"name": tool.name, "description": tool.description, "input_schema": schema or tool.parameters, **strict}


def _tool_choice(choice: ToolChoice | None) -> Body:
    if choice is None:
        return {"type": "auto"}
    return {"type": "tool", "name": choice.name} if choice.name else {"type": _TOOL_CHOICES[choice.mode]}


# Without invalid_request_error, which stands for many a status: there the status tells more.
_CLASS_OF_KIND: Mapping[str, FailureClass] = {
    "authentication_error": FailureClass.AUTH,
    "billing_error": FailureClass.QUOTA,
    "permission_error": FailureClass.AUTH,
    "not_found_error": FailureClass.BAD_REQUEST,
    "request_too_large": FailureClass.CONTEXT_LENGTH,
    "rate_limit_error": FailureClass.RATE_LIMIT,
    "api_error": FailureClass.TRANSPORT,
    "timeout_error": FailureClass.TRANSPORT,
    "overloaded_error": FailureClass.TRANSPORT,
}
_SPENT = re.compile(r"API usage limits|spend(ing)? limit|credit balance", re.IGNORECASE)
_FILTERED = re.compile(r"content filtering policy", re.IGNORECASE)
_TOO_LONG = re.compile(r"prompt is too long|context (limit|length|window)", re.IGNORECASE)


def _class_of(kind: str, reply: ErrorReply) -> FailureClass:
    """A limit on spending and a prompt that is too long come under the types of other errors; their words tell."""
    failure = _CLASS_OF_KIND.get(kind) or class_of_status(reply.status)
    match failure:
        # With a hint it is a limit that a short wait lifts, whatever it calls itself.
        case FailureClass.RATE_LIMIT | FailureClass.BAD_REQUEST if reply.hint_s is None and _SPENT.search(
            reply.message
        ):
            return FailureClass.QUOTA
        case FailureClass.BAD_REQUEST if _FILTERED.search(reply.message):
            return FailureClass.CONTENT_FILTER
        case FailureClass.BAD_REQUEST if _TOO_LONG.search(reply.message):
            return FailureClass.CONTEXT_LENGTH
        case _:
            return failure
