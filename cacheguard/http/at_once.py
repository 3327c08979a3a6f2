"""Answers that are at hand, given in the same turn of the loop in which their requests came in.

uvicorn's way of a request, its parser's callbacks, a task, messages to and fro and two writes, takes longer than such
an answer. It is passed by where a head is known by its bytes and an exact match is in memory; all other requests go it.
Their heads are learnt, and what was already found out of them goes with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cacheguard.http.chat import ASKED, Json
from cacheguard.http.doors import Doors, leads_to_chat

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_END: Final = b"\r\n\r\n"


class AtOnce(HttpToolsProtocol):
    """uvicorn's protocol for a connection to the service; to any other app, uvicorn's own."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._doors = self.app if isinstance(self.app, Doors) else None
        self._is_between = True  # no request has come in part

    def on_message_begin(self) -> None:
        self._is_between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_between = True

    def data_received(self, data: bytes) -> None:
        doors = self._doors
        end = data.find(_END) + len(_END) if doors and self._is_free else 0
        if doors is None or end < len(_END):
            super().data_received(data)
            return
        raw, length = data[:end], len(data) - end
        head = doors.heads.find(raw, length)
        answer = doors.chat.at_once(head, data[end:]) if head else None
        if isinstance(answer, Json):
            self.transport.write(answer.as_http(self.server_state.default_headers))
            self.on_response_complete()
            answer.sent()
            return
        before = self.scope
        super().data_received(data)
        if self.scope is before:
            return
        if answer is not None:
            self.scope["state"][ASKED] = answer
        elif head is None and self._was_plain:
            doors.heads.learn(raw, length, self.headers)

    @property
    def _is_free(self) -> bool:
        """Whether a request that comes now is the only one, and its answer can be written."""
        last = cast("RequestResponseCycle | None", self.cycle)
        is_idle = self._is_between and (last is None or last.response_complete)
        return is_idle and not self.flow.write_paused and not self.transport.is_closing()

    @property
    def _was_plain(self) -> bool:
        """Whether what came ended with a whole request for a chat completion, on a connection that goes on."""
        last = cast("RequestResponseCycle | None", self.cycle)
        return (
            self._is_between
            and last is not None
            and last.keep_alive
            and leads_to_chat(self.scope)
            and self.scope["http_version"] == "1.1"
            and not self.scope["query_string"]
        )
