"""Tenant, route, instructions, format and history part answers from each other: hard walls, never distances."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, PLACES, settings_in, text_of
from upstreams import simulated

from cacheguard.request import Patient, Request
from cacheguard.telemetry.trace import Trace
from cacheguard.wiring import running

SETTINGS = (
    PLACES
    + """
auth:
  keys:
  - {key: key-of-ann, tenant: ann}
  - {key: second-key-of-ann, tenant: ann}
  - {key: key-of-bob, tenant: bob}
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong]}
  other: {tiers: [strong]}
  loose: {tiers: [strong], cache: {context: none, decision: 0.5}}
"""
)
MISS = "fwd=miss; fwd-status=200; stored"
JSON_FORMAT = {"type": "json_object"}
EARLIER = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, how can I help?"}]


def asked(prompt=LIMIT, *, system=None, earlier=()):
    instructions = [] if system is None else [{"role": "system", "content": system}]
    return [*instructions, *earlier, {"role": "user", "content": prompt}]


@pytest.fixture
def ask(service):
    """Ask as somebody, on some route; whoever asks in this test asks in partitions that no other test asks in."""
    service.provider.play({"text": '{"limit": "raised"}'})  # JSON, which some of the requests here insist on
    aside = service.asker().aside

    def ask(messages=None, *, key="key-of-ann", route="default", **rest):
        return service.asker(key=key, route=route, aside=aside).status(messages or LIMIT, **rest)

    return ask


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
@pytest.mark.parametrize(
    "other",
    [
        {"key": "key-of-bob"},
        {"route": "other"},
        {"response_format": JSON_FORMAT},
        {"max_tokens": 5},
        {"stop": ["\n"]},
        {"reasoning_effort": "low"},
        {"something_new": True},
    ],
    ids=str,
)
def test_whoever_asks_under_other_conditions_never_gets_the_answer(ask, prompt, other):
    assert ask() == MISS
    assert ask(prompt, **other) == MISS
    assert ask(prompt, **other).startswith("hit")


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
@pytest.mark.parametrize(
    "other",
    [
        {"key": "second-key-of-ann"},
        {"temperature": 0.1},
        {"user": "u1"},
        {"stream": False},
        {"response_format": {"type": "text"}},
    ],
    ids=str,
)
def test_what_has_no_bearing_on_the_answer_shares_it(ask, prompt, other):
    assert ask() == MISS
    assert ask(prompt, **other).startswith("hit")


@pytest.mark.parametrize("route", ["default", "loose"])
@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
def test_another_system_prompt_is_another_answer(ask, prompt, route):
    assert ask(asked(system="You are a bank."), route=route) == MISS
    assert ask(asked(prompt, system="You are a pirate."), route=route) == MISS
    assert ask(asked(prompt), route=route) == MISS
    assert ask(asked(prompt, system="You are a bank."), route=route).startswith("hit")


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
def test_with_exact_context_another_history_is_another_answer(ask, prompt):
    assert ask(asked(earlier=EARLIER)) == MISS
    assert ask(asked(prompt)) == MISS
    assert ask(asked(prompt, earlier=[*EARLIER, *EARLIER])) == MISS
    assert ask(asked(prompt, earlier=EARLIER)).startswith("hit")


@pytest.mark.parametrize("prompt", [LIMIT, LIMIT_AGAIN], ids=["exact", "semantic"])
def test_without_context_the_last_turn_alone_is_the_question(ask, prompt):
    assert ask(asked(earlier=EARLIER), route="loose") == MISS
    assert ask(asked(prompt), route="loose").startswith("hit")


def test_who_is_not_known_is_told_so(service):
    for headers in ({}, {"key": "wrong"}, {"Authorization": "Basic a2V5LW9mLWFubg=="}, {"Authorization": "key-of-ann"}):
        for refused in (service.asker(**headers).ask(), service.asker(**headers).get("/v1/models")):
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"


async def test_two_thousand_random_questions_never_cross_a_wall(tmp_path):
    """In process, over real parts: each hit is an answer that was founded behind the same walls."""
    draw = random.Random(7)
    walls = list(
        itertools.product(
            ["ann", "bob", "cy"], ["default", "other"], [None, "You are a bank."], [None, JSON_FORMAT], [(), EARLIER]
        )
    )
    prompts = [LIMIT, LIMIT_AGAIN, PARCEL, "How long does the parcel take?", "Why was my payment declined?"]
    founded = {}
    hits = 0
    with simulated() as provider:
        provider.play({"text": '{"limit": "raised"}'})
        async with running(settings_in(tmp_path, SETTINGS, provider.base_url)) as service:
            for _ in range(2000):
                behind = draw.randrange(len(walls))
                tenant, route, system, form, earlier = walls[behind]
                body = {"model": "m", "messages": asked(draw.choice(prompts), system=system, earlier=earlier)}
                body |= {} if form is None else {"response_format": form}
                reply = await service.answer(Request(tenant, body, Patient(), route), Trace(time.perf_counter))
                assert founded.setdefault(reply.entry, behind) == behind
                hits += reply.status.hit
    assert len(founded) >= 3 * len(walls)
    assert hits > 1500


def test_answers_behind_two_walls_are_two_answers(ask, service):
    service.provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Ann's."}}, {"text": "Bob's."})
    aside = {"asker": "two answers"}
    ann, bob = (service.asker(key=key, aside=aside) for key in ("key-of-ann", "key-of-bob"))
    assert [text_of(asker.ask()) for asker in (ann, bob, ann, bob)] == ["Ann's.", "Bob's.", "Ann's.", "Bob's."]
