"""What the table says follows from the rounds: ratios round by round, goals by the median."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tests.benchmarks.figures import Comparison, Findings, at_least, at_most, beyond, in_turn, latency, throughput
from tests.benchmarks.load import Timing
from tests.benchmarks.report import WIDTH, figure, notes, table

ONE, OTHER = "exact hit", "bare endpoint"
# The machine is half as fast in the second round.
FOUND = {
    ONE: [Timing(900, 2.0, 3.0), Timing(450, 4.0, 6.0), Timing(1100, 1.0, 2.0)],
    OTHER: [Timing(1000, 1.0, 2.0), Timing(500, 2.0, 4.0), Timing(1000, 0.5, 1.0)],
}


def shown(findings, before=None):
    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(table({"exact": findings}, before))
    return console.file.getvalue()


def test_ratios_are_of_one_round_each():
    ratio = throughput(FOUND, ONE, OTHER)
    assert (ratio.median, ratio.lowest, ratio.highest) == pytest.approx((0.9, 0.9, 1.1))


def test_what_is_beyond_the_parts_is_their_rest_in_each_round():
    rest = beyond(FOUND, ONE, OTHER)
    assert (rest.median, rest.lowest, rest.highest) == (1.0, 0.5, 2.0)


@pytest.mark.parametrize(
    ("goal", "figure", "is_met"),
    [(at_least(1.0), 1.0, True), (at_least(1.0), 0.99, False), (at_most(0.4), 0.4, True), (at_most(0.4), 0.41, False)],
)
def test_a_goal_is_met_at_its_bound_and_on_its_good_side(goal, figure, is_met):
    assert Comparison.of("what", "×", [figure], goal=goal).is_met is is_met


def test_the_median_decides():
    assert latency(FOUND, ONE, at_most(2.0)).is_met
    assert not latency(FOUND, ONE, at_most(1.9)).is_met


def test_nothing_is_met_or_missed_without_a_goal():
    assert latency(FOUND, ONE).is_met is None


def test_the_round_before_the_first_is_not_counted():
    calls = []
    found = in_turn({what: lambda what=what: calls.append(what) or Timing(len(calls), 0, 0) for what in "ab"}, rounds=3)
    assert "".join(calls) == "baabbaab"
    assert [timing.per_s for timing in found["a"]] == [3, 6, 7]


def test_the_table_shows_a_timing_once_with_all_that_is_said_of_it():
    findings = Findings.of("title", FOUND, [latency(FOUND, ONE, at_most(0.4)), throughput(FOUND, ONE, OTHER)])
    row, below = (line for line in shown(findings).splitlines() if "×" in line or "≤" in line)
    assert all(part in row for part in (ONE, "900", "2.00", "3.00", "p50", "2 ms", "≤ 0.4 ms", "missed"))
    assert ONE not in below
    assert "/ bare endpoint" in below
    assert "0.9 to 1.1" in below


def test_an_earlier_run_stands_beside():
    earlier = Findings.of("title", {ONE: [Timing(300, 3.0, 9.0)]}, [latency({ONE: [Timing(300, 3.0, 9.0)]}, ONE)])
    before = json.loads(json.dumps({"exact": earlier.as_json()}))
    assert "3 ms" in shown(Findings.of("title", FOUND, [latency(FOUND, ONE)]), before)
    assert shown(Findings.of("title", FOUND, [throughput(FOUND, ONE, OTHER)]), before)  # it had no such line


def test_goals_are_counted():
    findings = Findings.of(
        "title", FOUND, [latency(FOUND, ONE, at_most(0.4)), throughput(FOUND, ONE, OTHER, at_least(0.5))]
    )
    assert notes({"exact": findings}).splitlines() == ["title", "1 of 2 goals met"]


@pytest.mark.parametrize(("value", "said"), [(0.19432, "0.194"), (12.345, "12.3"), (187654.3, "187,654"), (300, "300")])
def test_figures_have_three_digits_that_say_something(value, said):
    assert figure(value) == said
