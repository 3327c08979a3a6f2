"""`cacheguard entries` and `cacheguard invalidate` as people use them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from dataclasses import replace

import pytest
import typer
from programs import configure

from cacheguard.cli.cached import NO_MODEL, seconds
from cacheguard.stores.base import NewPhrasing
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.types import Answer, Origin, Provenance

DAY_S = 86400
ANSWER = Answer("", "s1", "one", "faq", "500 €", Provenance("log"), 0, 0)


@pytest.fixture
def folder(tmp_path):
    """Three answers, of two routes and tenants, written now, 3 and 30 days ago."""
    configure(tmp_path, "http://127.0.0.1:9/v1")
    now = time.time()
    before, long_before = now - 3 * DAY_S, now - 30 * DAY_S
    strong = Provenance("strong", "m-1")
    answers = [
        Answer("ans_1", "s1", "one", "faq", "Tap\x1b[31m Block.", strong, now, now, tags=("cards",)),
        replace(ANSWER, id="ans_2", created_at=before, refreshed_at=before),
        Answer("ans_3", "s2", "two", "shop", "At 9.", Provenance("log"), long_before, long_before),
    ]
    fill(tmp_path, answers)
    return tmp_path


def fill(folder, answers):
    """Keep the answers, each with two phrasings."""

    async def keep():
        store = SqliteStore(folder / ".cacheguard" / "cache.db")
        await store.open(NO_MODEL)
        for answer in answers:
            texts = [f"{answer.id} asked {how}" for how in ("so", "thus")]
            await store.keep(answer, [NewPhrasing(text, text, Origin.LOG, 0) for text in texts])
        await store.aclose()

    asyncio.run(keep())


@pytest.fixture
def ids(folder, command):
    """A function that lists the ids of the answers that fit these options."""

    def ids(*options):
        ended = command("entries", "list", "--json", *options)
        assert ended.status == 0, ended.err
        return [json.loads(line)["id"] for line in ended.out.splitlines()]

    return ids


def test_a_listing_shows_every_answer_and_no_escape_sequence(folder, command):
    listing = command("entries", "list").out
    assert listing.index("ans_3") < listing.index("ans_2") < listing.index("ans_1")
    assert "\x1b" not in listing
    assert "500 €" in listing


def test_a_long_listing_is_told_page_by_page(folder, command):
    fill(folder, [replace(ANSWER, id=f"more_{number}") for number in range(250)])
    listing = command("entries", "list").out
    assert sum(line.lstrip().startswith(("ans_", "more_")) for line in listing.splitlines()) == 253


def test_filters_choose_what_fits_all_of_them(folder, command, ids):
    assert ids("--route", "faq", "--older-than", "2d") == ["ans_2"]
    assert ids("--tag", "cards", "--tenant", "one", "--model", "m-1") == ["ans_1"]


def test_an_answer_is_shown_with_its_phrasings_or_missed_by_name(folder, command):
    shown = command("entries", "show", "ans_2").out
    assert "500 €" in shown
    assert "ans_2 asked so" in shown
    assert "ans_2 asked thus" in shown
    missed = command("entries", "show", "ans_9")
    assert missed.status == 1
    assert "there is no answer 'ans_9'" in missed.err


def test_answers_and_single_phrasings_are_deleted(folder, command, ids):
    shown = json.loads(command("entries", "show", "ans_2", "--json").out)
    ended = command("entries", "delete", "ans_1", shown["phrasings"][0]["id"], "ans_9")
    assert ended.status == 1
    assert ended.out == "2 deleted\n"
    assert "there is no ans_9" in ended.err
    assert ids() == ["ans_3", "ans_2"]
    left = json.loads(command("entries", "show", "ans_2", "--json").out)["phrasings"]
    assert [phrasing["text"] for phrasing in left] == ["ans_2 asked thus"]


def test_what_is_invalidated_is_gone_and_a_dry_run_removes_nothing(folder, command, ids):
    dry = command("invalidate", "--older-than", "7d", "--dry-run")
    assert dry.out == "1 answers would go\n"
    assert len(ids()) == 3
    assert command("invalidate", "--older-than", "7d").out == "1 answers removed\n"
    assert ids() == ["ans_2", "ans_1"]
    assert command("invalidate", "--route", "shop").out == "0 answers removed\n"


def test_everything_goes_only_on_a_yes(folder, command, ids):
    ended = command("invalidate")
    assert ended.status == 2
    assert "--yes" in ended.err
    assert len(ids()) == 3
    assert command("invalidate", "--yes").out == "3 answers removed\n"


def test_a_cache_moves_by_export_and_import(folder, command):
    assert command("entries", "export", "faq.jsonl", "--route", "faq").status == 0
    configure(folder, "http://127.0.0.1:9/v1", store={"url": "sqlite:///./other.db"})
    ended = command("entries", "import", "faq.jsonl")
    assert ended.out == "2 answers, 4 phrasings, 0 labels, 0 rules\n", ended.err
    assert command("entries", "export").out == (folder / "faq.jsonl").read_text()


def test_re_embedding_is_the_way_out_that_a_changed_model_names(folder, command):
    (folder / "log").write_text(json.dumps({"prompt": "How?", "answer": "So."}))
    assert command("warm", "log", "--route", "default").status == 0
    db = sqlite3.connect(folder / ".cacheguard" / "cache.db")
    with db:
        db.execute("UPDATE models SET fingerprint = 'former' WHERE fingerprint <> ''")
    db.close()
    refused = command("warm", "log", "--route", "default")
    assert refused.status == 2
    assert "`cacheguard entries re-embed`" in refused.err
    assert command("entries", "re-embed").out.startswith("1 vectors made anew")
    assert command("entries", "re-embed").out.startswith("0 vectors made anew")
    assert command("warm", "log", "--route", "default").status == 0


@pytest.mark.parametrize(
    ("age", "expected"), [("45s", 45), ("30m", 1800), ("12h", 43200), ("1.5d", 129600), ("2w", 1209600)]
)
def test_durations_are_numbers_with_a_unit(age, expected):
    assert seconds(age) == expected


@pytest.mark.parametrize("age", ["7", "d", "-7d", "7 days", "7D", "1e9d", "٧d", ""])
def test_what_is_no_duration_is_refused(age):
    with pytest.raises(typer.TyperException, match="is no duration: write a number and one of s, m, h, d, w"):
        seconds(age)
