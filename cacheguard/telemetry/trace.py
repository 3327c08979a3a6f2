"""The way of one request through the corridor, step by step, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Step(NamedTuple):
    """ms: since the step before."""

    name: str
    ms: float
    facts: Mapping[str, object]


class Trace:
    """Notes steps as they are done. Facts hold no prompt text: a trace may be logged."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = self._last = clock()
        self.steps: list[Step] = []

    def note(self, name: str, **facts: object) -> None:
        now = self._clock()
        self.steps.append(Step(name, (now - self._last) * 1000, facts))
        self._last = now

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._begun
