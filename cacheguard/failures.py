"""The classes of failure, and the one table that says what follows from each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Completion


class FailureClass(StrEnum):
    """Why an attempt gave no answer that may be given."""

    TRANSPORT = "transport"
    SLOW = "slow"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    AUTH = "auth"
    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    SCHEMA = "schema"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Policy:
    """What follows: ask the same tier once more, go on to the next, or give what came when nothing better does."""

    again: bool
    next_tier: bool
    giveable: bool = False


POLICIES: Mapping[FailureClass, Policy] = {
    FailureClass.TRANSPORT: Policy(again=True, next_tier=True),
    FailureClass.SLOW: Policy(again=False, next_tier=True),
    FailureClass.RATE_LIMIT: Policy(again=True, next_tier=True),  # only when the wait fits the deadline
    FailureClass.QUOTA: Policy(again=False, next_tier=True),
    FailureClass.AUTH: Policy(again=False, next_tier=True),
    FailureClass.BAD_REQUEST: Policy(again=False, next_tier=False),
    FailureClass.CONTEXT_LENGTH: Policy(again=False, next_tier=True),
    FailureClass.CONTENT_FILTER: Policy(again=False, next_tier=False, giveable=True),
    FailureClass.REFUSAL: Policy(again=False, next_tier=True, giveable=True),
    FailureClass.SCHEMA: Policy(again=True, next_tier=True),
    FailureClass.EMPTY: Policy(again=False, next_tier=True),
    FailureClass.TRUNCATED: Policy(again=True, next_tier=True, giveable=True),  # with more room, where that may help
    FailureClass.REJECTED: Policy(again=False, next_tier=True),
}


class AttemptFailed(Exception):
    """One attempt at one tier failed.

    status: the provider's HTTP status. retry_after_s: its hint. completion: what came, where something did.
    unchecked: nothing is known against it.
    The message is the provider's own: it may go to the caller whose request was at fault, never into a log.
    """

    def __init__(
        self,
        failure: FailureClass,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        unknown_model: bool = False,
        completion: Completion | None = None,
        unchecked: bool = False,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.retry_after_s = retry_after_s
        self.unknown_model = unknown_model
        self.completion = completion
        self.unchecked = unchecked
