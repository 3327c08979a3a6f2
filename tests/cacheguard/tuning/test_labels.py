"""Labels on a real store, with the real model."""

from __future__ import annotations

import json
import time

import pytest
from logs import Unseen, written
from services import SETTINGS, settings_in

from cacheguard.errors import FileUnusable
from cacheguard.place import Place
from cacheguard.question import fold
from cacheguard.scoring import PAIRS_HEADER
from cacheguard.stores.base import Label
from cacheguard.tuning.labels import Gathering
from cacheguard.warming.pipeline import warm
from cacheguard.wiring import running

BLOCK, LIMIT = "How do I block my card?", "What is my daily limit?"


@pytest.fixture
async def service(tmp_path):
    async with running(settings_in(tmp_path, SETTINGS + "routes: {faq: {tiers: [strong]}}")) as service:
        yield service


@pytest.fixture
async def place(tmp_path, service):
    place = Place(service.routes.named("faq"), "default")
    log = tmp_path / "log"
    log.write_text(written(BLOCK, "Here.", "block") + written(LIMIT, "100.", "limit"))
    await warm([log], place, service.store, service.embedder, now=time.time(), progress=Unseen())
    return place


@pytest.fixture
def gathering(service, place):
    return Gathering(place, service.cache, service.store, service.embedder)


@pytest.fixture
def read(tmp_path, gathering):
    """A function that reads these lines as a file of labels."""

    async def read(*lines):
        file = tmp_path / "labels"
        file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return await gathering.from_file(file, lambda _: None)

    return read


@pytest.fixture
def say(service, place):
    """A function that labels what a question got."""

    async def say(text, answer, *, right, at=1.0, by="judge", similarity=0.9):
        scope = place.asked(text).scope.key
        label = Label(scope, "faq", fold(text), text, answer, right, by, at, similarity=similarity)
        await service.store.add_labels([label])

    return say


async def answer_of(service, place, text):
    known = await service.store.exact(place.asked(text).scope.key, fold(text))
    return known.answer


def asked(prompt, answer_id):
    return {"prompt": prompt, "answer_id": answer_id}


async def test_a_stream_gives_questions_with_what_is_near_them(read):
    gathered = await read(asked("How can I block my card?", "block"), asked("Where is the zoo?", "zoo"))
    block, zoo = gathered.labelled
    assert [match.answer.source_id for match in block.matches] == ["block", "limit"]
    assert [block.fits(match.answer) for match in block.matches] == [True, False]
    assert [zoo.fits(match.answer) for match in zoo.matches] == [False, False]
    assert all(match.vector @ block.vector == pytest.approx(match.similarity, abs=1e-3) for match in block.matches)
    assert (gathered.absent, gathered.are_pairs) == (1, False)


async def test_an_equal_text_is_an_exact_match(read):
    [one] = (await read(asked("how do i block my card", "block"))).labelled
    assert one.matches[0].exact


async def test_pairs_are_alone_with_each_other(read):
    gathered = await read(
        PAIRS_HEADER, f"How to block a card?\t{BLOCK}\t1", f"{LIMIT}\t{BLOCK}\t0", f"{BLOCK}\t{BLOCK}\t1"
    )
    assert gathered.are_pairs
    assert [[one.fits(match.answer) for match in one.matches] for one in gathered.labelled] == [[True], [False], [True]]
    assert [one.matches[0].exact for one in gathered.labelled] == [False, False, True]


async def test_what_can_not_be_read_is_counted_and_said(read):
    gathered = await read(
        asked(BLOCK, "block"), "{", asked("", "block"), {"prompt": BLOCK}, asked("word " * 600, "limit")
    )
    assert (len(gathered.labelled), gathered.bad, gathered.cut) == (1, 3, 1)
    assert [line.number for line in gathered.bad_lines] == [2, 3, 4]


@pytest.mark.parametrize("lines", [(), ("{}",), (PAIRS_HEADER,), (PAIRS_HEADER, "one column")])
async def test_a_file_without_a_label_is_refused(read, lines):
    with pytest.raises(FileUnusable, match="labels"):
        await read(*lines)


async def test_the_last_word_on_each_answer_counts(service, place, gathering, say):
    block, limit = await answer_of(service, place, BLOCK), await answer_of(service, place, LIMIT)
    text = "Can I block it?"
    await say(text, block.id, right=False, at=1.0)
    await say(text, limit.id, right=False, at=2.0)
    await say(text, block.id, right=True, at=3.0)
    [one] = (await gathering.from_store()).labelled
    assert [one.fits(answer) for answer in (block, limit)] == [True, False]
    assert one.at == 3.0


async def test_an_answer_that_nobody_spoke_of_is_unknown_and_a_wrong_one_is_still_near(service, place, gathering, say):
    block, limit = await answer_of(service, place, BLOCK), await answer_of(service, place, LIMIT)
    await say("Can I block it?", block.id, right=False)
    [one] = (await gathering.from_store()).labelled
    assert [one.fits(answer) for answer in (block, limit)] == [False, None]
    assert {match.answer.id for match in one.matches} == {block.id, limit.id}


async def test_a_question_that_became_a_phrasing_since_is_judged_as_it_was_asked(service, place, gathering, say):
    block = await answer_of(service, place, BLOCK)
    await say(BLOCK, block.id, right=True)
    await say(LIMIT, block.id, right=False, similarity=1.0, at=2.0)
    became, was_exact = (await gathering.from_store()).labelled
    assert [match.phrasing.text for match in became.matches] == [LIMIT]
    assert was_exact.matches[0].exact


async def test_only_clients_complain(service, place, gathering, say):
    block = await answer_of(service, place, BLOCK)
    await say("Can I block it?", block.id, right=True, by="feedback")
    await say("Can it be blocked?", block.id, right=True, at=2.0, by="feedback")
    await say("Can it be blocked?", block.id, right=True, at=3.0, by="judge")
    assert [one.is_complaint for one in (await gathering.from_store()).labelled] == [True, False]


async def test_all_phrasings_of_the_place_come_with_their_vectors(gathering):
    matches = await gathering.phrasings()
    assert {match.phrasing.text for match in matches} == {BLOCK, LIMIT}
    assert all(match.vector @ match.vector == pytest.approx(1, abs=1e-3) for match in matches)
