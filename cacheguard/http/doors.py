"""The two ways into the service: chat completions straight to their endpoint, all else the framework's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.http.head import Heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cacheguard.http.chat import Chat

CHAT = "/v1/chat/completions"


class Doors:
    """ASGI app. On the framework's way, an exact hit would spend twice the time that it takes.

    heads: of requests for chat completions that came before.
    """

    def __init__(self, chat: Chat, rest: ASGIApp) -> None:
        self.chat = chat
        self.heads = Heads()
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.chat if leads_to_chat(scope) else self._rest)(scope, receive, send)


def leads_to_chat(scope: Mapping[str, object]) -> bool:
    return scope["type"] == "http" and scope["path"] == CHAT and scope["method"] == "POST"
