"""What a cascade comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cacheguard.errors import CacheGuardError, RequestError, TiersFailed
from cacheguard.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cacheguard.cascade.stream import OpenStream
    from cacheguard.cascade.tier import Tier
    from cacheguard.failures import AttemptFailed
    from cacheguard.providers.base import Completion


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one tier. failure: None where it gave an answer, or was abandoned before its end.

    cost_usd: by the provider's count of tokens, else by an estimate. is_check: asked by a validator, not for an answer.
    """

    tier: str
    model: str
    seconds: float
    failure: FailureClass | None = None
    status: int | None = None
    cost_usd: float = 0.0
    is_abandoned: bool = False
    is_check: bool = False

    @property
    def outcome(self) -> str:
        """In a word."""
        return "abandoned" if self.is_abandoned else self.failure or "answered"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A tier that was not asked, and why."""

    tier: str
    why: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried, in the order in which it was begun."""

    attempts: tuple[Attempt, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def cost_usd(self) -> float:
        return sum(attempt.cost_usd for attempt in self.attempts)

    @property
    def calls(self) -> int:
        """For an answer; checks of it aside."""
        return sum(not attempt.is_check for attempt in self.attempts)


NOTHING = Tried()


@dataclass(frozen=True, slots=True)
class Answered:
    """A tier answered. may_be_kept: False where it is the best that could be had, to be given but never kept."""

    completion: Completion
    tier: Tier
    tried: Tried
    may_be_kept: bool = True


@dataclass(frozen=True, slots=True)
class Streaming:
    """A tier has begun to answer; from here on no other takes over.

    answered: what it came to, to be asked for when the stream has ended. so_far: what was tried.
    """

    stream: OpenStream
    tier: Tier
    answered: Callable[[], Awaitable[Answered]]
    so_far: Callable[[], Tried]

    @property
    def tried(self) -> Tried:
        """Now; after the stream's end with what it cost."""
        return self.so_far()


@dataclass(frozen=True, slots=True)
class Failed:
    """No tier gave an answer.

    last: what ended it; None where no tier was asked, or what it was asked was not what the client said.
    retry_after_s: when a tier may be back. no_money: what is to be said where none could be paid.
    """

    tried: Tried
    last: AttemptFailed | None
    retry_after_s: float
    no_money: CacheGuardError | None = None

    def error(self) -> CacheGuardError:
        """What the client is told, and what was tried before."""
        return self._said().after(self.tried)

    def _said(self) -> CacheGuardError:
        """The client's own fault in the provider's words, anything else by tiers and classes alone."""
        if self.last is not None:
            match self.last.failure:
                case FailureClass.CONTEXT_LENGTH:
                    return RequestError(str(self.last), param="messages", code="context_length_exceeded")
                case FailureClass.CONTENT_FILTER:
                    return RequestError(str(self.last), param="messages", code="content_filter")
                case FailureClass.BAD_REQUEST if not self.last.unknown_model:
                    return RequestError(str(self.last))
        if self.no_money is not None:
            return self.no_money
        tried = [f"{attempt.tier}: {attempt.outcome}" for attempt in self.tried.attempts if not attempt.is_check]
        tried += [f"{passed.tier}: {passed.why}" for passed in self.tried.passed_over]
        return TiersFailed(f"no tier could answer ({', '.join(tried) or 'there is none'})", self.retry_after_s)


Outcome: TypeAlias = Answered | Streaming | Failed
