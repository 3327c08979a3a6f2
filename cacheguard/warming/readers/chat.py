"""Conversations as fine-tuning takes them: `{"messages": […]}` a line, each of the assistant's turns an answer.

Source: platform.openai.com/docs/guides/supervised-fine-tuning: a turn with `weight` 0 is not to be learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheguard.question import INSTRUCTIONS
from cacheguard.warming.log import LeftOut
from cacheguard.warming.readers.shapes import answered_by, conditions_in, messages_in, name_in, time_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

_NOT_LEARNED = LeftOut("a turn of weight 0")
_UNANSWERED = LeftOut("a conversation without an answer")


class Chat:
    def recognises(self, fields: Mapping[str, Any]) -> bool:
        return isinstance(fields.get("messages"), list) and not {"response", "choices", "prompt"} & fields.keys()

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        messages = messages_in(fields.get("messages"))
        conditions = conditions_in(fields)
        found = False
        for at, message in enumerate(messages):
            asked = [one for one in messages[:at] if one["role"] not in INSTRUCTIONS]
            if message["role"] != "assistant" or not asked:
                continue
            found = True
            if message.get("weight") == 0:
                yield _NOT_LEARNED
                continue
            # What is said of weights is for the trainer, and no part of what was asked.
            before = [{name: value for name, value in one.items() if name != "weight"} for one in messages[:at]]
            about = {"model": name_in(fields, "model"), "at": time_in(fields.get("timestamp"))}
            yield answered_by({**conditions, "messages": before}, message, **about)
        if not found:
            yield _UNANSWERED
