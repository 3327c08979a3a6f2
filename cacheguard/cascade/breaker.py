"""A circuit breaker: a sick tier is left alone, and asked carefully until it is well again.

Time is an argument. Counting is by share over a sliding minute, as in resilience4j and Polly v8, and where a minute
sees too few calls, by failures in a row, as in Envoy. Half-open lets one probe through at a time, two successes close
it, a failure doubles the break. Who has nobody else to ask may look now and then before a break is over.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

from cacheguard.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Vote(StrEnum):
    """What a call says of its tier's health."""

    WELL = "well"
    TRANSPORT = "transport"
    SLOW = "slow"
    CONTENT = "content"


# Classes that are not here say nothing of health: a 429 is a full house, a refusal an answer, a 400 the caller's fault.
VOTES: Mapping[FailureClass, Vote] = {
    FailureClass.TRANSPORT: Vote.TRANSPORT,
    FailureClass.SLOW: Vote.SLOW,
    FailureClass.SCHEMA: Vote.CONTENT,
    FailureClass.EMPTY: Vote.CONTENT,
    FailureClass.TRUNCATED: Vote.CONTENT,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """When it opens and for how long. shares: of the window's calls; seconds in `_s`."""

    window_s: float = 60.0
    minimum_calls: int = 5
    transport_share: float = 0.5
    slow_share: float = 0.8
    content_share: float = 0.5
    first_break_s: float = 5.0
    longest_break_s: float = 300.0
    successes_to_close: int = 2


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. is_probe: the one call that a half-open breaker lets through."""

    is_probe: bool


class Breaker:
    """A call asks to be admitted, and whoever got a permit tells how the call went.

    `now` is seconds on a clock that never goes back.
    """

    def __init__(self, terms: Terms, random: Random) -> None:
        self._terms = terms
        self._random = random
        self._window = _Window(terms.window_s)
        self._failed_in_a_row = 0
        self._break_s = 0.0
        self._open_until: float | None = None
        self._successes = 0
        self._probing = False
        self._looked_at = 0.0
        self._suspected_until = 0.0
        self.reason = ""

    def state(self, now: float) -> State:
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if now < self._open_until else State.HALF_OPEN

    def admit(self, now: float, *, early: bool = False) -> Permit | None:
        """A permit, or None: leave the tier alone until `retry_at`; early: until `look_at`."""
        if self._open_until is None:
            return Permit(is_probe=False)
        if self._probing or now < (self.look_at() if early else self._open_until):
            return None
        self._probing, self._looked_at = True, now
        return Permit(is_probe=True)

    def suspect(self, until: float) -> None:
        """Elsewhere it fails: until then, one failure here is enough."""
        self._suspected_until = max(self._suspected_until, until)

    def retry_at(self) -> float:
        """When a call may be admitted again; in the past where one may be now."""
        return self._open_until or 0.0

    def look_at(self) -> float:
        """When a call may be admitted for whom there is nobody else to ask, be the break over or not."""
        if self._open_until is None:
            return 0.0
        return inf if self._probing else min(self._open_until, self._looked_at + self._terms.first_break_s)

    def votes(self, now: float) -> Counter[Vote]:
        """The window's calls, by what they said."""
        return Counter(self._window.votes(now))

    def record(self, permit: Permit, vote: Vote, now: float) -> None:
        """How an admitted call went."""
        self.give_back(permit)
        if permit.is_probe:
            self._record_probe(vote, now)
        elif self._open_until is None:
            self._window.add(vote, now)
            self._failed_in_a_row = 0 if vote is Vote.WELL else self._failed_in_a_row + 1
            if sick := self._sick(now):
                self._open(sick, self._terms.first_break_s, now)

    def give_back(self, permit: Permit) -> None:
        """The call was not made, or says nothing of the tier's health."""
        if permit.is_probe:
            self._probing = False

    def _record_probe(self, vote: Vote, now: float) -> None:
        is_early = self.state(now) is State.OPEN
        if vote is not Vote.WELL:
            if not is_early:  # a break is no longer for having been looked into
                self._open(f"probe: {vote}", self._break_s * 2, now)
            return
        if is_early:
            self._open_until = now
        self._successes += 1
        if self._successes >= self._terms.successes_to_close:
            self._open_until, self._break_s, self.reason = None, 0.0, ""
            self._failed_in_a_row = 0
            self._window.clear()

    def _open(self, reason: str, break_s: float, now: float) -> None:
        self._break_s = min(break_s, self._terms.longest_break_s)
        # Jitter: replicas that saw the same fault at once must not all probe at once.
        self._open_until = now + self._break_s * self._random.uniform(0.8, 1.2)
        self._looked_at = now
        self._successes = 0
        self.reason = reason

    def _sick(self, now: float) -> str | None:
        if self._failed_in_a_row and now < self._suspected_until:
            return "a call failed, as elsewhere"
        votes = self._window.votes(now)
        calls = votes.total()
        if calls < self._terms.minimum_calls:
            # Else, at a call a minute, each of 190 waited for a slow tier all over again; so 38 did.
            is_sick = self._failed_in_a_row >= self._terms.minimum_calls
            return f"{self._failed_in_a_row} calls in a row" if is_sick else None
        limits = {
            Vote.TRANSPORT: self._terms.transport_share,
            Vote.SLOW: self._terms.slow_share,
            Vote.CONTENT: self._terms.content_share,
        }
        for vote, share in limits.items():
            if votes[vote] >= share * calls:
                return f"{vote}: {votes[vote]} of {calls} calls"
        return None


class _Window:
    """Votes of the last `span_s` seconds, in buckets of one."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._buckets: deque[tuple[int, Counter[Vote]]] = deque()
        self._sum: Counter[Vote] = Counter()

    def add(self, vote: Vote, now: float) -> None:
        if not self._buckets or self._buckets[-1][0] != int(now):
            self._buckets.append((int(now), Counter()))
        self._buckets[-1][1][vote] += 1
        self._sum[vote] += 1

    def votes(self, now: float) -> Counter[Vote]:
        while self._buckets and self._buckets[0][0] <= now - self._span_s:
            self._sum -= self._buckets.popleft()[1]
        return self._sum

    def clear(self) -> None:
        self._buckets.clear()
        self._sum.clear()
