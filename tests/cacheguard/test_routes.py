"""Which route a request takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cacheguard.cascade.plan import Plan
from cacheguard.errors import UnknownRoute
from cacheguard.matching.decide import CosineThreshold
from cacheguard.matching.freshness import Terms
from cacheguard.question import Question
from cacheguard.routes import Mode, Route, Routes

QUESTION = Question("How do I raise my limit?", "how do i raise my limit")


def route(name, *models, mode=Mode.READ_WRITE):
    return Route(
        name,
        models,
        plan=Plan(()),
        mode=mode,
        terms=Terms(60, 0, 0),
        rule=CosineThreshold(0.97),
        context="exact",
    )


ROUTES = Routes([route("faq", "faq-bot", "gpt-4o*"), route("mini", "gpt-4o-mini", "gpt-?"), route("default")])


@pytest.mark.parametrize(
    ("named", "model", "taken"),
    [
        ("mini", "faq-bot", "mini"),  # the name outranks the model
        (None, "faq-bot", "faq"),
        (None, "gpt-4o", "faq"),
        (None, "gpt-4o-mini", "faq"),  # the first fit, not the closest
        (None, "gpt-5", "mini"),
        (None, "mini", "mini"),  # a route's name is a model: GET /v1/models lists it
        (None, "GPT-5", "default"),  # case counts, on every file system
        (None, "xgpt-4o", "default"),
        (None, "", "default"),
        ("default", "gpt-5", "default"),
    ],
)
def test_a_request_takes_the_named_route_then_its_models_then_default(named, model, taken):
    assert ROUTES.choose(named, model).name == taken


@pytest.mark.parametrize("name", ["fqa", "", "FAQ", "faq*"])
def test_a_route_that_is_not_there_is_named_with_those_that_are(name):
    with pytest.raises(UnknownRoute, match=r"known: faq, mini, default") as caught:
        ROUTES.choose(name, "gpt-5")
    assert f"'{name}'" in str(caught.value)
    assert caught.value.status == 404


def test_without_a_default_an_unknown_model_is_refused():
    with pytest.raises(UnknownRoute, match=r"'gpt-5'.*known: faq"):
        Routes([route("faq", "faq-bot")]).choose(None, "gpt-5")


@pytest.mark.parametrize(
    ("mode", "reads", "writes", "reason"),
    [
        (Mode.READ_WRITE, True, True, None),
        (Mode.READ_ONLY, True, False, None),
        (Mode.WRITE_ONLY, False, True, None),
        (Mode.OFF, False, False, "off"),
    ],
)
def test_a_mode_reads_and_writes_as_it_says(mode, reads, writes, reason):
    assert (mode.reads, mode.writes, route("faq", mode=mode).bypass_reason(QUESTION)) == (reads, writes, reason)


def test_what_one_person_asks_about_their_own_data_passes_the_cache_by_where_the_route_heeds_it():
    mine = Question("Where is my order 4411?", "where is my order 4411")
    heeding = route("faq")
    assert heeding.bypass_reason(mine) == "personal"
    assert heeding.bypass_reason(QUESTION) is None
    assert replace(heeding, heeds_personal=False).bypass_reason(mine) is None
