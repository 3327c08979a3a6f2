"""What benchmarks find: timings side by side, and the comparisons that hold on a noisy machine."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.benchmarks.load import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_PACKAGES = ("uvicorn", "uvloop", "fastapi", "onnxruntime", "tokenizers", "faiss-cpu", "sentence-transformers", "torch")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing beside another, measured in turn. median, lowest, highest: over the rounds, in `unit`.

    Compared round by round: a machine that gets slower makes both slower, and what one is to the other stays.
    """

    what: str
    unit: str
    median: float
    lowest: float
    highest: float

    @classmethod
    def ratio(cls, what: str, one: Iterable[float], other: Iterable[float]) -> Comparison:
        return cls._of(what, "×", [a / b for a, b in zip(one, other, strict=True)])

    @classmethod
    def rest(cls, what: str, whole_ms: Iterable[float], *parts_ms: Iterable[float]) -> Comparison:
        """What the parts leave of the whole."""
        return cls._of(what, "ms", [whole - sum(parts) for whole, *parts in zip(whole_ms, *parts_ms, strict=True)])

    @classmethod
    def _of(cls, what: str, unit: str, figures: list[float]) -> Comparison:
        return cls(what, unit, median(figures), min(figures), max(figures))


@dataclass(frozen=True, slots=True)
class Findings:
    """What one benchmark found. timings: medians over the rounds, by what was measured."""

    title: str
    timings: Mapping[str, Timing]
    comparisons: Sequence[Comparison]

    def show(self, console: Console) -> None:
        timings = Table("measured", title=self.title)
        for heading in ("a second", "p50 ms", "p99 ms"):
            timings.add_column(heading, justify="right")
        for what, timing in self.timings.items():
            timings.add_row(what, f"{timing.per_s:,.0f}", f"{timing.p50_ms:.2f}", f"{timing.p99_ms:.2f}")
        beside = Table("beside each other")
        for heading in ("median", "in the rounds"):
            beside.add_column(heading, justify="right")
        for found in self.comparisons:
            spread = f"{found.lowest:.2f} to {found.highest:.2f}"
            beside.add_row(found.what, f"{found.median:.2f} {found.unit}", spread)
        console.print(timings, beside)

    def as_json(self) -> dict[str, Any]:
        return {
            "timings": {what: asdict(timing) for what, timing in self.timings.items()},
            "comparisons": {
                found.what: {"unit": found.unit, "rounds": [found.median, found.lowest, found.highest]}
                for found in self.comparisons
            },
        }


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


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "load before": load,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
