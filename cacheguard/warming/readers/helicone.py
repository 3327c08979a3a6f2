"""Helicone: requests as its export tool and its API give them, with their bodies.

Sources: docs.helicone.ai/tools/export (`npx @helicone/export --include-body`), and
docs.helicone.ai/rest/request/post-v1requestquery-clickhouse (HeliconeRequest).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cacheguard.warming.log import LeftOut
from cacheguard.warming.readers.shapes import (
    NO_ANSWER,
    NO_CHAT,
    messages_in,
    name_in,
    number_in,
    object_in,
    said_in,
    time_in,
    verdict_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

_BODILESS: Final = LeftOut("it was exported without its bodies: say --include-body")
_SUCCESS: Final = range(200, 300)


class Helicone:
    def recognises(self, fields: Mapping[str, Any]) -> bool:
        return "request_created_at" in fields or {"response_id", "response_created_at"} <= fields.keys()

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        status = fields.get("response_status")
        if status not in (None, "") and int(number_in(status)) not in _SUCCESS:
            yield NO_ANSWER
            return
        request, response = object_in(fields, "request_body"), object_in(fields, "response_body")
        if not request or not response:
            yield _BODILESS
            return
        if "messages" not in request:
            yield NO_CHAT
            return
        system = request.get("system")  # Anthropic's place for it
        before = [{"role": "system", "content": system}] if system else []
        body = {name: value for name, value in request.items() if name != "system"}
        body["messages"] = [*before, *messages_in(request["messages"])]
        scores = object_in(fields, "scores") or {}
        rating = fields.get("feedback_rating")
        took_ms = number_in(fields.get("delay_ms") or fields.get("latency"))
        yield said_in(
            body,
            response,
            model=name_in(fields, "response_model", "request_model", "model"),
            at=time_in(fields.get("request_created_at") or fields.get("response_created_at")),
            is_right=verdict_in(scores.get("helicone-score-feedback") if rating is None else rating),
            cost_usd=number_in(fields.get("costUSD") or fields.get("cost_usd") or fields.get("cost")),
            took_s=took_ms / 1000 or None,
        )
