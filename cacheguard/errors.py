"""Every error that CacheGuard raises on purpose.

CacheGuardError
├── RequestError              the caller's fault, 400 unless said otherwise
│   ├── BodyTooLarge          413
│   ├── Unauthorised          401
│   ├── NoAdmin               403
│   ├── UnknownRoute          404
│   ├── UnknownCompletion     404
│   ├── UnknownTier           404
│   ├── UnknownTrace          404
│   ├── UnknownEntry          404
│   ├── UnknownCase           404, nothing of this id waits for review
│   ├── CostBudgetExceeded    402, a call for it may cost more than one request is allowed to
│   ├── NotInCache            504, only-if-cached and nothing fits
│   └── ClientGone            499, nobody reads it any more
├── Overloaded                503, we are full; retry soon
├── SpendingLimitReached      429, its tenant or route has spent what it may
├── TiersFailed               503, every tier failed and nothing else may be served
├── StreamBroken              502, a tier's stream broke off after the client had seen its beginning
├── ConfigError               a setting is wrong; stops the start, exit 2
├── FileUnusable              a file that a command was given can't be read as what it should be
└── StoreError                the cache's fault; never reaches a client whose tiers are up
    ├── StoreUnusable         can't be read or written
    │   └── StoreAway         nobody answers there now; it is looked for, and comes back by itself
    ├── RuleChanged           another process has put a rule in force meanwhile
    └── ModelMismatch         its vectors were made by another model
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from cacheguard.cascade.outcome import Tried


class CacheGuardError(Exception):
    """Base of all; `status` is the HTTP status that it maps to, `code` OpenAI's word for it.

    tried: what was asked before it came to this; None where it came to no tier.
    """

    status = 500
    type = "server_error"
    code: str | None = None
    tried: Tried | None = None

    def after(self, tried: Tried) -> Self:
        """This error, with what was tried."""
        self.tried = tried
        return self


class RequestError(CacheGuardError):
    """The caller can mend it. param: the field at fault, as in OpenAI's error bodies."""

    status = 400
    type = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code or self.code


class BodyTooLarge(RequestError):
    status = 413
    code = "body_too_large"


class Unauthorised(RequestError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class NoAdmin(RequestError):
    status = 403
    type = "permission_error"
    code = "no_admin"


class UnknownRoute(RequestError):
    status = 404
    code = "route_not_found"


class UnknownCompletion(RequestError):
    status = 404
    code = "completion_not_found"


class UnknownTier(RequestError):
    status = 404
    code = "tier_not_found"


class UnknownTrace(RequestError):
    status = 404
    code = "trace_not_found"


class UnknownEntry(RequestError):
    status = 404
    code = "entry_not_found"


class UnknownCase(RequestError):
    status = 404
    code = "case_not_found"


class CostBudgetExceeded(RequestError):
    """which: the limit in the way, which no waiting removes."""

    # Not 429, which clients send again. RFC 9110, 15.5.3 leaves 402 open; hosts answer it where money is short.
    status = 402
    code = "cost_budget_exceeded"

    def __init__(self, which: str) -> None:
        super().__init__(f"{which} leaves no room for a call: shorten the request, or ask for fewer tokens")


class ClientGone(RequestError):
    """The client left before its answer came; the status is nginx's, for logs."""

    status = 499
    code = "client_gone"


class NotInCache(RequestError):
    """RFC 9111, 5.2.1.7: `only-if-cached` and no stored answer fits."""

    status = 504
    code = "not_in_cache"


class Overloaded(CacheGuardError):
    """retry_after_s: when asking again makes sense."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SpendingLimitReached(Overloaded):
    """which: the limit in the way. retry_after_s: when its window ends. Status and words are OpenAI's."""

    status = 429
    type = code = "insufficient_quota"

    def __init__(self, which: str, retry_after_s: float) -> None:
        super().__init__(f"{which} leaves no room for another call: ask again when it begins anew", retry_after_s)


class TiersFailed(Overloaded):
    code = "all_tiers_failed"


class StreamBroken(CacheGuardError):
    """What the client has seen is no whole answer."""

    status = 502
    code = "stream_broken"


class ConfigError(CacheGuardError):
    """Names the key, the line and the way out."""

    code = "configuration"


class FileUnusable(CacheGuardError):
    """Names the file, and the line where one is at fault."""

    code = "file"


class StoreError(CacheGuardError):
    code = "store"


class StoreUnusable(StoreError):
    """The place can't be read or written: the message names it and the way out."""


class StoreAway(StoreUnusable):
    """Told at once, without asking: others found out before, and look until it is back."""


class RuleChanged(StoreError):
    """What was decided about a route's rule was decided about an earlier one."""


class ModelMismatch(StoreError):
    """The store's vectors lie in another model's space: the message names `cacheguard entries re-embed`."""
