"""Hits are counted as hit quality is defined: by the loosest threshold under which so many of the served are wrong."""

from __future__ import annotations

import random
import runpy

import pytest

from tests.benchmarks.counting import LIMITS, Decisions, Listing, Listings


def decisions(seed, many=500):
    chance = random.Random(seed)
    sure = [round(chance.random(), 2) for _ in range(many)]  # many are equally sure
    return [(one, chance.random() < 0.5 + one / 2) for one in sure]


def test_the_loosest_threshold_counts_even_behind_a_stricter_one_that_is_worse():
    found = Decisions.of([(0.9, False), *[(0.8, True)] * 9, (0.7, False), (0.6, False)])
    assert found.hit_rate_at(0.1) == pytest.approx(10 / 12)
    assert found.hit_rate_at(0.05) == 0
    assert found.duplicates_served_at(0.1) == 1


def test_nothing_is_served_where_all_is_wrong():
    assert Decisions.of([(0.9, False), (0.8, False)]).hit_rate_at(0.1) == 0


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_the_definition(data, seed):
    path = data.parent / "measure" / "coverage.py"
    if not path.is_file():
        pytest.skip("the definition does not lie beside the question sets")
    defined = runpy.run_path(str(path))
    pairs = decisions(seed)
    found = Decisions.of(pairs)
    for limit in LIMITS:
        assert found.hit_rate_at(limit) == defined["hit_rate_at"](pairs, limit)
        assert found.duplicates_served_at(limit) == defined["duplicates_served_at"](pairs, limit)


def test_tables_are_figures_by_heading():
    found = Listings([Listing("hits", ["rule", "%"], [["cosine", "7.0"], ["margin", "25.0"]])])
    assert found.as_json() == {"hits": [{"rule": "cosine", "%": "7.0"}, {"rule": "margin", "%": "25.0"}]}
