from __future__ import annotations

import asyncio
import json
import random
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from logs import Unseen, written

from cacheguard.errors import FileUnusable
from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.matching.guards import GUARDS, make_guards
from cacheguard.place import Place
from cacheguard.stores.base import Filter, Label, NewPhrasing
from cacheguard.types import Origin, Provenance
from cacheguard.warming.pipeline import warm
from cacheguard.warming.report import Estimate
from cacheguard.warming.sifting import Personal
from cacheguard.warming.wish import Wish
from cacheguard.warming.work import Work

NOW = 1_800_000_000.0
BLOCK = ("How do I block my card?", "Tap Block.", "block")
BLOCK_AGAIN = ("My card was stolen, what now?", "Tap Block.", "block")
LIMIT = ("What is my limit?", "500 euros a day.", "limit")


@pytest.fixture
def warmed(tmp_path, store, embedder, place):
    """A function that warms the store from (prompt, answer, answer_id) lines, or from lines as they are."""

    async def warmed(*lines, at=place, now=NOW, **wish):
        path = tmp_path / "log.jsonl"
        path.write_text("".join(line if isinstance(line, str) else written(*line) for line in lines))
        progress = Unseen()
        report = await warm([path], at, store, embedder, now=now, progress=progress, wish=Wish(**wish))
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
    assert report.conflicting[0].answers == ("block", "call")
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
    assert report.left_out == {"the route would not give its answer: the answer is a refusal": 1}
    assert (report.bad, report.kept) == (1, 1)
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
    report = await warmed(*lines)
    assert report.unchanged > 0
    assert report.unchanged + report.kept == 600
    assert (await store.counts()).phrasings == 600


async def cut_off(warming, after):
    """Stop a warming after so many seconds, or let it end."""
    task = asyncio.create_task(warming)
    await asyncio.wait([task], timeout=after)
    task.cancel()
    return (await asyncio.gather(task, return_exceptions=True))[0]


async def content(store):
    """All that a store holds, but for times and numbers of phrasings: texts by answer, and their vectors."""
    found, vectors = {}, {}
    async for answer, its in store.answers(Filter()):
        found[answer.id, answer.text] = {one.text for one in its}
        rows = await store.vectors(answer.scope, sorted(one.id for one in its))
        vectors |= zip((one.text for one in sorted(its, key=lambda one: one.id)), rows.vectors, strict=True)
    return found, vectors


async def test_a_run_that_was_stopped_anywhere_resumes_to_the_same_cache(warmed, store, tmp_path):
    lines = [(f"How do I {verb} my {thing} {number}?", f"See page {number}.", "") for number in range(60)
             for verb in ("open", "close", "find", "lose") for thing in ("card", "account", "loan")]  # fmt: skip
    await warmed(*lines)
    expected, vectors = await content(store)
    await store.remove(Filter())
    wish = {"folder": tmp_path / "work", "bad_lines": tmp_path / "bad.jsonl"}
    report, moments = None, random.Random(5)
    await cut_off(warmed(*lines, "broken\n", **wish), moments.uniform(0, 0.3))
    for _ in range(4):
        await cut_off(warmed(*lines, "broken\n", **wish, resume=True), moments.uniform(0, 0.5))
    report = await warmed(*lines, "broken\n", **wish, resume=True)
    found, its = await content(store)
    assert found == expected
    # What company a text is embedded in moves a component by at most 6e-8.
    assert all(np.allclose(its[text], vector, atol=1e-6) for text, vector in vectors.items())
    assert (report.lines, report.bad, report.kept + report.unchanged) == (721, 1, 720)
    assert [json.loads(line)["line"] for line in (tmp_path / "bad.jsonl").read_text().splitlines()] == [721]
    assert not list((tmp_path / "work").iterdir())


async def test_two_warmings_of_the_same_logs_at_once_are_refused(warmed, tmp_path):
    lines = [(f"question {number}", "Yes.") for number in range(500)]
    await cut_off(warmed(*lines, folder=tmp_path / "work"), 0.1)
    [path] = (tmp_path / "work").glob("faq-*.db")
    with (
        closing(Work(path, 384)),
        pytest.raises(FileUnusable, match="is in use: another warming of the same logs is under way"),
    ):
        await warmed(*lines, folder=tmp_path / "work", resume=True)


async def test_work_in_progress_is_nobody_elses_to_read(tmp_path):
    with closing(Work(tmp_path / "work.db", 4)):
        files = list(tmp_path.iterdir())
        assert {path.suffix for path in files} >= {".db", ".f32"}
        assert {path.stat().st_mode & 0o077 for path in files} == {0}


