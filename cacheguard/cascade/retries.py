"""Retries overall are a share of the traffic, so that a sick provider is not hammered (Google SRE, ch. 22)."""

from __future__ import annotations

SHARE = 0.1
# So many may be saved up, and stand ready at the start: a quiet service may retry too.
SAVED = 10.0


class RetryBudget:
    """A token bucket that every request fills a little and every retry empties by one."""

    def __init__(self, share: float = SHARE, saved: float = SAVED) -> None:
        self._share = share
        self._most = self._tokens = saved

    def earn(self) -> None:
        """A request came."""
        self._tokens = min(self._most, self._tokens + self._share)

    def spend(self) -> bool:
        """Whether one retry may be made; if so it is counted."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
