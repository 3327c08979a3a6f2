"""LiteLLM: its standard logging payload, as its callbacks write it to buckets, and rows of its spend logs.

Sources: docs.litellm.ai/docs/proxy/logging_spec (StandardLoggingPayload); LiteLLM_SpendLogs in its schema.prisma, which
names the cost `spend` and keeps messages and response where `store_prompts_in_spend_logs` is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cacheguard.warming.log import LeftOut
from cacheguard.warming.readers.shapes import (
    NO_ANSWER,
    NO_CHAT,
    between,
    conditions_in,
    messages_in,
    name_in,
    number_in,
    object_in,
    parsed,
    said_in,
    time_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

_CHATS: Final = frozenset({"completion", "acompletion", "", "responses", "aresponses", "anthropic_messages"})
_HIDDEN: Final = "redacted-by-litellm"  # docs.litellm.ai/docs/proxy/logging, turn_off_message_logging
_WITHHELD: Final = LeftOut("its text was withheld from the log")


class LiteLLM:
    """Its tenant is the team: by alias, else by id."""

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        if "standard_logging_object" in fields:
            return True
        return "call_type" in fields and bool({"response_cost", "spend", "startTime"} & fields.keys())

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        fields = object_in(fields, "standard_logging_object") or fields
        metadata = object_in(fields, "metadata") or {}
        if fields.get("status") == "failure" or metadata.get("status") == "failure":
            yield NO_ANSWER
            return
        if name_in(fields, "call_type") not in _CHATS:
            yield NO_CHAT
            return
        messages = fields.get("messages") or (object_in(fields, "proxy_server_request") or {}).get("messages")
        if not parsed(messages):
            yield _WITHHELD
            return
        body = {**conditions_in(object_in(fields, "model_parameters")), "messages": messages_in(messages)}
        if _HIDDEN in str(body["messages"][-1].get("content")) or _HIDDEN in str(fields.get("response"))[:2000]:
            yield _WITHHELD
            return
        begun = time_in(fields.get("startTime"))
        yield said_in(
            body,
            fields.get("response"),
            tenant=name_in(metadata, "user_api_key_team_alias", "user_api_key_team_id") or name_in(fields, "team_id"),
            model=name_in(fields, "model"),
            at=begun,
            cost_usd=number_in(fields.get("response_cost") or fields.get("spend")),
            took_s=between(begun, time_in(fields.get("endTime"))),
        )
