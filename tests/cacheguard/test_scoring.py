from __future__ import annotations

import json
import time

import pytest
from logs import Unseen, written
from services import SETTINGS, settings_in

from cacheguard.errors import FileUnusable
from cacheguard.place import Place
from cacheguard.scoring import PAIRS_HEADER, Scoring
from cacheguard.warming.pipeline import warm
from cacheguard.wiring import running

ROUTES = SETTINGS + "routes: {faq: {tiers: [strong]}, near: {tiers: [strong], cache: {decision: 0.8}}}"


@pytest.fixture
async def service(tmp_path):
    async with running(settings_in(tmp_path, ROUTES)) as service:
        yield service


@pytest.fixture
def scored(tmp_path, service):
    """A function that warms a route with (prompt, answer_id) pairs and scores lines on it: rows and summary."""

    async def scored(known, lines, route="near"):
        place = Place(service.routes.named(route), "default")
        if known:
            log = tmp_path / "log"
            log.write_text("".join(written(prompt, f"It is {id_}.", id_) for prompt, id_ in known))
            await warm([log], place, service.store, service.embedder, now=time.time(), progress=Unseen())
        file = tmp_path / "file"
        file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        scoring = Scoring(place, service.corridor, service.embedder)
        rows = [row async for row in scoring.rows(file, lambda _: None)]
        return rows, scoring.summary

    return scored


def replay(prompt, answer_id):
    return {"prompt": prompt, "answer_id": answer_id}


KNOWN = [("How do I block my card?", "block"), ("What is my daily limit?", "limit")]


async def test_a_stream_tells_what_would_be_served_and_what_is_nearest(scored):
    asked = [
        replay("how do I block my card", "block"),
        replay("How can I block my card?", "block"),
        replay("How do I block my new card?", "new-card"),
        replay("Where is the nearest zoo?", "zoo"),
    ]
    rows, summary = await scored(KNOWN, asked)
    exact, near, wrong, far = map(json.loads, rows)
    assert exact == asked[0] | {"served": "block", "nearest": "block", "similarity": 1.0, "confidence": 1.0}
    assert (near["served"], near["nearest"]) == ("block", "block")
    assert 0.9 < near["similarity"] == near["confidence"] < 1
    assert wrong["served"] == "block"
    assert far["served"] is None
    assert far["nearest"] in {"block", "limit"}
    assert (summary.scored, summary.served, summary.wrong) == (4, 3, 1)


async def test_an_empty_cache_serves_nothing_and_is_sure_of_nothing(scored):
    rows, summary = await scored([], [replay("How do I block my card?", "block")])
    assert json.loads(rows[0]) == replay("How do I block my card?", "block") | {
        "served": None,
        "nearest": None,
        "similarity": None,
        "confidence": 0.0,
    }
    assert summary.served == 0


async def test_a_confidence_is_never_below_0(scored):
    rows, _ = await scored([("Where do penguins sleep?", "penguins")], [replay("0x7f 0b1 == NULL;", "x")])
    row = json.loads(rows[0])
    assert row["confidence"] == max(0.0, row["similarity"])


async def test_lines_that_cannot_be_scored_are_counted_and_left_out(scored):
    lines = [replay(" ", "a"), "no json", {"prompt": "a question without its answer"}, replay("What limit?", "limit")]
    rows, summary = await scored(KNOWN, lines)
    assert len(rows) == 1
    assert [(line.number, line.reason) for line in summary.bad_lines] == [
        (1, "'prompt' is blank"),
        (2, "is not JSON: Expecting value at column 1"),
        (3, "lacks 'answer_id'"),
    ]


async def test_rows_come_in_the_order_of_the_file(scored):
    asked = [replay(f"question number {number}", str(number)) for number in range(300)]
    rows, _ = await scored(KNOWN, asked)
    assert [json.loads(row)["answer_id"] for row in rows] == [str(number) for number in range(300)]


async def test_pairs_get_their_columns(scored):
    pairs = [
        PAIRS_HEADER,
        "How do I block my card?\tHOW do I block my card\t1",
        "How do I block my card?\tHow can I block my card?\t1",
        "How do I block my card?\tHow do I block my new card?\t0",
        "How do I block my card?\tWhere is the zoo?\t0",
    ]
    rows, summary = await scored([], pairs)
    assert rows[0].split("\t") == ["prompt_a", "prompt_b", "same", "similarity", "confidence", "decision"]
    assert [row.split("\t")[:3] for row in rows[1:]] == [pair.split("\t") for pair in pairs[1:]]
    assert [row.split("\t")[5] for row in rows[1:]] == ["hit", "hit", "hit", "miss"]
    assert rows[1].split("\t")[3:5] == ["1.000000", "1.000000"]
    assert (summary.scored, summary.served, summary.wrong) == (4, 3, 1)


async def test_pairs_follow_the_rule_of_the_route(scored):
    pair = [PAIRS_HEADER, "How do I block my card?\tHow do I block my new card?\t0"]
    near, _ = await scored([], pair, route="near")
    cautious, _ = await scored([], pair, route="faq")
    assert [rows[1].split("\t")[5] for rows in (near, cautious)] == ["hit", "miss"]


async def test_a_pair_with_a_prompt_that_is_cut_is_a_miss(scored):
    long = "word " * 1000
    rows, _ = await scored([], [PAIRS_HEADER, f"{long}one\t{long}two\t0"])
    assert rows[1].split("\t")[4:] == ["0.000000", "miss"]


async def test_pairs_with_missing_columns_are_counted(scored):
    rows, summary = await scored([], [PAIRS_HEADER, "a\tb", "a\tb\tyes", "\tb\t1", "a\ta\t1"])
    assert len(rows) == 2
    assert [line.number for line in summary.bad_lines] == [2, 3, 4]


@pytest.mark.parametrize("lines", [[], ["neither\tstream\tnor pairs"], [PAIRS_HEADER]])
async def test_a_file_without_one_usable_line_is_an_error(scored, lines):
    with pytest.raises(FileUnusable, match="file"):
        await scored([], lines)
