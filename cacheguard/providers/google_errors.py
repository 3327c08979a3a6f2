"""Errors as Google's services say them: google.rpc.Status in JSON.

Source: ai.google.dev: Troubleshooting, Rate limits, Billing; google.rpc error details (RetryInfo, QuotaFailure,
ErrorInfo).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from cacheguard.failures import FailureClass
from cacheguard.providers.calling import ErrorReply, Verdict, class_of_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheguard.providers.base import Body

_CLASS_OF_WORD: Mapping[str, FailureClass] = {
    "INVALID_ARGUMENT": FailureClass.BAD_REQUEST,
    "OUT_OF_RANGE": FailureClass.BAD_REQUEST,
    "NOT_FOUND": FailureClass.BAD_REQUEST,
    # The key's country or account: no billing, a region that isn't served.
    "FAILED_PRECONDITION": FailureClass.AUTH,
    "PERMISSION_DENIED": FailureClass.AUTH,
    "UNAUTHENTICATED": FailureClass.AUTH,
    "RESOURCE_EXHAUSTED": FailureClass.RATE_LIMIT,
    "UNAVAILABLE": FailureClass.TRANSPORT,
    "DEADLINE_EXCEEDED": FailureClass.TRANSPORT,
    "INTERNAL": FailureClass.TRANSPORT,
}
_BAD_KEY = re.compile(r"API key (not valid|not found|expired)", re.IGNORECASE)
_TOO_LONG = re.compile(r"token count .*exceeds|maximum number of tokens", re.IGNORECASE)
# Not «billing»: every rate limit says to check plan and billing.
_SPENT = re.compile(r"prepayment credits|spend(ing)? (cap|limit)", re.IGNORECASE)


def classify(reply: ErrorReply) -> Verdict:
    details = [detail for detail in reply.error.get("details") or () if isinstance(detail, dict)]
    is_unknown = reply.status == HTTPStatus.NOT_FOUND or reply.word("status") == "NOT_FOUND"
    delay_s = _retry_delay_s(details)
    hint_s = reply.hint_s if delay_s is None else delay_s
    return Verdict(_class_of(reply, details), hint_s, unknown_model=is_unknown)


def _class_of(reply: ErrorReply, details: list[Body]) -> FailureClass:
    """A wrong key, a prompt that is too long and a quota that is spent come under the status of other errors."""
    failure = _CLASS_OF_WORD.get(reply.word("status")) or class_of_status(reply.status)
    match failure:
        case FailureClass.BAD_REQUEST if _BAD_KEY.search(reply.message) or _reasons(details) & {"API_KEY_INVALID"}:
            return FailureClass.AUTH
        case FailureClass.BAD_REQUEST if _TOO_LONG.search(reply.message):
            return FailureClass.CONTEXT_LENGTH
        case FailureClass.RATE_LIMIT if _SPENT.search(reply.message) or any("PerDay" in at for at in _quotas(details)):
            return FailureClass.QUOTA
        case _:
            return failure


def _reasons(details: list[Body]) -> set[object]:
    return {detail.get("reason") for detail in details}


def _quotas(details: list[Body]) -> list[str]:
    return [str(violation.get("quotaId")) for detail in details for violation in detail.get("violations") or ()]


def _retry_delay_s(details: list[Body]) -> float | None:
    """RetryInfo's delay, a protobuf duration in JSON: «7s», «1.5s»."""
    for detail in details:
        if delay := re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay"))):
            return float(delay[1])
    return None
