"""Where warmed answers go, and where a replayed question looks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cacheguard.question import NoQuestion, read_question
from cacheguard.request import Asked, Patient, Request
from cacheguard.scope import scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.routes import Route


@dataclass(frozen=True, slots=True)
class Place:
    """A route, a tenant and a system prompt, exactly as that tenant's requests send it; "" where they send none."""

    route: Route
    tenant: str
    system_prompt: str = ""

    def body(self, prompt: str) -> dict[str, Any]:
        """The body of a request that asks this, and nothing before it."""
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return {"model": self.route.name, "messages": [*system, {"role": "user", "content": prompt}]}

    def asked(self, prompt: str) -> Asked:
        """The prompt as the corridor sees it. Raises ValueError for a blank one."""
        return self.asked_in(self.body(prompt))

    def asked_in(self, body: Mapping[str, Any]) -> Asked:
        """The question of a request, likewise."""
        question = read_question(body["messages"])
        if isinstance(question, NoQuestion):
            raise ValueError(f"no question: {question.reason}")  # noqa: TRY004 - wrong data, not a wrong call
        scope = scope_of(self.tenant, self.route.name, body, question, self.route.context)
        return Asked(Request(self.tenant, body, Patient(), self.route.name), self.route, scope, question)
