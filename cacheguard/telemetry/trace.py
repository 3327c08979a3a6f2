"""The way of one request through the corridor: its steps, the tiers that were asked, and what it came to."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from cacheguard.cascade.outcome import NOTHING
from cacheguard.errors import CacheGuardError
from cacheguard.matching.decide import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cacheguard.matching.decide import Decision
    from cacheguard.reply import CacheStatus, Reply


class Step(NamedTuple):
    """ms: since the step before. tell: its facts, which are put into words when someone reads them."""

    name: str
    ms: float
    tell: Callable[[], Mapping[str, object]]

    @property
    def facts(self) -> Mapping[str, object]:
        return self.tell()


class Trace:
    """Notes steps as they are done, and at the end what they came to. It holds no prompt's and no answer's text.

    at: Unix seconds of the beginning. seconds: that it took; None while it is under way. error: its code, or "".
    """

    def __init__(self, clock: Callable[[], float], *, at: float = 0.0, request_id: str = "") -> None:
        self._clock = clock
        self._begun = self._last = clock()
        self.at = at
        self.request_id = request_id
        self.steps: list[Step] = []
        self.route = ""
        self.status: CacheStatus | None = None
        self.completion_id = ""
        self.tier = ""
        self.entry = ""
        self.similarity: float | None = None
        self.confidence: float | None = None
        self.tried = NOTHING
        self.cost_usd = 0.0
        self.error = ""
        self.seconds: float | None = None

    def note(self, name: str, **facts: object) -> None:
        """A step is done. Facts hold no prompt text: a trace may be shown to whoever runs the service."""
        self._step(name, lambda: facts)

    def decided(self, decision: Decision) -> None:
        """It is decided whether an earlier answer is given."""
        self._step("decide", partial(explain, decision))

    def _step(self, name: str, tell: Callable[[], Mapping[str, object]]) -> None:
        now = self._clock()
        self.steps.append(Step(name, (now - self._last) * 1000, tell))
        self._last = now

    def unserved(self, route: str, status: CacheStatus) -> None:
        """The cache gives nothing. status: why."""
        self.route = route
        self.status = status

    def replied(self, reply: Reply) -> None:
        """There is a reply. For a stream that is said twice: when it begins, and with its whole story at its end."""
        self.route = reply.route
        self.status = reply.status
        self.completion_id = reply.completion_id
        self.tier = reply.tier
        self.entry = reply.entry
        self.similarity = reply.similarity
        self.confidence = reply.confidence
        self.tried = reply.tried
        self.cost_usd = reply.cost_usd

    def failed(self, error: BaseException) -> None:
        """There is no reply, or its stream broke off."""
        self.error = CacheGuardError.type
        if isinstance(error, CacheGuardError):
            self.error = error.code or error.type
            self.tried = error.tried or self.tried
        is_paid_by_another = self.status is not None and self.status.collapsed
        self.cost_usd = 0.0 if is_paid_by_another else self.tried.cost_usd
        self.end()

    def end(self) -> None:
        """The client has all that it will get."""
        self.seconds = self._clock() - self._begun

    def is_known_as(self, said_id: str) -> bool:
        return bool(said_id) and said_id in {self.request_id, self.completion_id}

    @property
    def outcome(self) -> str:
        """In a word: an error's code, the kind of hit, or why a tier was asked."""
        if self.error or self.status is None:
            return self.error
        if self.status.hit:
            return f"hit-{self.status.detail}"
        return "collapsed" if self.status.collapsed else self.status.forwarded

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.request_id,
            "completion_id": self.completion_id or None,
            "time": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "ms": None if self.seconds is None else round(self.seconds * 1000, 3),
            "route": self.route or None,
            "outcome": self.outcome or None,
            "cache_status": str(self.status) if self.status else None,
            "tier": self.tier or None,
            "entry": self.entry or None,
            "similarity": None if self.similarity is None else round(self.similarity, 4),
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "cost_usd": round(self.cost_usd, 6),
            "steps": [{"name": step.name, "ms": round(step.ms, 3), "facts": step.facts} for step in self.steps],
            "attempts": [
                {
                    "tier": attempt.tier,
                    "model": attempt.model,
                    "outcome": attempt.outcome,
                    "status": attempt.status,
                    "seconds": round(attempt.seconds, 3),
                    "cost_usd": round(attempt.cost_usd, 6),
                }
                for attempt in self.tried.attempts
            ],
            "passed_over": [{"tier": passed.tier, "why": passed.why} for passed in self.tried.passed_over],
        }


class Traces:
    """The newest traces, in this process's memory; what is under way is among them."""

    def __init__(self, kept: int = 1000) -> None:
        self._kept: deque[Trace] = deque(maxlen=kept)

    def keep(self, trace: Trace) -> None:
        self._kept.append(trace)

    def newest(self, limit: int) -> Iterator[Trace]:
        """Newest first."""
        return islice(reversed(self._kept), limit)

    def find(self, said_id: str) -> Trace | None:
        """By the request's id or its completion's; the newest, where clients said one id twice."""
        return next((trace for trace in reversed(self._kept) if trace.is_known_as(said_id)), None)
