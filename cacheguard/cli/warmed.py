"""What came of a warming, for programs and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.warming.report import Report

# Examples of each kind that are printed; --report holds more.
SHOWN: Final = 5
_HOUR_S: Final = 3600


def figures(report: Report) -> dict[str, Any]:
    """The report as JSON, with what follows from it."""
    from cacheguard.tuning.guarantee import upper_bound

    found = report.as_json()
    if report.estimate and report.estimate.asked:
        at = report.estimate
        found["estimate"] |= {
            "hit_rate": round(at.served / at.asked, 4),
            "wrong_share_at_most": round(upper_bound(at.wrong, at.served), 4) if at.served else None,
        }
    return found


def summary(report: Report) -> Iterator[str]:
    """What came of it, for people."""
    what = "would be kept" if report.dry_run else "kept"
    yield f"{report.lines:,} lines read in {report.seconds:.1f} s"
    yield f"{report.kept:,} questions {what}, {report.answers:,} new answers"
    yield from _kept(report)
    yield from _reviewed(report)
    yield from _expected(report)
    yield from _left_out(report)


def _kept(report: Report) -> Iterator[str]:
    if report.exact_only:
        yield f"{report.exact_only:,} of them are longer than the model reads: found by exact matches alone"
    if report.unchanged:
        yield f"{report.unchanged:,} questions the cache had already" + ("; nothing changed" if not report.kept else "")
    if report.fresher:
        yield f"{report.fresher:,} questions have a newer answer in the cache, which stays"
    if report.folded:
        yield f"{report.folded:,} lines repeat an earlier one"
    if report.rare:
        yield f"{report.rare:,} questions are asked too seldom to be kept"
    if report.withdrawn:
        yield f"{report.withdrawn:,} left out: that answer was called wrong for that question"


def _reviewed(report: Report) -> Iterator[str]:
    if report.judged or report.unjudged:
        failed = f", and gave no verdict of {report.unjudged:,}" if report.unjudged else ""
        yield f"a judge looked at {report.judged:,} answers, left {report.rejected:,} out as wrong{failed}"
    for one in report.rejecting[:SHOWN]:
        yield f"  {one.prompt!r}: {_short(one.answer)!r}: {_short(one.reason)}"
    if report.renewed or report.unanswered:
        failed = f", and {report.unanswered:,} could not be" if report.unanswered else ""
        yield f"{report.renewed:,} questions were answered anew{failed}"
    if report.spent_usd:
        yield f"models were paid ${report.spent_usd:,.4f}"
    if report.out_of_money:
        yield f"they were asked no further: {report.out_of_money} is used up; the rest is kept as logged"


def _expected(report: Report) -> Iterator[str]:
    from cacheguard.tuning.guarantee import upper_bound

    at = report.estimate
    if at and at.asked:
        bound = f", {at.wrong:,} of them wrong (at most {upper_bound(at.wrong, at.served):.1%})" if at.served else ""
        rate = f"expected hit rate {at.served / at.asked:.1%} by the route's present rule"
        served = f"{at.exact:,} as asked before and {at.similar:,} as similar{bound}"
        yield f"{rate}: of the log's newest {at.asked:,} questions, a cache of the others would serve {served}"
    if at and at.within_reach:
        yield (
            f"{at.within_reach:,} more have their right answer nearest, but the route's rule is not sure enough of it:"
            " `cacheguard tune` with labelled questions lets it prove which of them it may serve"
        )
    if report.saved_usd or report.saved_s:
        hours = report.saved_s / _HOUR_S
        yield f"while this log was written it would have saved ${report.saved_usd:,.2f} and {hours:,.1f} h of waiting"


def _left_out(report: Report) -> Iterator[str]:
    for reason, number in sorted(report.left_out.items(), key=lambda one: -one[1]):
        yield f"{number:,} lines left out: {reason}"
    for number, shown, why in (
        (report.conflicts, report.conflicting, "questions left out, because their answers contradict each other"),
        (report.doubts, report.doubtful, "pairs of questions seem to ask the same and are answered differently"),
    ):
        if number:
            yield f"{number:,} {why}:"
        for conflict in shown[:SHOWN]:
            asked = " / ".join(map(repr, filter(None, (conflict.prompt, conflict.other))))
            yield f"  {asked}: {' / '.join(repr(_short(answer)) for answer in conflict.answers)}"
    if report.bad:
        where = f"; all are in {report.bad_lines_file}" if report.bad_lines_file else ""
        yield f"{report.bad:,} lines could not be read{where}:"
        yield from (f"  {line}" for line in report.bad_lines[:SHOWN])


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - of a line on a terminal
