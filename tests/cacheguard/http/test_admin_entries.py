"""Who runs the service mends answers: more phrasings, two made one, one made two, what is to go."""

from __future__ import annotations

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, PLACES, cache_status, text_of

SETTINGS = (
    PLACES
    + """
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong], cache: {decision: 0.97, guards: []}}
  picky: {tiers: [strong], cache: {decision: 0.995, guards: []}}
"""
)
SEMANTIC, EXACT = "hit; ttl=86400; detail=semantic", "hit; ttl=86400; detail=exact"
OTHER = "Raise it, please: the limit"
ENTRIES = "/admin/api/entries"


@pytest.fixture
def entry(asker, provider):
    """The answer to LIMIT, which says «Old.»; any other says «New.»"""
    provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    return asker.ask().headers["x-cacheguard-entry"]


def test_an_answer_is_shown_with_its_phrasings(asker, entry):
    shown = asker.get(f"{ENTRIES}/{entry}").json()
    assert (shown["id"], shown["text"], shown["route"], shown["tier"]) == (entry, "Old.", "default", "strong")
    assert [(one["text"], one["origin"]) for one in shown["phrasings"]] == [(LIMIT, "miss")]


def test_a_text_becomes_a_phrasing(asker, entry):
    shown = asker.post(f"{ENTRIES}/{entry}/phrasings", json={"text": OTHER}).json()
    assert [(one["text"], one["origin"]) for one in shown["phrasings"]] == [(LIMIT, "miss"), (OTHER, "person")]
    again = asker.ask(OTHER)
    assert (text_of(again), cache_status(again)) == ("Old.", EXACT)


def test_a_person_gives_back_what_a_client_called_wrong(asker, entry):
    asker.feedback(asker.ask(LIMIT_AGAIN), "wrong")
    assert text_of(asker.ask(LIMIT_AGAIN)) == "New."
    asker.post(f"{ENTRIES}/{entry}/phrasings", json={"text": LIMIT_AGAIN})
    assert text_of(asker.ask(LIMIT_AGAIN)) == "Old."


def test_two_answers_become_one(asker, entry):
    other = asker.ask(PARCEL).headers["x-cacheguard-entry"]
    merged = asker.post(f"{ENTRIES}/{other}/merge", json={"into": entry})
    assert [one["text"] for one in merged.json()["phrasings"]] == [LIMIT, PARCEL]
    assert text_of(asker.ask(PARCEL)) == "Old."
    assert asker.get(f"{ENTRIES}/{other}").status_code == 404


def test_a_pair_that_was_called_wrong_does_not_come_back_by_a_merge(asker, entry):
    hit = asker.ask(LIMIT_AGAIN)
    asker.feedback(hit, "wrong")
    other = asker.ask(LIMIT_AGAIN).headers["x-cacheguard-entry"]
    assert asker.post(f"{ENTRIES}/{other}/merge", json={"into": entry}).status_code == 200
    assert text_of(asker.ask(LIMIT_AGAIN)) == "New."


def test_answers_for_different_conditions_are_not_merged(asker, entry):
    other = asker.ask(PARCEL, max_tokens=50).headers["x-cacheguard-entry"]
    refused = asker.post(f"{ENTRIES}/{other}/merge", json={"into": entry})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "into")
    assert asker.post(f"{ENTRIES}/{entry}/merge", json={"into": entry}).status_code == 400
    assert asker.post(f"{ENTRIES}/{entry}/merge", json={"into": "ans_none"}).status_code == 404


def test_one_answer_becomes_two(asker, entry):
    shown = asker.post(f"{ENTRIES}/{entry}/phrasings", json={"text": OTHER}).json()
    leaving = shown["phrasings"][1]["id"]
    new = asker.post(f"{ENTRIES}/{entry}/split", json={"phrasings": [leaving], "text": "Say which."}).json()
    assert new["id"] != entry
    assert [(one["id"], one["text"], one["origin"]) for one in new["phrasings"]] == [(leaving, OTHER, "person")]
    assert (text_of(asker.ask(OTHER)), text_of(asker.ask(LIMIT))) == ("Say which.", "Old.")


@pytest.mark.parametrize("numbers", [[], [10**9]])
def test_an_answer_is_split_by_its_own_phrasings(asker, entry, numbers):
    refused = asker.post(f"{ENTRIES}/{entry}/split", json={"phrasings": numbers})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "phrasings")


def test_an_answer_does_not_lose_all_its_phrasings_by_a_split(asker, entry):
    [only] = asker.get(f"{ENTRIES}/{entry}").json()["phrasings"]
    assert asker.post(f"{ENTRIES}/{entry}/split", json={"phrasings": [only["id"]]}).status_code == 400


