"""The one table of all benchmarks, beside their goals and beside an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.benchmarks.figures import Comparison, Findings

_MET = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
# Where nobody looks at a terminal, as in a log.
WIDTH = 180
_NUMBERS = ("a second", "p50 ms", "p99 ms")


def table(found: Mapping[str, Findings], before: Mapping[str, Any] | None = None) -> Table:
    """Everything that was found, by benchmark. before: an earlier run's JSON, whose figures stand beside."""
    drawn = Table("measured", title_justify="left")
    for heading in _NUMBERS:
        drawn.add_column(heading, justify="right")
    drawn.add_column("beside")
    for heading in ("found", "in the rounds", "goal"):
        drawn.add_column(heading, justify="right")
    drawn.add_column("")
    if before is not None:
        drawn.add_column("before", justify="right")
    for name, findings in found.items():
        drawn.add_section()
        drawn.add_row(f"[bold]{name}[/]")
        for row in _rows(findings, (before or {}).get(name, {})):
            drawn.add_row(*row[: len(drawn.columns)])
    return drawn


def notes(found: Mapping[str, Findings]) -> str:
    """What each was measured with, and how many goals were met."""
    said = [one.is_met for findings in found.values() for one in findings.comparisons if one.goal]
    return "\n".join([*(findings.title for findings in found.values()), f"{said.count(True)} of {len(said)} goals met"])


def _rows(findings: Findings, before: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A timing's comparisons stand beside and below it; those that are about none come last."""
    for what, timing in findings.timings.items():
        numbers = (f"{timing.per_s:,.0f}", f"{timing.p50_ms:.2f}", f"{timing.p99_ms:.2f}")
        its = [one for one in findings.comparisons if one.subject == what]
        if not its:
            yield (what, *numbers, "", "", "", "", "", _earlier_timing(before, what))
        for number, one in enumerate(its):
            begin = (what, *numbers) if number == 0 else ("", "", "", "")
            yield (*begin, *_cells(one), _earlier_comparison(before, one))
    for one in findings.comparisons:
        if one.subject not in findings.timings:
            yield (one.what, "", "", "", *_cells(one), _earlier_comparison(before, one))


def _cells(one: Comparison) -> tuple[str, ...]:
    beside = one.what.removeprefix(one.subject).lstrip(" :") if one.subject else ""
    spread = "" if one.lowest == one.highest else f"{figure(one.lowest)} to {figure(one.highest)}"
    goal = f"{one.goal} {one.unit}" if one.goal else ""
    return (beside, f"{figure(one.median)} {one.unit}", spread, goal, _MET[one.is_met])


def _earlier_timing(before: Mapping[str, Any], what: str) -> str:
    timing = before.get("timings", {}).get(what)
    return f"{timing['per_s']:,.0f} a second" if timing else ""


def _earlier_comparison(before: Mapping[str, Any], one: Comparison) -> str:
    earlier = before.get("comparisons", {}).get(one.what)
    return f"{figure(earlier['rounds'][0])} {earlier['unit']}" if earlier else ""


def figure(value: float) -> str:
    """Three digits that say something; whole numbers beyond."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
