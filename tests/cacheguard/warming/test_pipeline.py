from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from logs import Unseen, written

from cacheguard.errors import FileUnusable
from cacheguard.place import Place
from cacheguard.stores.base import Filter, Label
from cacheguard.types import Provenance
from cacheguard.warming.log import read_stream
from cacheguard.warming.pipeline import warm

NOW = 1_800_000_000.0
BLOCK = ("How do I block my card?", "Tap Block.", "block")
BLOCK_AGAIN = ("My card was stolen, what now?", "Tap Block.", "block")
LIMIT = ("What is my limit?", "500 euros a day.", "limit")


@pytest.fixture
def warmed(tmp_path, store, embedder, place):
    """A function that warms the store from (prompt, answer, answer_id) lines, or from lines as they are."""

    async def warmed(*lines, at=place, now=NOW, dry_run=False):
        path = tmp_path / "log.jsonl"
        path.write_text("".join(line if isinstance(line, str) else written(*line) for line in lines))
        progress = Unseen()
        report = await warm([path], read_stream, at, store, embedder, now=now, progress=progress, dry_run=dry_run)
        assert progress.left == 0
        return report

    return warmed


async def found(store, place, prompt):
    """What an exact match gives, or None."""
    asked = place.asked(prompt)
    return await store.exact(asked.scope.key, asked.question.key)


async def test_lines_with_one_answer_id_become_phrasings_of_one_answer(warmed, store, place):
    report = await warmed(BLOCK, LIMIT, BLOCK_AGAIN)
    assert (report.lines, report.kept, report.answers) == (3, 3, 2)
    block, again = await found(store, place, BLOCK[0]), await found(store, place, BLOCK_AGAIN[0])
    assert block.answer == again.answer
    assert block.answer.text == "Tap Block."
    assert block.answer.source_id == "block"
    assert block.answer.provenance == Provenance("log", validators=("not_empty", "complete", "not_refusal"))
    assert (await store.counts()).vectors == 3


async def test_warming_again_changes_nothing(warmed, store):
    await warmed(BLOCK, BLOCK_AGAIN, LIMIT)
    before = [one async for one in store.answers(Filter())]
    change = await store.latest_change()
    report = await warmed(BLOCK, BLOCK_AGAIN, LIMIT, now=NOW + 1000)
    assert (report.kept, report.unchanged) == (0, 3)
    assert [one async for one in store.answers(Filter())] == before
    assert await store.latest_change() == change


async def test_a_later_log_adds_to_the_answers_of_an_earlier_one(warmed, store, place):
    await warmed(BLOCK)
    report = await warmed(BLOCK, BLOCK_AGAIN, now=NOW + 1000)
    assert (report.kept, report.answers) == (1, 0)
    again = await found(store, place, BLOCK_AGAIN[0])
    assert again.answer == (await found(store, place, BLOCK[0])).answer
    assert again.answer.refreshed_at == NOW


async def test_a_corrected_log_corrects_the_answer(warmed, store, place):
    await warmed(BLOCK, BLOCK_AGAIN)
    id_ = (await found(store, place, BLOCK[0])).answer.id
    await warmed(
        ("How do I block my card?", "Call us.", "block"), ("My card was stolen, what now?", "Call us.", "block")
    )
    answer = (await found(store, place, BLOCK_AGAIN[0])).answer
    assert (answer.id, answer.text) == (id_, "Call us.")


async def test_what_a_tier_wrote_since_is_newer_than_the_log(warmed, store, place):
    await warmed(BLOCK)
    answer = (await found(store, place, BLOCK[0])).answer
    await store.keep(replace(answer, text="New.", provenance=Provenance("strong"), refreshed_at=NOW + 500), [])
    report = await warmed(BLOCK, BLOCK_AGAIN, now=NOW + 1000)
    assert report.unchanged == 1
    assert (await found(store, place, BLOCK_AGAIN[0])).answer.text == "New."


