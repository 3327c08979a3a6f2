"""What a reply says happened: Cache-Status (RFC 9211), age, who wrote it."""

from __future__ import annotations

import pytest

from cacheguard.cascade.outcome import Attempt, Tried
from cacheguard.completion_id import phrasing_of
from cacheguard.matching.decide import Hit, Judged, Match, Miss, MissReason, Stale
from cacheguard.matching.freshness import Directives, Freshness, Use
from cacheguard.providers.chat_shape import write_completion
from cacheguard.reply import CacheStatus, Landed, forwarded, landed_earlier, landed_reply, served
from cacheguard.types import Answer, Origin, Phrasing, Provenance

WRITTEN_AT = 1_700_000_000.0
STRONG = Provenance("strong", "gpt-5", cost_usd=0.002)
MISSED = CacheStatus(forwarded="miss")


def match(*, exact=True, model="gpt-5", similarity=1.0):
    written = Answer("ans_1", "scope", "acme", "faq", "In two days.", Provenance("strong", model, 0.002), 0, WRITTEN_AT)
    phrasing = Phrasing(7, "ans_1", "scope", "when", "When?", Origin.MISS, 0)
    return Match(phrasing, written, similarity, exact)


def judged(**facts):
    return Judged(match(**facts), 0.97, accepted=True)


def landed(**facts):
    facts = {"tried": Tried((Attempt("strong", "gpt-5", 0.4),)), "kept": match()} | facts
    return Landed(write_completion("In two days.", "gpt-5", WRITTEN_AT), STRONG, **facts)


@pytest.mark.parametrize(
    ("status", "written"),
    [
        (CacheStatus(hit=True, ttl_s=3512.4, detail="exact"), "cacheguard; hit; ttl=3512; detail=exact"),
        (CacheStatus(hit=True, ttl_s=-90, detail="semantic-stale"), "cacheguard; hit; ttl=-90; detail=semantic-stale"),
        (CacheStatus(hit=True, ttl_s=812, detail="semantic"), "cacheguard; hit; ttl=812; detail=semantic"),
        (CacheStatus(hit=True, ttl_s=0, detail="exact"), "cacheguard; hit; ttl=0; detail=exact"),
        (CacheStatus(hit=True, ttl_s=-0.4, detail="exact-stale"), "cacheguard; hit; ttl=0; detail=exact-stale"),
        (
            CacheStatus(forwarded="miss", forwarded_status=200, stored=True),
            "cacheguard; fwd=miss; fwd-status=200; stored",
        ),
        (CacheStatus(forwarded="miss", collapsed=True), "cacheguard; fwd=miss; collapsed"),
        (CacheStatus(forwarded="bypass", detail="tools"), "cacheguard; fwd=bypass; detail=tools"),
    ],
)
def test_the_status_is_written_as_the_contract_says(status, written):
    assert str(status) == written


@pytest.mark.parametrize(
    ("decision", "directives", "written"),
    [
        (Miss(MissReason.NOTHING_NEAR), Directives(), "cacheguard; fwd=miss"),
        (Miss(MissReason.NOT_SURE, judged()), Directives(), "cacheguard; fwd=miss"),
        (Miss(MissReason.READ_OFF), Directives(), "cacheguard; fwd=miss"),
        (Miss(MissReason.CUT), Directives(), "cacheguard; fwd=miss; detail=cut"),
        (Miss(MissReason.CACHE_BROKEN), Directives(), "cacheguard; fwd=miss; detail=cache-broken"),
        (Miss(MissReason.EXPIRED, judged()), Directives(), "cacheguard; fwd=stale"),
        (Stale(judged(), Freshness(Use.ON_ERROR, 90, -30), servable=False), Directives(), "cacheguard; fwd=stale"),
        (
            Stale(judged(), Freshness(Use.ON_ERROR, 9, 51), servable=False),
            Directives(no_cache=True),
            "cacheguard; fwd=request",
        ),
        (Miss(MissReason.NOTHING_NEAR), Directives(no_cache=True), "cacheguard; fwd=request"),
    ],
)
def test_a_forwarded_request_says_why(decision, directives, written):
    assert str(forwarded(decision, directives)) == written


def test_an_exact_hit_carries_its_phrasing_in_its_id():
    reply = served(Hit(judged(), Freshness(Use.FRESH, 9, 51)), "faq", "asked-model")
    assert str(reply.status) == "cacheguard; hit; ttl=51; detail=exact"
    assert (phrasing_of(reply.completion_id), reply.age_s, reply.entry, reply.similarity) == (7, 9, "ans_1", 1.0)


def test_a_semantic_hit_carries_none():
    """Its words are not those of the phrasing, so feedback must not fall on the phrasing."""
    reply = served(Hit(judged(exact=False, similarity=0.98), Freshness(Use.FRESH, 9, 51)), "faq", "asked-model")
    assert str(reply.status) == "cacheguard; hit; ttl=51; detail=semantic"
    assert (phrasing_of(reply.completion_id), reply.similarity) == (None, 0.98)


def test_a_stale_answer_says_so():
    stale = Stale(judged(), Freshness(Use.WHILE_REVALIDATE, 61, -1), servable=True)
    assert str(served(stale, "faq", "m").status) == "cacheguard; hit; ttl=-1; detail=exact-stale"


@pytest.mark.parametrize(("wrote", "told"), [("gpt-5", "gpt-5"), ("", "asked-model")])
def test_a_hit_names_the_model_that_wrote_it_and_else_the_one_asked_for(wrote, told):
    reply = served(Hit(judged(model=wrote), Freshness(Use.FRESH, 9, 51)), "faq", "asked-model")
    assert reply.content.body["model"] == told
    assert reply.content.body["created"] == WRITTEN_AT


def test_a_kept_answer_is_told_as_stored():
    reply = landed_reply(MISSED, "faq", landed())
    assert str(reply.status) == "cacheguard; fwd=miss; fwd-status=200; stored"
    assert (phrasing_of(reply.completion_id), reply.entry, reply.cost_usd) == (7, "ans_1", 0.002)


def test_an_answer_that_was_not_kept_is_not_told_as_stored():
    reply = landed_reply(MISSED, "faq", landed(kept=None))
    assert str(reply.status) == "cacheguard; fwd=miss; fwd-status=200"
    assert (phrasing_of(reply.completion_id), reply.entry) == (None, "")


def test_a_template_had_no_upstream():
    reply = landed_reply(MISSED, "faq", landed(kept=None, is_template=True))
    assert str(reply.status) == "cacheguard; fwd=miss; detail=template"


def test_who_shares_anothers_call_neither_forwards_nor_stores_nor_pays():
    reply = landed_reply(CacheStatus(forwarded="miss", collapsed=True), "faq", landed())
    assert str(reply.status) == "cacheguard; fwd=miss; collapsed"
    assert reply.cost_usd == 0.0


def test_an_answer_that_another_call_kept_a_moment_ago_counts_as_shared():
    reply = landed_reply(MISSED, "faq", landed_earlier(match()))
    assert str(reply.status) == "cacheguard; fwd=miss; collapsed"
    assert (reply.content.text, reply.tier, reply.cost_usd) == ("In two days.", "strong", 0.0)
