"""What is made of a request before a tier gets it. The client's own body is never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheguard.cascade.tokens import LIMITS, wanted_tokens
from cacheguard.question import INSTRUCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cacheguard.question import Message

# An answer that was cut is asked for with so many times the tokens that it had used.
MORE_ROOM = 4


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Steps from a client's request to a tier's, taken in the order in which they stand here.

    history_turns: only the newest so many user turns and what lies between them; instructions stay.
    system_prefix, system_suffix: before the first instruction and behind the last.
    drop: fields that are left out. max_tokens: the most that may be asked for, and what is asked for by default.
    rename: fields and their names at this tier, each in place of a field that bears that name already.
    fixed: fields that are sent so, whatever the client said.
    """

    history_turns: int | None = None
    system_prefix: str = ""
    system_suffix: str = ""
    drop: tuple[str, ...] = ()
    max_tokens: int | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def adapted(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The very same object where nothing is to be done."""
        body = self._instructed(self._shortened(body))
        body = self._capped(self._without_dropped(body))
        body = self._renamed(body)
        return {**body, **self.fixed} if self.fixed else body

    def shortens(self, body: Mapping[str, Any]) -> bool:
        """Whether history is left out: an answer to the rest may be given, but never kept."""
        return self._shortened(body) is not body

    def _shortened(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.history_turns is None:
            return body
        messages = body["messages"]
        start = _newest(messages, self.history_turns)
        instructions = [message for message in messages[:start] if message["role"] in INSTRUCTIONS]
        return body if len(instructions) == start else {**body, "messages": [*instructions, *messages[start:]]}

    def _instructed(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if not (self.system_prefix or self.system_suffix):
            return body
        messages = list(body["messages"])
        places = [at for at, message in enumerate(messages) if message["role"] in INSTRUCTIONS]
        if not places:
            messages.insert(0, {"role": "system", "content": ""})
            places = [0]
        first, last = places[0], places[-1]
        messages[first] = _wrapped(messages[first], self.system_prefix, "")
        messages[last] = _wrapped(messages[last], "", self.system_suffix)
        return {**body, "messages": messages}

    def _without_dropped(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if body.keys().isdisjoint(self.drop):
            return body
        return {name: value for name, value in body.items() if name not in self.drop}

    def _capped(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.max_tokens is None:
            return body
        asked = {name: body[name] for name in LIMITS if isinstance(body.get(name), int)}
        most = {name: self.max_tokens for name, tokens in asked.items() if tokens > self.max_tokens}
        if not asked:
            most = {LIMITS[0]: self.max_tokens}
        return {**body, **most} if most else body

    def _renamed(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if body.keys().isdisjoint(self.rename):
            return body
        kept = {name: value for name, value in body.items() if name not in self.rename}
        return kept | {new: body[name] for name, new in self.rename.items() if body.get(name) is not None}


def with_room(body: Mapping[str, Any], used: int) -> Mapping[str, Any] | None:
    """The body asking for more tokens than an answer had that was cut. used: its tokens, 0 where nobody counted them.

    None where no more may be asked for: a limit in the request stands; and none can be told from nothing used.
    """
    if wanted_tokens(body) is not None or not used:
        return None
    return {**body, LIMITS[0]: MORE_ROOM * used}


def _newest(messages: Sequence[Message], turns: int) -> int:
    """Where the newest user turns begin; earlier where a tool's result would else stand without its call."""
    starts = [at for at, message in enumerate(messages) if message["role"] == "user"]
    if len(starts) <= turns:
        return 0
    del starts[len(starts) - turns + 1 :]
    start = starts.pop()
    for called, answered in reversed(list(_tool_results(messages))):
        while called < start <= answered:
            start = starts.pop() if starts else 0
    return start


def _tool_results(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Where a tool was called and where its result stands, in the order of results; functions go by their name."""
    calls: dict[str, int] = {}
    for at, message in enumerate(messages):
        match message:
            case {"role": "tool", "tool_call_id": str(name)} | {"role": "function", "name": str(name)}:
                if name in calls:
                    yield calls[name], at
            case {"tool_calls": [*made]}:
                calls |= {call["id"]: at for call in made if isinstance(call, dict) and isinstance(call.get("id"), str)}
            case {"function_call": {"name": str(name)}}:
                calls[name] = at
            case _:
                pass


def _wrapped(message: Message, prefix: str, suffix: str) -> Message:
    content = message.get("content") or ""
    if isinstance(content, str):
        return {**message, "content": "\n\n".join(filter(None, (prefix, content, suffix)))}
    before, behind = ([{"type": "text", "text": text}] if text else [] for text in (prefix, suffix))
    return {**message, "content": [*before, *content, *behind]}
