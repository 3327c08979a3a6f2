"""Which exchanges of a log are worth keeping: those that the corridor could give again, to anybody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheguard.json_text import to_json
from cacheguard.lines import BadLine, text_in
from cacheguard.matching.confidence import Calibrated
from cacheguard.matching.guards.time_sensitive import TimeSensitive, holds_s
from cacheguard.providers.base import Completion, Finish
from cacheguard.question import INSTRUCTIONS, NoQuestion, read_question, without_earlier
from cacheguard.scope import bypass_reason, scope_of
from cacheguard.validation.base import first_objection
from cacheguard.warming.exchanges import Asked
from cacheguard.warming.log import Exchange, LeftOut
from cacheguard.warming.privacy import blacked_out, personal_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cacheguard.place import Place
    from cacheguard.question import Question
    from cacheguard.warming.log import Logged

# Requests whose reading is remembered, for most of a log's were sent before; longer ones seldom were.
_REMEMBERED: Final = 8_192
_LONG: Final = 1_000  # bytes


class Personal(StrEnum):
    """What is done about personal data and secrets."""

    SKIP = "skip"
    REDACT = "redact"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is taken. since: Unix seconds, None for whenever. tenant: as the log names it, "*" for any.

    now: Unix seconds.
    """

    now: float
    since: float | None = None
    tenant: str = ""
    personal: Personal = Personal.SKIP


class _Wording(NamedTuple):
    """A request that asks something which others may ask too. scope: its key. ages: answers to it do, by its words."""

    body: Mapping[str, Any]
    question: Question
    scope: str
    ages: bool


class _Unreadable(NamedTuple):
    """A request whose question is no text that could be sent."""

    words: str


class Sifting:
    """Into one place: a route and a tenant."""

    def __init__(self, place: Place, terms: Terms) -> None:
        self._place = place
        self._terms = terms
        self._read: dict[bytes, _Wording | LeftOut | _Unreadable] = {}
        in_force = getattr(place.route.rule, "rule", place.route.rule)
        guards = in_force.guards if isinstance(in_force, Calibrated) else ()
        self._heeds_time = any(guard.name == TimeSensitive.name for guard in guards)

    async def sift(self, logged: Logged, number: int) -> Asked | LeftOut | BadLine:
        """number: of the exchange, from 1. A bad line is one whose question is no text that could be sent."""
        said = logged.said
        if isinstance(said, LeftOut):
            return said
        if reason := self._elsewhere(said):
            return LeftOut(reason)
        wording = self._wording(said.body)
        if isinstance(wording, LeftOut):
            return wording
        if isinstance(wording, _Unreadable):
            return BadLine(logged.file, logged.number, wording.words)
        answer = said.answer if self._terms.personal is not Personal.REDACT else blacked_out(said.answer)
        if reason := self._unfit(said, wording, answer) or await self._objection(wording.body, answer, said.model):
            return LeftOut(reason)
        return self._asked(number, said, wording, answer)

    def _wording(self, request: Mapping[str, Any]) -> _Wording | LeftOut | _Unreadable:
        """What a request of the log asks, and whether others may be given what it is told."""
        name = to_json(request)
        if len(name) > _LONG:
            return self._worded(request)
        if (known := self._read.get(name)) is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[name] = known = self._worded(request)
        return known

    def _worded(self, request: Mapping[str, Any]) -> _Wording | LeftOut | _Unreadable:
        place = self._place
        body = self._body(request)
        question = read_question(body["messages"])
        if isinstance(question, NoQuestion):
            return LeftOut(f"no question that an answer fits: {question.reason}")
        try:
            text_in({"prompt": question.text}, "prompt")
        except ValueError as exc:
            return _Unreadable(str(exc))
        if reason := bypass_reason(body) or place.route.bypass_reason(question):
            return LeftOut(f"it passes the cache by: {reason}")
        if reason := self._personal("question", question.text):
            return LeftOut(reason)
        scope = scope_of(place.tenant, place.route.name, body, question, place.route.context)
        return _Wording(body, question, scope.key, self._heeds_time and holds_s(question.text, 0) < inf)

    def _asked(self, number: int, said: Exchange, wording: _Wording, answer: str) -> Asked:
        body, question = wording.body, wording.question
        return Asked(
            number,
            wording.scope,
            body if self._place.route.context != "none" else {**body, "messages": without_earlier(body["messages"])},
            question.key,
            question.text,
            answer,
            said.answer_id,
            said.model,
            said.at,
            said.is_right,
            said.cost_usd,
            said.took_s or 0.0,
        )

    def _unfit(self, said: Exchange, wording: _Wording, answer: str) -> str:
        """Why nobody else may be given this answer, or ""."""
        if reason := self._personal("answer", answer):
            return reason
        return "" if self._lasts(wording, said) else "an answer that held only for a while"

    def _personal(self, what: str, text: str) -> str:
        kind = self._terms.personal is not Personal.KEEP and personal_in(text)
        return f"personal data in the {what}: {kind}" if kind else ""

    async def _objection(self, body: Mapping[str, Any], answer: str, model: str) -> str:
        completion = Completion({}, answer, Finish.STOP, model)
        objection = await first_objection(completion, body, self._place.route.plan.own_validators)
        return f"the route would not give its answer: {objection.words}" if objection else ""

    def _elsewhere(self, said: Exchange) -> str:
        if said.route and said.route != self._place.route.name:
            return f"of another route: {said.route}"
        wanted = self._terms.tenant or self._place.tenant
        if said.tenant and wanted not in {"*", said.tenant}:
            return f"of another tenant: {said.tenant} (--log-tenant takes it)"
        if self._terms.since is not None and (said.at is None or said.at < self._terms.since):
            return "older than --since"
        return ""

    def _body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """As a request of this place would send it; the place's system prompt, if any, stands in for the log's."""
        if not self._place.system_prompt:
            return {**body, "model": self._place.route.name}
        rest = [message for message in body["messages"] if message["role"] not in INSTRUCTIONS]
        system = {"role": "system", "content": self._place.system_prompt}
        return {**body, "model": self._place.route.name, "messages": [system, *rest]}

    def _lasts(self, wording: _Wording, said: Exchange) -> bool:
        if said.at is None or not wording.ages:
            return True
        return self._terms.now - said.at <= holds_s(wording.question.text, said.at)
