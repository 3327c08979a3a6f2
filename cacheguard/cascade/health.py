"""How well a tier is: breakers for its calls and, by response schema, for its answers, and keys that are left alone.

Time is an argument.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheguard.cascade.breaker import VOTES, Breaker, Permit, State, Terms, Vote
from cacheguard.cascade.keys import KeyRing, Keys
from cacheguard.failures import FailureClass

if TYPE_CHECKING:
    from random import Random

    from cacheguard.cascade.keys import Blocked
    from cacheguard.failures import AttemptFailed

SCHEMAS = 100
TERMS = Terms()
# In the place of a response schema: a host that lists its models has shown nothing of its answers.
MODELS = "list of models"


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a tier is at one moment.

    blocked: the keys that are left alone. calls: of the last minute, by what they said; content: answers that were no
    use. schemas: how many response schemas have a breaker in this state.
    """

    state: State
    reason: str
    retry_at: float
    blocked: tuple[Blocked, ...]
    calls: Counter[Vote]
    schemas: Counter[State]


class Health:
    """One model of one provider, over all routes. ring: shared by the provider's models."""

    def __init__(self, random: Random, terms: Terms = TERMS, ring: KeyRing | None = None) -> None:
        self.keys = Keys(ring or KeyRing())
        self._random = random
        self._terms = terms
        self._calls = Breaker(terms, random)
        self._answers: OrderedDict[str, Breaker] = OrderedDict()

    def admit(self, schema: str, now: float, *, early: bool = False) -> Leave | None:
        """Leave for a call whose answer shall have this response schema ("": any), or None: leave the tier alone.

        early: for whom there is nobody else to ask, from `look_at` on.
        """
        key = self.keys.take(now)
        if key is None:
            return None
        permits: list[tuple[Breaker, Permit]] = []
        for breaker in (self._calls, self._answering(schema)):
            permit = breaker.admit(now, early=early)
            if permit is None:
                for taken, seat in permits:
                    taken.give_back(seat)
                return None
            permits.append((breaker, permit))
        return Leave(self, key, *permits)

    def admit_probe(self, now: float) -> Leave | None:
        """Leave to ask for the list of models, where calls have failed and may succeed again."""
        return self.admit(MODELS, now) if self._calls.state(now) is State.HALF_OPEN else None

    def has_another_key(self, now: float) -> bool:
        """Whether the tier may be asked again at once, after a failure that was its key's alone."""
        return len(self.keys) > 1 and self.keys.retry_at() <= now

    def heard(self, failure: AttemptFailed, key: int, now: float) -> None:
        """What a failure says beside its vote: how long to leave the key alone that was used."""
        if failure.failure is FailureClass.RATE_LIMIT:
            self.keys.limit(key, failure.failure, failure.retry_after_s or 0.0, now)
        elif failure.failure in {FailureClass.QUOTA, FailureClass.AUTH}:
            self.keys.ring.die(key, failure.failure, now)

    def suspect(self, until: float) -> None:
        """Calls fail elsewhere: until then, one that fails here is enough to leave the tier alone."""
        self._calls.suspect(until)

    def calls(self, now: float) -> State:
        """Of the breaker for its calls alone."""
        return self._calls.state(now)

    def forget(self) -> None:
        """Ask again as if nothing had been: somebody has seen to it."""
        self.keys.forget()
        self._calls = Breaker(self._terms, self._random)
        self._answers.clear()

    def retry_at(self, schema: str) -> float:
        """When a call may be admitted again; in the past where one may be now."""
        return max(self.keys.retry_at(), self._calls.retry_at(), self._answering(schema).retry_at())

    def look_at(self, schema: str) -> float:
        """When a call may be admitted early: now and then in the midst of a break.

        Never before a key may be used: until then its provider has asked to be left alone, or refuses it.
        """
        return max(self.keys.retry_at(), self._calls.look_at(), self._answering(schema).look_at())

    def state(self, now: float) -> tuple[State, str]:
        """Of the tier as a whole, and why."""
        if self.keys.retry_at() > now:
            return State.OPEN, next(self.keys.blocked(now)).reason
        breaker = max(self._calls, self._answering(""), key=Breaker.retry_at)
        return breaker.state(now), breaker.reason

    def vitals(self, now: float) -> Vitals:
        """For those who look after it."""
        state, reason = self.state(now)
        calls = self._calls.votes(now)
        useless = sum(breaker.votes(now)[Vote.CONTENT] for breaker in self._answers.values())
        return Vitals(
            state,
            reason,
            self.retry_at(""),
            blocked=tuple(self.keys.blocked(now)),
            # To the breaker of calls a useless answer is a call that went well.
            calls=calls + Counter({Vote.CONTENT: useless}) - Counter({Vote.WELL: useless}),
            schemas=Counter(breaker.state(now) for breaker in self._answers.values()),
        )

    def _answering(self, schema: str) -> Breaker:
        """The breaker of a schema. Clients choose schemas, so only those used last are remembered."""
        breaker = self._answers.get(schema)
        if breaker is None:
            breaker = self._answers[schema] = Breaker(self._terms, self._random)
        self._answers.move_to_end(schema)
        if len(self._answers) > SCHEMAS:
            self._answers.popitem(last=False)
        return breaker


class Leave:
    """Leave to make one call. Whoever has it says how the call ended; what is said first counts.

    key: the one to make it with.
    """

    def __init__(self, health: Health, key: int, call: tuple[Breaker, Permit], answer: tuple[Breaker, Permit]) -> None:
        self.key = key
        self._health = health
        self._call = call
        self._answer = answer
        self._is_over = False

    def ended(self, failure: AttemptFailed | None, now: float) -> None:
        """failure: None where the call gave an answer."""
        if self._is_over:
            return
        self._is_over = True
        match _vote(failure):
            case None:
                _give_back(self._call, self._answer)
            case Vote.TRANSPORT | Vote.SLOW as vote:
                _record(self._call, vote, now)
                _give_back(self._answer)
            case Vote.WELL | Vote.CONTENT as vote:
                _record(self._call, Vote.WELL, now)
                _record(self._answer, vote, now)
        if failure is not None:
            self._health.heard(failure, self.key, now)

    def abandoned(self) -> None:
        """Nobody waited for the end, or it says nothing."""
        if not self._is_over:
            self._is_over = True
            _give_back(self._call, self._answer)


def _record(seat: tuple[Breaker, Permit], vote: Vote, now: float) -> None:
    breaker, permit = seat
    breaker.record(permit, vote, now)


def _give_back(*seats: tuple[Breaker, Permit]) -> None:
    for breaker, permit in seats:
        breaker.give_back(permit)


def _vote(failure: AttemptFailed | None) -> Vote | None:
    if failure is None:
        return Vote.WELL
    if failure.failure is FailureClass.TRUNCATED and failure.completion is not None:
        return Vote.WELL  # cut at the model's length limit, with the format's own end: the host did its work
    return VOTES.get(failure.failure)
