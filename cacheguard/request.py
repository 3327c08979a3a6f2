"""What comes into the corridor, and what is known of it on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from cacheguard.matching.decide import Stale
from cacheguard.matching.freshness import NO_DIRECTIVES
from cacheguard.matching.self_contained import is_self_contained
from cacheguard.question import NoQuestion, read_question, without_earlier
from cacheguard.scope import bypass_reason, scope_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.matching.decide import Decision, Match
    from cacheguard.matching.freshness import Directives
    from cacheguard.question import Question
    from cacheguard.routes import Route, Routes
    from cacheguard.scope import Scope

T = TypeVar("T")


class Client(Protocol):
    """Who waits for the answer."""

    async def wait_for(self, waiting: Coroutine[None, None, T]) -> T:
        """Wait. Raises ClientGone, having cancelled the waiting, when the client leaves meanwhile."""
        ...


class Patient:
    """A client that never leaves."""

    async def wait_for(self, waiting: Coroutine[None, None, T]) -> T:
        return await waiting


@dataclass(frozen=True, slots=True)
class Request:
    """body: an OpenAI chat completion request. route: the one that the client names; None: its model decides.

    raw: the bytes that the body came as; b"" where it is another.
    """

    tenant: str
    body: Mapping[str, Any]
    client: Client
    route: str | None = None
    directives: Directives = NO_DIRECTIVES
    raw: bytes = b""

    @property
    def wants_stream(self) -> bool:
        return bool(self.body.get("stream"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that an earlier answer may answer."""

    request: Request
    route: Route
    scope: Scope
    question: Question

    @property
    def sharing_key(self) -> Hashable | None:
        """Requests with the same key may share one upstream call; None: this one wants its own."""
        directives = self.request.directives
        return None if directives.no_cache or directives.no_store else (self.scope.key, self.question.key)

    @property
    def may_be_kept(self) -> bool:
        return self.route.mode.writes and not self.request.directives.no_store

    def of(self, client: Client) -> Self:
        return replace(self, request=replace(self.request, client=client))

    def as_first_turn(self) -> Asked | None:
        """The same question with nothing before it, where the route lets such a one be answered like a first."""
        if self.route.context != "chain" or not self.question.earlier or not is_self_contained(self.question):
            return None
        question = replace(self.question, earlier=())
        body = {**self.request.body, "messages": without_earlier(self.request.body["messages"])}
        scope = scope_of(self.request.tenant, self.route.name, body, question, self.route.context)
        return replace(self, request=replace(self.request, body=body, raw=b""), scope=scope, question=question)


@dataclass(frozen=True, slots=True)
class PassingBy:
    """A request that passes the cache by. reason: in a word."""

    request: Request
    route: Route
    reason: str

    def of(self, client: Client) -> Self:
        return replace(self, request=replace(self.request, client=client))


@dataclass(frozen=True, slots=True)
class Recalled:
    """vector: of the question; None where none was made, or none that may be matched."""

    decision: Decision
    vector: NDArray[np.float32] | None = None

    def is_older_than(self, match: Match) -> bool:
        """Whether this was found before the match's answer was written."""
        return (
            not isinstance(self.decision, Stale) or self.decision.match.answer.refreshed_at < match.answer.refreshed_at
        )


def understand(request: Request, routes: Routes) -> Asked | PassingBy:
    """What is asked on which route. Raises UnknownRoute."""
    route = routes.choose(request.route, request.body["model"])
    question = read_question(request.body["messages"])
    if isinstance(question, NoQuestion):
        return PassingBy(request, route, question.reason)
    if reason := bypass_reason(request.body) or route.bypass_reason(question):
        return PassingBy(request, route, reason)
    return Asked(request, route, scope_of(request.tenant, route.name, request.body, question, route.context), question)
