"""The curve of a tuning as a picture. matplotlib is an extra: only this file imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

if TYPE_CHECKING:
    from pathlib import Path

    from cacheguard.tuning.report import Report

_INCHES: Final = (7.5, 4.5)
# Wrong hits are drawn up to so many promises high: what lies above, nobody chooses.
_HIGH: Final = 4


def draw(report: Report, path: Path) -> None:
    """Write it in the format that the file's ending names. Raises ValueError for an unknown one."""
    figure = Figure(_INCHES, layout="constrained")  # not pyplot, which wants a screen
    axes = figure.add_subplot()
    hit_rates = [row.hit_rate for row in report.curve]
    axes.plot(hit_rates, [row.wrong_rate for row in report.curve], label="wrong hits among the labels")
    bound = f"at most, with {report.confidence:.0%} confidence"
    axes.plot(hit_rates, [row.bound for row in report.curve], linestyle="--", label=bound)
    axes.axhline(report.max_wrong, color="tab:red", linewidth=1, label=f"promise: {report.max_wrong:.2%}")
    if report.chosen:
        axes.plot(report.chosen.hit_rate, report.chosen.bound, "o", color="tab:red", label="chosen")
    axes.set(
        title=f"Route {report.route}: {report.labels:,} labelled {report.kind}",
        xlabel=f"served, of all labelled {report.kind}",
        ylabel="wrong, of those served",
        xlim=(0, 1),
        ylim=(0, min(1, _HIGH * report.max_wrong)),
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend()
    figure.savefig(path)
