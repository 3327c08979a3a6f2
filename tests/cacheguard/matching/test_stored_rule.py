from __future__ import annotations

import json

import pytest

from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.matching.stored_rule import read_rule, write_rule


@pytest.fixture
def rule():
    return Calibrated(default_model(), 0.875, trusts_exact=False, near_exact=True, lone_threshold=0.75)


def test_a_rule_is_read_as_it_was_written(rule):
    body = write_rule(rule)
    again = read_rule(body)
    assert (again.threshold, again.trusts_exact, again.near_exact) == (0.875, False, True)
    assert again.lone_threshold == 0.75
    assert write_rule(again) == body


def test_a_rule_of_before_lone_phrasings_had_a_threshold_demands_the_same_of_them(rule):
    body = json.loads(write_rule(rule))
    del body["lone_threshold"]
    assert read_rule(json.dumps(body)).lone_threshold is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0},
        {"threshold": 1.5},
        {"threshold": None},
        {"threshold": float("nan")},
        {"near_exact": "near"},
        {"lone_threshold": 0},
        {"trusts_exact": "no"},
        {"model": {}},
        {"model": None},
    ],
)
def test_what_is_no_rule_is_refused(rule, wrong):
    with pytest.raises(ValueError, match=r"rule|model|float"):
        read_rule(json.dumps(json.loads(write_rule(rule)) | wrong))


@pytest.mark.parametrize(("said", "is_near_exact"), [(0.97, True), (None, False)])
def test_a_rule_of_before_whose_near_exact_is_a_cosine_is_read_as_one_that_has_it(rule, said, is_near_exact):
    assert read_rule(json.dumps(json.loads(write_rule(rule)) | {"near_exact": said})).near_exact is is_near_exact


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", '{"cosine": 0.9}'])
def test_a_body_of_another_kind_is_refused(body):
    with pytest.raises(ValueError):  # noqa: PT011 - json's own words among them
        read_rule(body)
