"""Which exchanges of a log are worth keeping: those that the corridor could give again, to anybody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from cacheguard.lines import BadLine, text_in
from cacheguard.matching.confidence import Calibrated
from cacheguard.matching.decide import Match
from cacheguard.matching.guards.time_sensitive import TimeSensitive
from cacheguard.providers.base import Completion, Finish
from cacheguard.question import INSTRUCTIONS, NoQuestion, read_question, without_earlier
from cacheguard.scope import bypass_reason, scope_of
from cacheguard.types import Answer, Origin, Phrasing, Provenance
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

_HOLDS = TimeSensitive()


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


class Sifting:
    """Into one place: a route and a tenant."""

    def __init__(self, place: Place, terms: Terms) -> None:
        self._place = place
        self._terms = terms
        self._personal_in = lru_cache(4096)(personal_in)
        in_force = getattr(place.route.rule, "rule", place.route.rule)
        self._heeds_time = isinstance(in_force, Calibrated) and _HOLDS.name in {one.name for one in in_force.guards}

    async def sift(self, logged: Logged, number: int) -> Asked | LeftOut | BadLine:
        """number: of the exchange, from 1. A bad line is one whose question is no text that could be sent."""
        said = logged.said
        if isinstance(said, LeftOut):
            return said
        if reason := self._elsewhere(said):
            return LeftOut(reason)
        body = self._body(said)
        question = read_question(body["messages"])
        if isinstance(question, NoQuestion):
            return LeftOut(f"no question that an answer fits: {question.reason}")
        try:
            text_in({"prompt": question.text}, "prompt")
        except ValueError as exc:
            return BadLine(logged.file, logged.number, str(exc))
        answer = said.answer if self._terms.personal is not Personal.REDACT else blacked_out(said.answer)
        if reason := self._unfit(said, body, question, answer) or await self._objection(body, answer, said.model):
            return LeftOut(reason)
        return self._asked(number, said, body, question, answer)

    def _asked(self, number: int, said: Exchange, body: Mapping[str, Any], question: Question, answer: str) -> Asked:
        place = self._place
        return Asked(
            number,
            scope_of(place.tenant, place.route.name, body, question, place.route.context).key,
            body if place.route.context != "none" else {**body, "messages": without_earlier(body["messages"])},
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

    def _unfit(self, said: Exchange, body: Mapping[str, Any], question: Question, answer: str) -> str:
        """Why nobody else may be given this answer, or ""."""
        if reason := bypass_reason(body) or self._place.route.bypass_reason(question):
            return f"it passes the cache by: {reason}"
        if self._terms.personal is not Personal.KEEP:
            for what, text in (("question", question.text), ("answer", answer)):
                if kind := self._personal_in(text):
                    return f"personal data in the {what}: {kind}"
        return "" if self._lasts(question, said) else "an answer that held only for a while"

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

    def _body(self, said: Exchange) -> dict[str, Any]:
        """As a request of this place would send it; the place's system prompt, if any, stands in for the log's."""
        body: Mapping[str, Any] = said.body
        if not self._place.system_prompt:
            return {**body, "model": self._place.route.name}
        rest = [message for message in body["messages"] if message["role"] not in INSTRUCTIONS]
        system = {"role": "system", "content": self._place.system_prompt}
        return {**body, "model": self._place.route.name, "messages": [system, *rest]}

    def _lasts(self, question: Question, said: Exchange) -> bool:
        if said.at is None or not self._heeds_time:
            return True
        answer = Answer("", "", "", "", "", _NOBODY, said.at, said.at)
        phrasing = Phrasing(0, "", "", question.key, question.text, Origin.LOG, said.at)
        return not _HOLDS.objects(question, [Match(phrasing, answer, 1.0)], self._terms.now)


_NOBODY = Provenance("")
