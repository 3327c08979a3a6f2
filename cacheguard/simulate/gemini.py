"""Gemini's generateContent and streamGenerateContent?alt=sse, as the simulated provider writes them.

Source: ai.google.dev: API reference «Generating content», Troubleshooting; google.rpc error details.
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

# Source: google.rpc.Code.
USUAL_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# Words of other formats, and of none, stay as the script has them.
FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
TOO_MANY_REQUESTS = 429
STREAMED = {"generateContent": False, "streamGenerateContent": True}
TYPE = "type.googleapis.com/google.rpc."


class GeminiContent:
    path = "/{version}/models/{model}:{method}"
    hints_in_headers = False

    def question(self, path: Mapping[str, str], body: Mapping[str, Any]) -> Question:
        contents = body.get("contents")
        if path["method"] not in STREAMED:
            raise BadRequest(f"no such method: {path['method']}")
        if not isinstance(contents, list) or not contents or not all(isinstance(c, dict) for c in contents):
            raise BadRequest("* GenerateContentRequest.contents: contents is not specified")
        said = [(content.get("role", "user"), text_of(content.get("parts"))) for content in contents]
        system = body.get("systemInstruction")
        instructions = text_of(system.get("parts")) if isinstance(system, dict) else ""
        return Question(
            model=path["model"],
            prompt=last_prompt(said),
            prompt_tokens=sum(len(tokens(text)) for text in (instructions, *(text for _, text in said))),
            streamed=STREAMED[path["method"]],
        )

    def plain(self, question: Question, reply: Reply) -> bytes:
        return to_json(_answer(question, reply, "".join(reply.tokens), ended=reply.ended))

    def stream(self, question: Question, reply: Reply) -> Stream:
        said = () if reply.refused else (_event(_answer(question, reply, token)) for token in reply.tokens)
        ending = _event(_answer(question, reply, "", ended=True)) if reply.ended else b""
        return Stream(opening=b"", tokens=said, ending=ending)

    def error(self, failure: Failure) -> bytes:
        error: dict[str, Any] = {
            "code": failure.status,
            "message": failure.message,
            "status": failure.type or USUAL_STATUSES.get(failure.status, "UNKNOWN"),
        }
        if details := _details(failure):
            error["details"] = details
        return to_json({"error": error})

    def error_event(self, failure: Failure) -> bytes:
        return b"data: " + self.error(failure) + b"\n\n"


def _details(failure: Failure) -> list[dict[str, Any]]:
    """The code is the quota that was exceeded, or the reason of another error."""
    details: list[dict[str, Any]] = []
    if failure.code and failure.status == TOO_MANY_REQUESTS:
        details.append({"@type": TYPE + "QuotaFailure", "violations": [{"quotaId": failure.code}]})
    elif failure.code:
        details.append({"@type": TYPE + "ErrorInfo", "reason": failure.code, "domain": "googleapis.com"})
    if failure.retry_after_s is not None:
        details.append({"@type": TYPE + "RetryInfo", "retryDelay": f"{failure.retry_after_s:.12g}s"})
    return details


def _answer(question: Question, reply: Reply, text: str, *, ended: bool = False) -> dict[str, Any]:
    """A whole answer, or a piece of one, which has the same shape. A refused prompt is blocked without candidates."""
    head = {
        "modelVersion": question.model,
        "responseId": f"sim{reply.number}",
        "usageMetadata": _usage(question, reply),
    }
    if reply.refused:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **head}
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if ended and reply.finish_reason is not None:
        candidate["finishReason"] = FINISH_REASONS.get(reply.finish_reason, reply.finish_reason)
    return {"candidates": [candidate], **head}


def _usage(question: Question, reply: Reply) -> dict[str, Any]:
    said = 0 if reply.refused else len(reply.tokens)
    return {
        "promptTokenCount": question.prompt_tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": question.prompt_tokens + said,
    }


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + to_json(content) + b"\n\n"
