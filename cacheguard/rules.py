"""The rule in force on each route: the newest that the store holds, else the one of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.matching.confidence import Calibrated
    from cacheguard.matching.decide import Judged, Match
    from cacheguard.question import Question
    from cacheguard.stores.base import StoredRule, StoredRules


class InForce:
    """A route's rule, which may change between two questions. version: 0 for that of the settings.

    read: a rule of its stored body. Raises ValueError for one that this program can't follow.
    by: what made it. since: when it came in force, in Unix seconds.
    """

    def __init__(self, default: Calibrated, read: Callable[[str], Calibrated]) -> None:
        self.rule = self._default = default
        self.version = 0
        self.by = "settings"
        self.since = 0.0
        self._read = read

    @property
    def trusts_exact(self) -> bool:
        return self.rule.trusts_exact

    @property
    def threshold(self) -> float:
        return self.rule.threshold

    def judge(
        self, question: Question, matches: Sequence[Match], now: float, vector: NDArray[np.float32] | None = None
    ) -> list[Judged]:
        return self.rule.judge(question, matches, now, vector)

    def reconsider(self, question: Question, judged: Judged, matches: Sequence[Match], now: float) -> Judged:
        return self.rule.reconsider(question, judged, matches, now)

    def change(self, stored: StoredRule) -> None:
        """Raises ValueError: what was in force stays so."""
        self.rule = self._read(stored.body) if stored.body else self._default
        self.version, self.by, self.since = stored.version, stored.by, stored.created_at


async def follow(store: StoredRules, rules: Mapping[str, InForce]) -> None:
    """Put in force what is new in the store. Raises StoreError, or ValueError for the last rule that can't be followed.

    Where one can't, what was in force on its route stays so.
    """
    unreadable = None
    for stored in await store.rules_in_force():
        rule = rules.get(stored.route)
        if rule is not None and rule.version != stored.version:
            try:
                rule.change(stored)
            except ValueError as exc:
                unreadable = exc
    if unreadable is not None:
        raise unreadable
