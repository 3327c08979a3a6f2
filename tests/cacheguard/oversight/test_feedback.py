"""What clients say of answers: a wrong one is never given to that question again, and every verdict is a label."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, PLACES, cache_status, running, text_of

SETTINGS = (
    PLACES
    + """
auth:
  keys:
  - {key: key-of-ann, tenant: ann}
  - {key: key-of-bob, tenant: bob}
tiers: {strong: {provider: host, model: strong-model}}
"""
)
EXACT, SEMANTIC = "hit; ttl=86400; detail=exact", "hit; ttl=86400; detail=semantic"
OLD_THEN_NEW = ({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder):
    with running(folder, SETTINGS) as service:
        yield service


@pytest.fixture
def asker(service):
    service.provider.play(*OLD_THEN_NEW)
    return service.asker(key="key-of-ann")


@pytest.fixture
def labels(folder):
    """The newest label, as the store's file has it."""

    def newest():
        with closing(sqlite3.connect(folder / "cache.db")) as db:
            return db.execute(
                "SELECT text, is_right, said_by, note, similarity FROM labels ORDER BY id DESC"
            ).fetchone()

    return newest


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_founded_answer_is_never_given_again(asker, labels, stream):
    founded = asker.ask(stream=stream)
    assert asker.feedback(founded, "wrong", note="another country's").status_code == 202
    again = asker.ask()
    assert (text_of(again), cache_status(again)) == ("New.", "fwd=miss; fwd-status=200; stored")
    assert labels() == (LIMIT, 0, "feedback", "another country's", 1.0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_exact_hit_is_never_given_again(asker, labels, stream):
    asker.ask()
    hit = asker.ask(stream=stream)
    assert cache_status(hit) == EXACT
    asker.feedback(hit, "wrong")
    assert text_of(asker.ask()) == "New."
    assert labels() == (LIMIT, 0, "feedback", "", 1.0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_semantic_hit_is_never_given_to_that_question_and_stays_for_others(asker, labels, stream):
    asker.ask()
    hit = asker.ask(LIMIT_AGAIN, stream=stream)
    assert cache_status(hit) == SEMANTIC
    asker.feedback(hit, "wrong")
    text, is_right, *_, similarity = labels()
    assert (text, is_right) == (LIMIT_AGAIN, 0)
    assert 0.97 < similarity < 1
    again = asker.ask(LIMIT_AGAIN)
    assert (text_of(again), cache_status(again)) == ("New.", "fwd=miss; fwd-status=200; stored")
    assert text_of(asker.ask(LIMIT)) == "Old."
    assert text_of(asker.ask(LIMIT_AGAIN)) == "New."


def test_a_question_whose_answer_was_wrong_does_not_get_it_by_similarity_either(asker):
    asker.ask()
    near = asker.ask(LIMIT_AGAIN, cache_control="no-cache")  # founds an answer of its own
    asker.feedback(near, "wrong")
    first = asker.ask(LIMIT_AGAIN)
    assert cache_status(first) == SEMANTIC  # of the other answer
    asker.feedback(first, "wrong")
    assert asker.status(LIMIT_AGAIN) == "fwd=miss; fwd-status=200; stored"


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
def test_a_right_answer_becomes_a_label_and_stays(asker, labels, prompt):
    asker.ask()
    hit = asker.ask(prompt)
    assert asker.feedback(hit, "right").status_code == 202
    assert labels()[:2] == (prompt, 1)
    assert text_of(asker.ask(prompt)) == "Old."


def test_a_verdict_can_be_taken_back(asker):
    asker.ask()
    hit = asker.ask(LIMIT_AGAIN)
    asker.feedback(hit, "wrong")
    asker.feedback(hit, "right")
    assert text_of(asker.ask(LIMIT_AGAIN)) == "Old."


@pytest.mark.parametrize("stream", [False, True])
async def test_who_shared_a_call_can_judge_its_answer(service, asker, stream):
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(*[asker.body(stream=stream)] * 2))
        await service.waits_for(lambda: service.waiting == 2)
    (shared,) = (response for response in await asking if "collapsed" in cache_status(response))
    assert asker.feedback(shared, "wrong").status_code == 202
    assert text_of(asker.ask()) == "New."


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
def test_another_tenant_can_not_judge(service, asker, prompt):
    asker.ask()
    hit = asker.ask(prompt)
    bob = service.asker(key="key-of-bob")
    refused = bob.feedback(hit, "wrong")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "completion_not_found"
    assert text_of(asker.ask(prompt)) == "Old."


@pytest.mark.parametrize(
    "completion_id",
    [
        "chatcmpl-unknown",
        "chatcmpl-pffffff-000000000000",
        f"chatcmpl-p{'f' * 40}-000000000000",
        "x" * 10_000,
        "\x00",
        "ü'--",
    ],
    ids=lambda id_: id_[:20],
)
def test_an_id_that_nobody_gave_is_unknown(asker, completion_id):
    refused = asker.post("/v1/feedback", json={"id": completion_id, "verdict": "wrong"})
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "completion_not_found"


def test_an_answer_that_was_not_kept_is_unknown(asker):
    assert asker.feedback(asker.ask(cache_control="no-store"), "wrong").status_code == 404


def test_a_withdrawn_answer_is_unknown_from_then_on(asker):
    founded = asker.ask()
    assert [asker.feedback(founded, "wrong").status_code for _ in range(2)] == [202, 404]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"id": "chatcmpl-1", "verdict": "bad"}, "verdict"),
        ({"id": "chatcmpl-1", "verdict": None}, "verdict"),
        ({"id": "chatcmpl-1"}, "verdict"),
        ({"verdict": "wrong"}, "id"),
        ({"id": "", "verdict": "wrong"}, "id"),
        ({"id": 7, "verdict": "wrong"}, "id"),
        ({"id": "chatcmpl-1", "verdict": "wrong", "note": 7}, "note"),
        ({"id": "chatcmpl-1", "verdict": "wrong", "why": ""}, "why"),
        ([], None),
    ],
    ids=str,
)
def test_a_bad_verdict_is_refused_by_name(asker, body, param):
    refused = asker.post("/v1/feedback", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


def test_feedback_needs_a_key(service):
    assert service.asker().post("/v1/feedback", json={"id": "x", "verdict": "wrong"}).status_code == 401


def test_a_wrong_verdict_outlives_a_restart(tmp_path):
    with running(tmp_path) as before:
        before.provider.play(*OLD_THEN_NEW)
        asker = before.asker()
        asker.ask()
        asker.feedback(asker.ask(LIMIT_AGAIN), "wrong")
    with running(tmp_path, clock=before.clock) as after:
        again = after.asker(aside=asker.aside)
        assert again.status(LIMIT_AGAIN) == "fwd=miss; fwd-status=200; stored"
        assert again.status(LIMIT) == EXACT
        assert again.status(PARCEL) == "fwd=miss; fwd-status=200; stored"
