"""What a cascade comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cacheguard.errors import CacheGuardError, RequestError, TiersFailed
from cacheguard.failures import FailureClass

if TYPE_CHECKING:
    from cacheguard.cascade.stream import OpenStream
    from cacheguard.cascade.tier import Tier
    from cacheguard.failures import AttemptFailed
    from cacheguard.providers.base import Completion


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one tier. failure: None where it gave the answer. cost_usd: as far as the provider told usage."""

    tier: str
    model: str
    seconds: float
    failure: FailureClass | None = None
    status: int | None = None
    cost_usd: float = 0.0

    @property
    def outcome(self) -> str:
        """In a word."""
        return self.failure or "answered"


@dataclass(frozen=True, slots=True)
class Answered:
    """A tier answered. validated: False where it is the best that could be had, to be given but never kept.

    left_alone, here as below: tiers that were not asked, since their breaker is open or they asked to be left alone.
    """

    completion: Completion
    tier: Tier
    attempts: tuple[Attempt, ...]
    validated: bool = True
    left_alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Streaming:
    """A tier has begun to answer; from here on no other takes over."""

    stream: OpenStream
    tier: Tier
    attempts: tuple[Attempt, ...]
    left_alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """No tier gave an answer. last: what ended it. retry_after_s: when a tier may be back."""

    attempts: tuple[Attempt, ...]
    last: AttemptFailed
    retry_after_s: float
    left_alone: tuple[str, ...] = ()

    def error(self) -> CacheGuardError:
        """What the client is told, and what was tried before."""
        return self._said().after(self.attempts, self.left_alone)

    def _said(self) -> CacheGuardError:
        """The client's own fault in the provider's words, anything else by tiers and classes alone."""
        match self.last.failure:
            case FailureClass.CONTEXT_LENGTH:
                return RequestError(str(self.last), param="messages", code="context_length_exceeded")
            case FailureClass.CONTENT_FILTER:
                return RequestError(str(self.last), param="messages", code="content_filter")
            case FailureClass.BAD_REQUEST if not self.last.unknown_model:
                return RequestError(str(self.last))
        tried = [f"{attempt.tier}: {attempt.failure}" for attempt in self.attempts]
        tried += [f"{tier}: left alone to recover" for tier in self.left_alone]
        return TiersFailed(f"no tier could answer ({', '.join(tried) or 'none had time'})", self.retry_after_s)


Outcome: TypeAlias = Answered | Streaming | Failed