async def test_later_turns_are_kept_where_the_route_finds_them_and_nowhere_else(warmed, store, place):
    first = {"role": "user", "content": "What is throat cancer?"}
    told = {"role": "assistant", "content": "A tumour of the throat."}
    later = {"role": "user", "content": "Is it treatable?"}
    log = {"messages": [first, told, later, {"role": "assistant", "content": "Often, if found early."}]}
    report = await warmed(json.dumps(log) + "\n")
    assert (report.lines, report.kept) == (2, 2)
    asked = place.asked_in({"model": "faq", "messages": [first, told, later]})
    known = await store.exact(asked.scope.key, asked.question.key)
    assert known.answer.text == "Often, if found early."
    assert await found(store, place, "Is it treatable?") is None
    assert (await found(store, place, "What is throat cancer?")).answer.text == "A tumour of the throat."


async def test_what_a_request_sets_is_part_of_where_its_answer_goes(warmed, store, place):
    request = {"messages": [{"role": "user", "content": "Is it open?"}], "max_tokens": 9, "temperature": 0.5}
    answer = {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]}
    report = await warmed(
        json.dumps({"request": request, "response": answer}) + "\n",
        json.dumps({"request": {**request, "tools": [{"type": "function"}]}, "response": answer}) + "\n",
    )
    assert report.left_out == {"it passes the cache by: tools": 1}
    asked = place.asked_in({"model": "faq", **request})
    assert await store.exact(asked.scope.key, asked.question.key)
    assert await found(store, place, "Is it open?") is None


async def test_personal_data_is_left_out_or_blacked_out(warmed, store, place):
    lines = [
        ("Who writes the letters?", "Anna, at anna@example.org."),
        ("Mine is a@b.org, is it known?", "Yes."),
        LIMIT,
    ]
    report = await warmed(*lines, dry_run=True)
    assert report.left_out == {
        "personal data in the answer: e-mail address": 1,
        "it passes the cache by: personal": 1,
    }
    await warmed(*lines, personal=Personal.REDACT)
    assert (await found(store, place, lines[0][0])).answer.text == "Anna, at [e-mail address]."
    await warmed(*lines, personal=Personal.KEEP)
    assert (await found(store, place, lines[0][0])).answer.text == lines[0][1]


async def test_only_what_is_of_this_route_and_tenant_and_new_enough_is_taken(warmed):
    rows = [
        {"prompt": "a", "answer": "A", "route": "other"},
        {"prompt": "b", "answer": "B", "tenant": "else"},
        {"prompt": "c", "answer": "C", "at": NOW - 100},
        {"prompt": "d", "answer": "D", "at": NOW - 10, "route": "faq", "tenant": "default"},
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    report = await warmed(*lines, since=NOW - 50, dry_run=True)
    assert report.kept == 1
    assert report.left_out == {
        "of another route: other": 1,
        "of another tenant: else (--log-tenant takes it)": 1,
        "older than --since": 1,
    }
    assert (await warmed(*lines, log_tenant="*", dry_run=True)).kept == 3


async def test_rare_questions_are_left_out_and_the_most_asked_come_first(warmed, store, place):
    lines = [LIMIT, BLOCK, BLOCK, BLOCK, BLOCK_AGAIN, BLOCK_AGAIN]
    report = await warmed(*lines, at_least=2, most=1)
    assert (report.questions, report.rare, report.kept) == (3, 2, 1)
    assert await found(store, place, BLOCK[0])


async def test_an_answer_that_the_service_wrote_meanwhile_stays(warmed, store, place):
    await warmed(BLOCK)
    phrasing, answer = await found(store, place, BLOCK[0])
    own = replace(answer, id="ans_own", source_id="", text="Ours.", provenance=Provenance("strong"))
    await store.keep(own, [NewPhrasing(phrasing.key, phrasing.text, Origin.MISS, NOW)])
    report = await warmed(BLOCK, LIMIT)
    assert (report.fresher, report.kept) == (1, 1)
    assert (await found(store, place, BLOCK[0])).answer.text == "Ours."


async def test_what_held_only_for_a_while_is_left_out(warmed, place):
    rule = Calibrated(default_model(), 0.99, make_guards(GUARDS))
    at = Place(replace(place.route, rule=rule), "default")
    line = {"prompt": "What is the latest rate?", "answer": "3 percent.", "at": NOW - 86400 * 9}
    report = await warmed(json.dumps(line) + "\n", LIMIT, at=at)
    assert report.left_out == {"an answer that held only for a while": 1}


async def test_the_newest_tenth_is_asked_of_what_the_rest_would_fill_the_cache_with(warmed):
    old = [{"prompt": f"Is shop {number} open?", "answer": f"Shop {number} is.", "at": number, "cost_usd": 0.5,
            "took_s": 2} for number in range(1, 19)]  # fmt: skip
    again = {"prompt": "is shop 3 open", "answer": "Shop 3 is.", "at": 50, "cost_usd": 0.5, "took_s": 2}
    new = {"prompt": "Where are you?", "answer": "In Rome.", "at": 60}
    lines = [json.dumps(row) + "\n" for row in (new, again, *old)]  # the order of times counts, not that of lines
    report = await warmed(*lines, dry_run=True)
    assert report.estimate == Estimate(asked=2, exact=1, similar=0, wrong=0)
    assert (report.saved_usd, report.saved_s) == (0.5, 2.0)
