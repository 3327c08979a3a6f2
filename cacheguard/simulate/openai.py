"""OpenAI's chat completions, as the simulated provider writes them.

Source: OpenAI API reference, Chat completions and Streaming events.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cacheguard.simulate.wire import BadRequest, Failure, Question, Reply, Stream, last_prompt, text_of, to_json, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE = b"data: [DONE]\n\n"

# Source: OpenAI API reference, Error codes.
USUAL_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
FIRST_SERVER_ERROR = 500


class OpenAIChat:
    path = "/v1/chat/completions"
    hints_in_headers = True

    def question(self, path: Mapping[str, str], body: Mapping[str, Any]) -> Question:  # noqa: ARG002
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not model:
            raise BadRequest("you must provide a model parameter", "model")
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise BadRequest("'messages' must be a list of at least one message", "messages")
        said = [(message.get("role"), text_of(message.get("content"))) for message in messages]
        options = body.get("stream_options")
        return Question(
            model=model,
            prompt=last_prompt(said),
            prompt_tokens=sum(len(tokens(text)) for _, text in said),
            streamed=bool(body.get("stream")),
            usage_in_stream=isinstance(options, dict) and bool(options.get("include_usage")),
        )

    def plain(self, question: Question, reply: Reply) -> bytes:
        text = "".join(reply.tokens)
        message = {
            "role": "assistant",
            "content": None if reply.refused else text,
            "refusal": text if reply.refused else None,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": reply.finish_reason if reply.ended else None,
        }
        head = _head(question, reply, "chat.completion")
        return to_json(head | {"choices": [choice], "usage": _usage(question, reply)})

    def stream(self, question: Question, reply: Reply) -> Stream:
        head = _head(question, reply, "chat.completion.chunk")
        if question.usage_in_stream:
            head["usage"] = None
        field = "refusal" if reply.refused else "content"
        ending = b""
        if reply.ended:
            ending = _chunk(head, {}, reply.finish_reason)
            if question.usage_in_stream:
                ending += _event(head | {"choices": [], "usage": _usage(question, reply)})
            ending += DONE
        return Stream(
            opening=_chunk(head, {"role": "assistant", "content": "", "refusal": None}),
            tokens=(_chunk(head, {field: token}) for token in reply.tokens),
            ending=ending,
        )

    def error(self, failure: Failure) -> bytes:
        usual = "server_error" if failure.status >= FIRST_SERVER_ERROR else "invalid_request_error"
        return to_json(
            {
                "error": {
                    "message": failure.message,
                    "type": failure.type or USUAL_TYPES.get(failure.status, usual),
                    "param": failure.param,
                    "code": failure.code,
                }
            }
        )

    def error_event(self, failure: Failure) -> bytes:
        return b"data: " + self.error(failure) + b"\n\n"


def _head(question: Question, reply: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-sim{reply.number}",
        "object": kind,
        "created": int(time.time()),
        "model": question.model,
        "system_fingerprint": "simulated",
    }


def _usage(question: Question, reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": question.prompt_tokens,
        "completion_tokens": len(reply.tokens),
        "total_tokens": question.prompt_tokens + len(reply.tokens),
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event(head | {"choices": [choice]})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + to_json(content) + b"\n\n"