async def test_an_answer_that_was_called_wrong_does_not_come_back(warmed, store, place):
    await warmed(BLOCK, BLOCK_AGAIN)
    phrasing, answer = await found(store, place, BLOCK[0])
    label = Label(
        answer.scope, "faq", phrasing.key, phrasing.text, answer.id, right=False, by="feedback", created_at=NOW
    )
    await store.add_labels([label])
    await store.remove(Filter())
    report = await warmed(BLOCK, BLOCK_AGAIN)
    assert (report.withdrawn, report.kept) == (1, 1)
    assert await found(store, place, BLOCK[0]) is None


async def test_a_question_with_two_answers_is_reported_and_not_kept(warmed, store, place):
    report = await warmed(BLOCK, (BLOCK[0], "Call us.", "call"), LIMIT)
    assert report.conflicts == 1
    assert report.conflicting[0].answer_ids == ("block", "call")
    assert await found(store, place, BLOCK[0]) is None


async def test_a_question_that_turns_out_to_have_two_answers_is_taken_back(warmed, store, place):
    await warmed(BLOCK, BLOCK_AGAIN)
    doubted = (BLOCK[0], "Call us.", "call")
    await warmed(BLOCK, BLOCK_AGAIN, doubted, dry_run=True)
    assert await found(store, place, BLOCK[0])
    await warmed(BLOCK, BLOCK_AGAIN, doubted)
    assert await found(store, place, BLOCK[0]) is None
    assert await found(store, place, BLOCK_AGAIN[0])


async def test_bad_lines_are_counted_and_stop_nothing(warmed):
    report = await warmed("no json\n", BLOCK, '{"prompt": "lost"}\n', "\n", LIMIT)
    assert (report.lines, report.bad, report.kept) == (4, 2, 2)
    assert [(line.number, line.reason) for line in report.bad_lines] == [
        (1, "is not JSON: Expecting value at column 1"),
        (3, "lacks 'answer'"),
    ]


async def test_answers_that_the_route_would_not_give_are_refused(warmed, store, place):
    report = await warmed(BLOCK, (LIMIT[0], "I'm sorry, but I can't help with that.", "limit"), ("a", " ", "blank"))
    assert (report.refused, report.bad, report.kept) == (1, 1, 1)
    assert report.refused_lines[0].number == 2
    assert await found(store, place, LIMIT[0]) is None


async def test_a_log_without_one_usable_line_is_an_error_that_quotes_the_first(warmed):
    with pytest.raises(FileUnusable, match=r"log\.jsonl can be used: log\.jsonl, line 1: is not JSON"):
        await warmed("no json\n", "neither\n")


async def test_a_prompt_that_the_model_cannot_read_to_its_end_is_found_by_exact_matches_alone(warmed, store, place):
    long = "word " * 2000 + "end"
    report = await warmed((long, "Yes.", "long"))
    assert (report.kept, report.exact_only) == (1, 1)
    assert (await store.counts()).vectors == 0
    assert await found(store, place, long)


async def test_a_dry_run_keeps_nothing_and_counts_the_same(warmed, store):
    report = await warmed(BLOCK, BLOCK_AGAIN, LIMIT, dry_run=True)
    assert (report.kept, report.answers) == (3, 2)
    assert (await store.counts()).phrasings == 0


async def test_answers_are_walled_off_by_tenant_and_system_prompt(warmed, store, place):
    pirate = Place(place.route, "default", "Talk like a pirate.")
    await warmed(BLOCK, at=pirate)
    assert await found(store, pirate, BLOCK[0])
    assert await found(store, place, BLOCK[0]) is None
    assert await found(store, replace(pirate, tenant="other"), BLOCK[0]) is None


async def test_phrasings_of_one_answer_in_many_batches_stay_one_answer(warmed, store):
    report = await warmed(*((f"question number {number}", "Yes.", "yes") for number in range(600)))
    assert (report.kept, report.answers) == (600, 1)
    [(_, phrasings)] = [one async for one in store.answers(Filter())]
    assert len(phrasings) == 600


async def test_a_run_that_is_stopped_goes_on_when_it_is_started_again(warmed, store):
    lines = [(f"question number {number}", "Yes.", "") for number in range(600)]
    running = asyncio.create_task(warmed(*lines))
    while not (await store.counts()).phrasings:
        pass
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = (await store.counts()).phrasings
    report = await warmed(*lines)
    assert 0 < kept < 600
    assert (report.unchanged, report.kept) == (kept, 600 - kept)