def test_what_is_deleted_is_gone(service, asker, entry):
    shown = asker.post(f"{ENTRIES}/{entry}/phrasings", json={"text": OTHER}).json()
    delete = asker._http.delete
    assert delete(f"{ENTRIES}/{entry}/phrasings/{shown['phrasings'][1]['id']}").status_code == 204
    assert text_of(asker.ask(OTHER)) == "New."
    assert delete(f"{ENTRIES}/{entry}/phrasings/x").status_code == 404
    assert delete(f"{ENTRIES}/{entry}").status_code == 204
    assert text_of(asker.ask(LIMIT)) == "New."
    assert delete(f"{ENTRIES}/{entry}").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("phrasings", {"text": ""}, "text"),
        ("phrasings", {}, "text"),
        ("merge", {"into": 7}, "into"),
        ("split", {"phrasings": ["1"]}, "phrasings.0"),
        ("split", {"phrasings": [1], "why": ""}, "why"),
    ],
)
def test_a_bad_wish_is_refused_by_name(asker, entry, path, body, param):
    refused = asker.post(f"{ENTRIES}/{entry}/{path}", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def queue(asker, route="default", **rest):
    return asker.get("/admin/api/review", params={"route": route, **rest}).json()["review"]


async def newest(service, asker, question, route="default"):
    """What waits for review: a hit is noted soon after it was given."""
    await service.waits_for(lambda: [one["question"] for one in queue(asker, route, limit=1)] == [question])
    [waiting] = queue(asker, route, limit=1)
    return waiting


async def test_hits_and_near_misses_wait_for_review_newest_first(service, asker, provider):
    provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    picky = service.asker(route="picky")
    entry = picky.ask().headers["x-cacheguard-entry"]
    picky.ask(LIMIT_AGAIN)
    near = await newest(service, asker, LIMIT_AGAIN, "picky")
    assert (near["kind"], near["question"], near["known_question"]) == ("near-miss", LIMIT_AGAIN, LIMIT)
    assert (near["entry"], near["answer"]) == (entry, "Old.")
    assert 0.97 < near["similarity"] < 0.995
    said = asker.post("/admin/api/review", json={"id": near["id"], "verdict": "right"})
    assert said.json() == {"status": "accepted"}
    assert near["id"] not in {one["id"] for one in queue(asker, "picky")}
    again = picky.ask(LIMIT_AGAIN)
    assert (text_of(again), cache_status(again)) == ("Old.", EXACT)


async def test_a_hit_that_a_person_finds_wrong_is_withdrawn(service, asker, entry):
    hit = asker.ask(LIMIT_AGAIN)
    waiting = await newest(service, asker, LIMIT_AGAIN)
    assert (waiting["id"], waiting["kind"]) == (hit.json()["id"], "hit")
    asker.post("/admin/api/review", json={"id": waiting["id"], "verdict": "wrong", "note": "Another card."})
    assert text_of(asker.ask(LIMIT_AGAIN)) == "New."
    label = asker.get("/admin/api/labels?limit=1").json()["labels"][0]
    assert (label["by"], label["verdict"], label["note"]) == ("person", "wrong", "Another card.")


def test_what_a_tier_answered_waits_for_no_review(asker, entry):
    streamed = asker.ask(PARCEL, stream=True)
    assert cache_status(streamed).startswith("fwd=miss")
    assert PARCEL not in {one["question"] for one in queue(asker)}


def test_what_does_not_wait_can_not_be_judged(asker):
    unknown = asker.post("/admin/api/review", json={"id": "near-none", "verdict": "right"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "case_not_found")


async def test_a_client_can_not_judge_a_near_miss(service, asker, provider):
    picky = service.asker(route="picky")
    picky.ask()
    picky.ask(LIMIT_AGAIN)
    near = await newest(service, asker, LIMIT_AGAIN, "picky")
    refused = picky.post("/v1/feedback", json={"id": near["id"], "verdict": "right"})
    assert refused.status_code == 404


@pytest.mark.parametrize("path", ["/admin/api/labels", "/admin/api/review"])
def test_a_route_or_limit_that_is_none_is_named(asker, path):
    assert asker.get(path, params={"route": "none"}).json()["error"]["code"] == "route_not_found"
    assert asker.get(path, params={"limit": "all"}).json()["error"]["param"] == "limit"


def test_a_route_tells_its_rule_and_how_its_hits_did(asker, entry):
    asker.feedback(asker.ask(LIMIT_AGAIN), "right")
    route = asker.get("/admin/api/routes").json()["routes"][0]
    assert route["rule"] == {"version": 0, "by": "settings", "since": None, "threshold": 0.97}
    assert (route["max_wrong_hits"], route["promise_broken"]) == (None, False)
    assert route["labels"]["feedback"]["right"] >= 1
    assert (route["hits"]["judged"], route["hits"]["wrong_share_at_most"]) == (0, 1.0)
    assert route["hits"]["given"] >= 1
