"""Anthropic's messages, as the simulated provider writes them.

Source: platform.claude.com/docs: Messages, Streaming messages, Errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheguard.simulate.wire import (
    BadRequest,
    Failure,
    Question,
    Reply,
    Stream,
    last_prompt,
    text_of,
    to_json,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Source: Errors, HTTP errors.
USUAL_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
FIRST_SERVER_ERROR = 500
# Words of other formats, and of none, stay as the script has them.
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class AnthropicMessages:
    path = "/v1/messages"
    hints_in_headers = True

    def question(self, path: Mapping[str, str], body: Mapping[str, Any]) -> Question:  # noqa: ARG002
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not model:
            raise BadRequest("model: Field required")
        if not isinstance(body.get("max_tokens"), int):
            raise BadRequest("max_tokens: Field required")
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise BadRequest("messages: at least one message is required")
        said = [(message.get("role"), text_of(message.get("content"))) for message in messages]
        system = text_of(body.get("system"))
        return Question(
            model=model,
            prompt=last_prompt(said),
            prompt_tokens=sum(len(tokens(text)) for text in (system, *(text for _, text in said))),
            streamed=bool(body.get("stream")),
        )

    def plain(self, question: Question, reply: Reply) -> bytes:
        text = "".join(reply.tokens)
        return to_json(
            {
                **_message(question, reply),
                "content": [] if reply.refused else [{"type": "text", "text": text}],
                **_end(reply),
                "usage": {**_input(question), "output_tokens": len(reply.tokens)},
            }
        )

    def stream(self, question: Question, reply: Reply) -> Stream:
        message = {**_message(question, reply), "content": [], "stop_reason": None, "stop_sequence": None}
        opening = _event(
            {"type": "message_start", "message": {**message, "usage": {**_input(question), "output_tokens": 1}}}
        )
        opening += _event({"type": "ping"})
        closing = b""
        if not reply.refused:
            opening += _event(
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            )
            closing = _event({"type": "content_block_stop", "index": 0})
        if reply.ended:
            closing += _event(
                {"type": "message_delta", "delta": _end(reply), "usage": {"output_tokens": len(reply.tokens)}}
            )
            closing += _event({"type": "message_stop"})
        return Stream(
            opening=opening,
            tokens=() if reply.refused else (_delta(token) for token in reply.tokens),
            ending=closing,
        )

    def error(self, failure: Failure) -> bytes:
        usual = "api_error" if failure.status >= FIRST_SERVER_ERROR else "invalid_request_error"
        error: dict[str, Any] = {
            "type": failure.type or USUAL_TYPES.get(failure.status, usual),
            "message": failure.message,
        }
        if failure.code:
            error["details"] = {"error_code": failure.code}
        return to_json({"type": "error", "error": error, "request_id": "req_sim"})

    def error_event(self, failure: Failure) -> bytes:
        return b"event: error\ndata: " + self.error(failure) + b"\n\n"


def _message(question: Question, reply: Reply) -> dict[str, Any]:
    return {"id": f"msg_sim{reply.number}", "type": "message", "role": "assistant", "model": question.model}


def _end(reply: Reply) -> dict[str, Any]:
    """A refusal's words stand beside its stop reason; the answer itself is then empty."""
    if reply.refused:
        words = {"type": "refusal", "category": None, "explanation": "".join(reply.tokens)}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": words}
    reason = reply.finish_reason if reply.ended else None
    return {"stop_reason": STOP_REASONS.get(reason or "", reason), "stop_sequence": None}


def _input(question: Question) -> dict[str, Any]:
    return {
        "input_tokens": question.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def _delta(token: str) -> bytes:
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}})


def _event(content: dict[str, Any]) -> bytes:
    return f"event: {content['type']}\ndata: ".encode() + to_json(content) + b"\n\n"
