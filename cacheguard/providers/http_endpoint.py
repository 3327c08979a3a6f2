"""A user's own HTTP endpoint in the place of a model: a retrieval back end, a web search.

It is asked by POST with {"question", "messages", "model"}, and its text is the answer: a field of a JSON object, or the
whole of a body in plain text. `usage`, where the object has it, is read as OpenAI's.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Finish, Usage
from cacheguard.providers.calling import Connection, ErrorReply, Verdict, class_of_status
from cacheguard.providers.chat_reply import ChatReply, Said
from cacheguard.providers.chat_shape import chunks_of, read_chunk, read_usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import aiohttp

    from cacheguard.providers.base import Body, Call, Chunk, Completion
    from cacheguard.providers.calling import Host

# Whatever it says to a question about itself, some gateways a 403, it is there.
_IS_THERE = range(300, 500)


class HttpEndpoint:
    """One endpoint. answer_field: of the JSON object that it answers with."""

    def __init__(self, host: Host, answer_field: str) -> None:
        self._host = Connection(_Manners(), host)
        self._answer_field = answer_field

    async def complete(self, call: Call) -> Completion:
        content = _content(call)
        async with self._host.asked("POST", "", call.key, content) as response:
            text, usage = await self._read(response)
            return ChatReply("", call.model).whole([Said(Finish.STOP, text)], usage)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """All at once: the endpoint doesn't stream."""
        for body in chunks_of(await self.complete(call)):
            yield read_chunk(body)

    async def probe(self, key: int = 0) -> None:
        async with self._host.asked("OPTIONS", "", key, fine=_IS_THERE):
            pass

    async def aclose(self) -> None:
        await self._host.aclose()

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[str, Usage]:
        """An empty body is an empty answer: nothing was found."""
        content = await response.read()
        if not content or response.content_type == "text/plain":
            return await response.text(errors="replace"), Usage()
        body = self._host.parse(content)
        text = body[self._answer_field] or ""
        if not isinstance(text, str):
            raise TypeError(f"{self._answer_field} is not a text")
        return text, read_usage(body.get("usage"))


class _Manners:
    def headers(self, key: str) -> Body:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def classify(self, reply: ErrorReply) -> Verdict:
        """What isn't there is the endpoint's own affair, as a model that a host doesn't know: others may be asked."""
        is_missing = reply.status == HTTPStatus.NOT_FOUND
        return Verdict(class_of_status(reply.status), reply.hint_s, unknown_model=is_missing)


def _content(call: Call) -> bytes:
    try:
        messages = call.body["messages"]
        return json.dumps({"question": _question(messages), "messages": messages, "model": call.model}).encode()
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise AttemptFailed(FailureClass.BAD_REQUEST, f"the messages have another shape: {exc!r}") from exc


def _question(messages: list[Body]) -> str:
    """What the user said last, in words."""
    said = next((message for message in reversed(messages) if message["role"] == "user"), {}).get("content") or ""
    return said if isinstance(said, str) else "\n".join(part["text"] for part in said if part["type"] == "text")
