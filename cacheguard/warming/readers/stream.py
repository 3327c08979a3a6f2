"""Our own format: a question and its answer a line, and what else is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cacheguard.lines import text_in
from cacheguard.warming.log import Exchange
from cacheguard.warming.readers.shapes import messages_in, name_in, number_in, time_in, verdict_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

FIELDS: Final = (
    "prompt",
    "answer",
    "answer_id",
    "system",
    "messages",
    "tenant",
    "route",
    "model",
    "at",
    "feedback",
    "cost_usd",
    "took_s",
)


class Stream:
    """`{"prompt": …, "answer": …}`, and of FIELDS what is known. messages: the turns before the prompt."""

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        return "prompt" in fields and ("answer" in fields or "answer_id" in fields)

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        prompt = {"role": "user", "content": text_in(fields, "prompt")}
        system = [{"role": "system", "content": text_in(fields, "system")}] if fields.get("system") else []
        earlier = messages_in(fields["messages"]) if fields.get("messages") else []
        took_s = number_in(fields.get("took_s"))
        yield Exchange(
            {"messages": [*system, *earlier, prompt]},
            text_in(fields, "answer"),
            answer_id=text_in(fields, "answer_id") if fields.get("answer_id") else "",
            tenant=name_in(fields, "tenant"),
            route=name_in(fields, "route"),
            model=name_in(fields, "model"),
            at=time_in(fields.get("at")),
            is_right=verdict_in(fields.get("feedback")),
            cost_usd=number_in(fields.get("cost_usd")),
            took_s=took_s or None,
        )
