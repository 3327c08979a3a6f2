"""One deadline for a whole request, passed down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """at: seconds on the caller's monotonic clock."""

    at: float

    def left_s(self, now: float) -> float:
        return max(0.0, self.at - now)

    def attempt_s(self, timeout_s: float, reserve_s: float, now: float) -> float:
        """How long an attempt may take: its tier's time-out, or what is left but for a reserve for the last resort."""
        return max(0.0, min(timeout_s, self.left_s(now) - reserve_s))
