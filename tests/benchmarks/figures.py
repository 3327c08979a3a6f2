"""What benchmarks find: timings side by side, and the ratios that hold on a noisy machine."""

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
class Ratio:
    """One thing against another, measured in turn. median, lowest, highest: over the rounds."""

    what: str
    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, what: str, one: Iterable[float], other: Iterable[float]) -> Ratio:
        """Round by round, so that a machine that gets slower makes both slower and the ratio stays."""
        quotients = [a / b for a, b in zip(one, other, strict=True)]
        return cls(what, median(quotients), min(quotients), max(quotients))


@dataclass(frozen=True, slots=True)
class Findings:
    """What one benchmark found. timings: medians over the rounds, by what was measured."""

    title: str
    timings: Mapping[str, Timing]
    ratios: Sequence[Ratio]

    def show(self, console: Console) -> None:
        timings = Table("measured", title=self.title)
        for heading in ("a second", "p50 ms", "p99 ms"):
            timings.add_column(heading, justify="right")
        for what, timing in self.timings.items():
            timings.add_row(what, f"{timing.per_s:,.0f}", f"{timing.p50_ms:.2f}", f"{timing.p99_ms:.2f}")
        ratios = Table("against each other")
        for heading in ("ratio", "in the rounds"):
            ratios.add_column(heading, justify="right")
        for ratio in self.ratios:
            ratios.add_row(ratio.what, f"{ratio.median:.2f} ×", f"{ratio.lowest:.2f} to {ratio.highest:.2f}")
        console.print(timings, ratios)

    def as_json(self) -> dict[str, Any]:
        return {
            "timings": {what: asdict(timing) for what, timing in self.timings.items()},
            "ratios": {ratio.what: [ratio.median, ratio.lowest, ratio.highest] for ratio in self.ratios},
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
