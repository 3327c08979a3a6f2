"""OpenAI's chat completions, and every host that speaks them.

Source: platform.openai.com/docs/api-reference/chat, its guide "Error codes"; openrouter.ai/docs/errors.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from cacheguard.failures import FailureClass
from cacheguard.providers.base import Body, Call, Chunk, Completion
from cacheguard.providers.calling import ErrorReply, Manners, Verdict, class_of_status, cut_off, failed
from cacheguard.providers.chat_shape import Joining, read_chunk, read_completion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ChatCompletions:
    """missing_finish_is_stop: for hosts that never send a finish_reason; elsewhere such an answer counts as cut."""

    models = "models"

    def __init__(self, *, missing_finish_is_stop: bool = False) -> None:
        self._missing_finish_is_stop = missing_finish_is_stop

    def headers(self, key: str) -> Body:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 (others' paths name them)
        return "chat/completions"

    def request(self, call: Call, *, stream: bool) -> Body:
        body = {**call.body, "model": call.model, "stream": stream}
        body.pop("stream_options", None)
        if stream:
            # Costs are counted whether or not the client asked for usage.
            body["stream_options"] = {"include_usage": True}
        return body

    def read(self, body: Body) -> Completion:
        _refuse_errors(self, body)
        if self._missing_finish_is_stop:
            body["choices"][0]["finish_reason"] = body["choices"][0].get("finish_reason") or "stop"
        return read_completion(body)

    def reading(self) -> _Stream:
        return _Stream(self, missing_finish_is_stop=self._missing_finish_is_stop)

    def classify(self, reply: ErrorReply) -> Verdict:
        code = reply.word("code", "type")
        return Verdict(
            _class_of(reply.status, code, reply.message),
            reply.hint_s,
            unknown_model=reply.status == HTTPStatus.NOT_FOUND or code == "model_not_found",
        )


class _Stream:
    def __init__(self, manners: Manners, *, missing_finish_is_stop: bool) -> None:
        self.done = False
        self._manners = manners
        self._seen = Joining()
        self._missing_finish_is_stop = missing_finish_is_stop

    def read(self, event: Body) -> Iterable[Chunk]:
        whole = _whole(event)
        _refuse_errors(self._manners, whole)
        chunk = read_chunk(whole)
        self._seen.add(chunk)
        return (chunk,)

    def close(self) -> Iterable[Chunk]:
        if not self.done:
            raise cut_off("its end marker")
        if self._seen.finished:
            return ()
        if not self._missing_finish_is_stop:
            raise cut_off("a finish_reason")
        return (Chunk({**self._seen.completion().body, **_STOPPED}),)


def _whole(event: Body) -> Body:
    """The event as OpenAI would send it: Azure leaves `delta` out beside a filter's results, others `choices` beside
    usage.
    """
    if not ("choices" in event or "usage" in event or event.get("object") == "chat.completion.chunk"):
        raise KeyError("choices")
    choices = event.get("choices") or ()
    if choices and all(choice.get("delta") for choice in choices):
        return event
    return {**event, "choices": [{**choice, "delta": choice.get("delta") or {}} for choice in choices]}


def _refuse_errors(manners: Manners, body: Body) -> None:
    """OpenRouter puts the error of a host behind it into the choice that this host had begun."""
    for choice in body["choices"]:
        if choice.get("error"):
            raise failed(manners, choice["error"])


_STOPPED: Body = {
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
}

_CLASS_OF_CODE: Mapping[str, FailureClass] = {
    "insufficient_quota": FailureClass.QUOTA,
    "billing_hard_limit_reached": FailureClass.QUOTA,
    "rate_limit_exceeded": FailureClass.RATE_LIMIT,
    "invalid_api_key": FailureClass.AUTH,
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH,
    "content_filter": FailureClass.CONTENT_FILTER,
    "content_policy_violation": FailureClass.CONTENT_FILTER,
    "model_not_found": FailureClass.BAD_REQUEST,
}
# Compatible hosts say in words what OpenAI says by code (llama.cpp, vLLM, Ollama).
_TOO_LONG = re.compile("context (length|window|size)|maximum context", re.IGNORECASE)


def _class_of(status: int | None, code: str, message: str) -> FailureClass:
    """code: `error.code`, else `error.type`."""
    if code in _CLASS_OF_CODE:
        return _CLASS_OF_CODE[code]
    is_the_hosts_fault = status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not is_the_hosts_fault and _TOO_LONG.search(message):
        return FailureClass.CONTEXT_LENGTH
    return class_of_status(status)
