"""Questions without ids, grouped by the real model and the rule as it is shipped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from logs import Unseen, written

from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.matching.guards import GUARDS, make_guards
from cacheguard.place import Place
from cacheguard.stores.base import Filter
from cacheguard.warming.pipeline import warm

NOW = 1_800_000_000.0
ABOUT_ELSE = [(f"What is the capital of {country}?", f"{capital}.") for country, capital in
              {"France": "Paris", "Peru": "Lima", "Kenya": "Nairobi", "Japan": "Tokyo"}.items()]  # fmt: skip


@pytest.fixture
def grouped(tmp_path, store, embedder, place):
    """A function that warms the store from (prompt, answer) pairs; the prompts of each answer that it then has."""

    async def grouped(*pairs):
        rule = Calibrated(default_model(), 0.99, make_guards(GUARDS), near_exact=0.97)
        at = Place(replace(place.route, rule=rule), place.tenant)
        path = tmp_path / "log.jsonl"
        path.write_text("".join(written(*pair) for pair in pairs))
        report = await warm([path], at, store, embedder, now=NOW, progress=Unseen())
        found = {answer.text: [one.text for one in its] async for answer, its in store.answers(Filter())}
        return found, report

    return grouped


async def test_questions_that_ask_the_same_get_one_answer_though_each_was_worded_anew(grouped):
    found, report = await grouped(
        ("How do I block my card?", "Open the app and tap Block."),
        ("How do I block my card?", "Open the app and tap Block."),
        *ABOUT_ELSE,  # a question stands out only among others
        ("How can I block my card?", "To block the card, open the app and tap Block."),
    )
    assert found["Open the app and tap Block."] == ["How do I block my card?", "How can I block my card?"]
    assert (report.questions, report.groups) == (6, 5)


async def test_equal_answers_are_one_answer(grouped):
    found, _ = await grouped(("Is it open?", "Yes."), ("May I smoke?", "Yes."), ("Is it far?", "No."))
    assert found == {"Yes.": ["Is it open?", "May I smoke?"], "No.": ["Is it far?"]}


async def test_near_questions_with_other_answers_stay_apart_and_are_listed(grouped):
    found, report = await grouped(
        ("How do I block my card?", "Tap Block in the app."),
        *ABOUT_ELSE,
        ("How do I block my card, please?", "Call us."),
    )
    assert len(found) == 6
    [doubt] = report.doubtful
    assert {doubt.prompt, doubt.other} == {"How do I block my card?", "How do I block my card, please?"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Should I buy gold?", "Should I sell gold?"),
        ("How do I enable alerts?", "How do I disable alerts?"),
        ("What is the fee for 100 euros?", "What is the fee for 200 euros?"),
    ],
)
async def test_guards_keep_apart_what_only_sounds_alike(grouped, one, other):
    found, _ = await grouped((one, "It depends on your plan."), (other, "That depends on the plan."), *ABOUT_ELSE)
    assert [one] in found.values()
    assert [other] in found.values()


async def test_a_chain_of_near_questions_does_not_drift(grouped):
    """Each step is near the one before, the last far from the first; the answers agree in every word but one."""
    steps = ["card", "card or account", "account", "account or loan", "loan", "loan or house", "house"]
    found, _ = await grouped(*((f"How do I close my {step}?", f"Please write to the {step} office.") for step in steps))
    for prompts in found.values():
        assert not {"How do I close my card?", "How do I close my house?"} <= set(prompts)
