"""What a tuning came to, in figures for programs and in lines for people."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cacheguard.tuning.guarantee import labels_needed, upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cacheguard.tuning.guarantee import Choice, Point
    from cacheguard.tuning.labels import Gathered
    from cacheguard.tuning.tuning import Tuned

# Promises that routes may want next.
TIGHTER: Final = (0.05, 0.02, 0.01, 0.005)
_ROWS: Final = 9


class Row(NamedTuple):
    """What a threshold would serve of the labelled questions. Shares from 0 to 1; bound: of the wrong hits' share."""

    threshold: float
    hit_rate: float
    wrong: int
    wrong_rate: float
    bound: float


class Weight(NamedTuple):
    """weight: logits for one standard deviation of the feature."""

    feature: str
    weight: float
    says: str


class Needed(NamedTuple):
    """labels: as many in all are likely to prove the promise; None: no number is, as answers are ranked now."""

    max_wrong: float
    labels: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """kind: "questions" or "pairs". chosen: None where the labels prove no rule. threshold: what the rule demands.

    labels: those that count for the proof. complaints: those that only taught. cut: longer than the model reads.
    absent: their right answer is not in the cache. exact: their very words are. exact_expected: so many of these are
    wrong by confidences.
    near_exact: whether the same words are served too. threshold: 1 where nothing similar is.
    curve: the strictest first.
    """

    route: str
    kind: str
    max_wrong: float
    confidence: float
    labels: int
    complaints: int
    cut: int
    absent: int
    bad: int
    bad_lines: list[str]
    exact: int
    exact_wrong: int
    exact_expected: float
    trusts_exact: bool
    near_exact: bool
    threshold: float
    chosen: Row | None
    curve: list[Row]
    weights: list[Weight]
    needed: list[Needed]


def report_of(route: str, gathered: Gathered, tuned: Tuned) -> Report:
    choice, model = tuned.choice, tuned.rule.model
    weighing = (model.likened or model.alone) if tuned.of_lone else (model.headed or model.among)
    weights = [
        Weight(feature.name, round(float(weight), 4), feature.says)
        for feature, weight in zip(weighing.features, weighing.weights, strict=True)
    ]
    return Report(
        route=route,
        kind="pairs" if gathered.are_pairs else "questions",
        max_wrong=choice.max_wrong,
        confidence=choice.confidence,
        labels=choice.asked,
        complaints=sum(one.is_complaint for one in gathered.labelled),
        cut=gathered.cut,
        absent=gathered.absent,
        bad=gathered.bad,
        bad_lines=list(map(str, gathered.bad_lines)),
        exact=tuned.exact.asked,
        exact_wrong=tuned.exact.wrong,
        exact_expected=round(tuned.exact.expected, 4),
        trusts_exact=tuned.rule.trusts_exact,
        near_exact=tuned.rule.near_exact,
        threshold=tuned.threshold,
        chosen=_row(choice.chosen, choice) if choice.chosen else None,
        curve=_curve(choice),
        weights=sorted(weights, key=lambda weight: -abs(weight.weight)),
        needed=[Needed(limit, _needed(choice, limit)) for limit in sorted({*TIGHTER, choice.max_wrong}, reverse=True)],
    )


def _curve(choice: Choice) -> list[Row]:
    points = {*choice.points, *([choice.chosen] if choice.chosen else [])}
    return sorted((_row(point, choice) for point in points if point.served), reverse=True)


def _needed(choice: Choice, limit: float) -> int | None:
    """What is proven needs no more labels, nor does what is looser."""
    if choice.chosen and limit >= choice.max_wrong:
        return choice.asked
    return labels_needed(choice.points, choice.asked, limit, choice.confidence)


def _row(point: Point, choice: Choice) -> Row:
    bound = upper_bound(point.wrong, point.served, choice.confidence)
    return Row(point.threshold, point.served / choice.asked, point.wrong, point.wrong / max(1, point.served), bound)


def said(report: Report) -> Iterator[str]:
    """All of it, for people."""
    yield from _labels_said(report)
    yield from _rule_said(report)
    yield ""
    yield "threshold   hits    wrong  at most"
    for row in _shown(report):
        mark = "  <" if row == report.chosen else ""
        yield f"{row.threshold:9.4f}  {row.hit_rate:5.1%}  {row.wrong_rate:6.2%}  {row.bound:6.2%}{mark}"
    yield ""
    yield "wrong hits  labels that are likely to prove it"
    for limit, labels in report.needed:
        yield f"{limit:10.2%}  {_needed_said(labels, report.labels)}"
    yield ""
    yield "weight  what speaks for an answer (+) or against it (-)"
    for feature, weight, says in report.weights:
        yield f"{weight:+6.2f}  {feature}: {says}"


def _labels_said(report: Report) -> Iterator[str]:
    yield f"{report.labels:,} labelled {report.kind}"
    for count, what in (
        (report.complaints, "complaints teach the model, but prove nothing"),
        (report.absent, "have a right answer that is not in the cache"),
        (report.cut, "left out, because they are longer than the model reads"),
    ):
        if count:
            yield f"{count:,} {what}"
    if report.bad:
        yield f"{report.bad:,} lines could not be read:"
        yield from (f"  {line}" for line in report.bad_lines)


def _rule_said(report: Report) -> Iterator[str]:
    promise = f"at most {report.max_wrong:.2%} of the hits wrong, with {report.confidence:.0%} confidence"
    if report.chosen:
        _, hit_rate, _, wrong_rate, bound = report.chosen
        yield f"{promise}: proven from a confidence of {report.threshold:.4f} on"
        yield f"expected: {hit_rate:.1%} hits, {wrong_rate:.2%} of them wrong, at most {bound:.2%}"
    else:
        needed = next(labels for limit, labels in report.needed if limit == report.max_wrong)
        yield f"{promise}: not proven, {_needed_said(needed, report.labels)}"
        yield f"until then nothing similar is served: {_meanwhile_said(report)}"
    if report.exact:
        untrusted = "weighed like any other" if report.chosen else "not trusted"
        how = "trusted unasked" if report.trusts_exact else untrusted
        counted = f"{report.exact_wrong:,} of {report.exact:,} labelled ones are wrong"
        yield f"exact matches are {how}: {counted}, and confidences expect {report.exact_expected:,.1f}"


def _meanwhile_said(report: Report) -> str:
    if not report.trusts_exact:
        return "nothing at all, since even exact matches are too often wrong by these labels"
    if not report.near_exact:
        return "only exact matches"
    return "only exact matches, and questions in the same words but for marks, contractions, articles and courtesies"


def _needed_said(labels: int | None, known: int) -> str:
    if labels is None:
        return "no number: too many of the surest are wrong"
    return "these" if labels <= known else f"some {labels - known:,} more"


def _shown(report: Report) -> Sequence[Row]:
    """The loosest rows of some steps of the hit rate, and the chosen one."""
    most = max((row.hit_rate for row in report.curve), default=0.0)
    loosest = {math.ceil(_ROWS * row.hit_rate / most): row for row in report.curve}
    return sorted({*loosest.values(), *([report.chosen] if report.chosen else [])}, reverse=True)


def as_json(report: Report) -> dict[str, object]:
    """All of it, for programs."""
    fields = asdict(report)
    for name in ("curve", "weights", "needed"):
        fields[name] = [one._asdict() for one in getattr(report, name)]
    return fields | {"chosen": report.chosen and report.chosen._asdict()}
