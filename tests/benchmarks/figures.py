"""What benchmarks find: timings side by side, and the comparisons that hold on a noisy machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import track

from tests.benchmarks.load import Timing

Rounds: TypeAlias = Mapping[str, Sequence[Timing]]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure shall be: this much, or beyond it on the good side."""

    bound: float
    is_least: bool

    def is_met_by(self, figure: float) -> bool:
        return figure >= self.bound if self.is_least else figure <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.bound:,g}"


def at_least(bound: float) -> Goal:
    return Goal(bound, is_least=True)


def at_most(bound: float) -> Goal:
    return Goal(bound, is_least=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing beside another, measured in turn. median, lowest, highest: over the rounds, in `unit`.

    Compared round by round: a machine that gets slower makes both slower, and what one is to the other stays.
    subject: the timing that it is about, beside which it is shown.
    """

    what: str
    unit: str
    median: float
    lowest: float
    highest: float
    subject: str = ""
    goal: Goal | None = None

    @classmethod
    def of(
        cls, what: str, unit: str, figures: Iterable[float], *, subject: str = "", goal: Goal | None = None
    ) -> Comparison:
        """Of what was found in each round."""
        found = list(figures)
        return cls(what, unit, median(found), min(found), max(found), subject, goal)

    @property
    def is_met(self) -> bool | None:
        """None: nothing was set for it."""
        return self.goal.is_met_by(self.median) if self.goal else None


@dataclass(frozen=True, slots=True)
class Findings:
    """What one benchmark found. timings: medians over the rounds, by what was measured."""

    title: str
    timings: Mapping[str, Timing]
    comparisons: Sequence[Comparison]

    @classmethod
    def of(cls, title: str, found: Rounds, comparisons: Sequence[Comparison]) -> Findings:
        return cls(title, {what: middle(timings) for what, timings in found.items()}, comparisons)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "timings": {what: asdict(timing) for what, timing in self.timings.items()},
            "comparisons": {
                one.what: {
                    "unit": one.unit,
                    "rounds": [one.median, one.lowest, one.highest],
                    "subject": one.subject,
                    "goal": str(one.goal) if one.goal else None,
                    "met": one.is_met,
                }
                for one in self.comparisons
            },
        }


def per_s(found: Rounds, what: str) -> list[float]:
    return [timing.per_s for timing in found[what]]


def p50(found: Rounds, what: str) -> list[float]:
    return [timing.p50_ms for timing in found[what]]


def throughput(found: Rounds, one: str, other: str, goal: Goal | None = None) -> Comparison:
    """How many times as many of the one are done in a second."""
    ratios = [a / b for a, b in zip(per_s(found, one), per_s(found, other), strict=True)]
    return Comparison.of(f"{one} / {other}", "×", ratios, subject=one, goal=goal)


def latency(found: Rounds, one: str, goal: Goal | None = None) -> Comparison:
    return Comparison.of(f"{one}: p50", "ms", p50(found, one), subject=one, goal=goal)


def beyond(found: Rounds, one: str, *parts: str, goal: Goal | None = None) -> Comparison:
    """What of the one's p50 is none of its parts'."""
    rest = [whole - sum(its) for whole, *its in zip(*(p50(found, what) for what in (one, *parts)), strict=True)]
    return Comparison.of(f"{one}: p50 beyond {' and '.join(parts)}", "ms", rest, subject=one, goal=goal)


def in_turn(subjects: Mapping[str, Callable[[], Timing]], rounds: int) -> dict[str, list[Timing]]:
    """Everything in every round, forwards and backwards by turns: what drifts, drifts for all.

    A round before the first is not counted: much is loaded when it is first used.
    """
    forwards = list(subjects)
    order = [what for number in range(rounds + 1) for what in (forwards if number % 2 else reversed(forwards))]
    found: dict[str, list[Timing]] = {what: [] for what in subjects}
    for what in track(order, "measuring", console=Console(stderr=True), transient=True):
        found[what].append(subjects[what]())
    return {what: timings[1:] for what, timings in found.items()}


def middle(timings: Sequence[Timing]) -> Timing:
    """Of each figure its median."""
    return Timing(*(median(column) for column in zip(*(asdict(timing).values() for timing in timings), strict=True)))
