"""Conversations of several turns: what a follow-up gets, and what a question gets that needs no turn before it."""

from __future__ import annotations

import pytest
from services import LIMIT, LIMIT_AGAIN, PLACES, cache_status, text_of

SETTINGS = (
    PLACES
    + """
auth:
  keys:
  - {key: key-of-ann, tenant: ann}
  - {key: key-of-bob, tenant: bob}
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong], cache: {context: chain}}
  loosest: {tiers: [strong], cache: {context: chain, decision: 0.01}}
  exact: {tiers: [strong], cache: {context: exact}}
  none: {tiers: [strong], cache: {context: none}}
  brief:
    tiers: [strong]
    cache: {context: chain, ttl_s: 100, stale_while_revalidate_s: 100, stale_if_error_s: 1000}
"""
)
FOLLOW_UPS = [
    "How old is he?",
    "How much is it?",
    "What about the other one?",
    "And in winter?",
    "Why?",
    "yes",
    "Tell me more.",
    "What are the side effects?",
    "Translate that into French.",
    "¿Cuánto cuesta?",
    "und im Winter?",
    "多少钱？",
]


@pytest.fixture
def asker(service):
    service.behaves()
    return service.asker(key="key-of-ann")


def on_route(service, route, key="key-of-ann", **rest):
    service.behaves()
    return service.asker(key=key, route=route, **rest)


def chat(*said):
    """What user and assistant say by turns."""
    return [{"role": "user" if at % 2 == 0 else "assistant", "content": text} for at, text in enumerate(said)]


def talk(asker, *questions, **rest):
    """A conversation as a client leads it; each answer goes back as a turn. The responses."""
    said, responses = [], []
    for question in questions:
        responses.append(asker.ask(chat(*said, question), **rest))
        said += [question, text_of(responses[-1])]
    return responses


def outcomes(responses):
    """What kind of hit each is, or "miss": the head of a stream does not say yet whether it is kept."""
    said = [cache_status(response) for response in responses]
    return ["miss" if one.startswith("fwd=miss; fwd-status=200") else one.partition("detail=")[2] for one in said]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("follow_up", FOLLOW_UPS)
def test_a_follow_up_is_never_answered_from_another_history(service, follow_up, stream):
    """Seen in GPTCache (8): «how old is he» was answered about another person. At the lowest threshold there is."""
    asker = on_route(service, "loosest")
    others = [
        chat(follow_up),
        chat("Who is Anand?", "A chess player.", follow_up),
        chat("Who is Carlsen?", "A chess player.", follow_up),
        chat("Who is Anand?", "A film maker.", follow_up),
        chat("Who is Carlsen?", "A chess player.", "Who is Anand?", "A chess player.", follow_up),
        chat("hello", "Shall we speak of Anand?", follow_up),
    ]
    assert outcomes(asker.ask(messages, stream=stream) for messages in others) == ["miss"] * len(others)
    assert outcomes(asker.ask(messages, stream=stream) for messages in others) == ["exact"] * len(others)


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_conversation_is_answered_from_the_cache_to_its_end(asker, stream):
    questions = ("Who is Anand?", "How old is he?", "And where does he live?")
    assert outcomes(talk(asker, *questions, stream=stream)) == ["miss"] * 3
    again = talk(asker, "who is anand", "HOW OLD IS HE??", "and where does he live", stream=stream)
    assert outcomes(again) == ["exact"] * 3


def test_a_follow_up_in_other_words_is_matched_among_those_with_its_history(asker):
    talk(asker, "I have a card.", LIMIT)
    assert outcomes(talk(asker, "I have a card", LIMIT_AGAIN)) == ["exact", "semantic"]


def test_what_a_later_turn_was_answered_is_given_to_no_other_conversation(asker):
    """The model saw the turns before it: «What documents do I bring?» was asked about a loan."""
    talk(asker, "How do I get a loan?", LIMIT)
    assert outcomes(talk(asker, "How do I get a passport?", LIMIT)) == ["miss", "miss"]
    assert outcomes([asker.ask(LIMIT)]) == ["miss"]


@pytest.mark.parametrize(
    "told", ["I have a business account.", "Answer in French.", "Could you answer in French?", "ok", "Hallo!"]
)
def test_whoever_told_something_gets_no_answer_that_leaves_it_out(asker, told):
    asker.ask(LIMIT)
    assert outcomes([asker.ask(chat(told, "Certainly.", LIMIT))]) == ["miss"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("question", "expected"), [(LIMIT, "exact"), (LIMIT_AGAIN, "semantic")])
def test_a_question_that_leans_on_nothing_gets_what_a_first_turn_was_answered(asker, question, expected, stream):
    first = asker.ask(LIMIT)
    later = talk(asker, "hi", "Why do cards expire?", question, stream=stream)
    assert outcomes(later) == ["miss", "miss", expected]
    assert text_of(later[-1]) == text_of(first)


def test_tenants_and_instructions_divide_questions_that_lean_on_nothing(service):
    aside = service.asker().aside
    ann, bob = (on_route(service, "default", key=f"key-of-{name}", aside=aside) for name in ("ann", "bob"))
    brief = [{"role": "system", "content": "Be brief."}]
    later = chat("hi", "Hello!", LIMIT)
    ann.ask(LIMIT)
    assert outcomes([bob.ask(later), ann.ask([*brief, *later]), ann.ask(later)]) == ["miss", "miss", "exact"]


async def test_a_first_turns_answer_is_refreshed_without_the_conversation_that_met_it(service):
    asker = on_route(service, "brief")
    asker.ask(LIMIT)
    service.clock.passes(150)
    assert outcomes([asker.ask(chat("hi", "Hello!", LIMIT_AGAIN))]) == ["semantic-stale"]
    await service.provider.wait_for(total=2)
    [_, refresh] = service.provider.calls["bodies"]
    assert [message["content"] for message in refresh["messages"]] == [LIMIT]


def test_a_wrong_verdict_holds_for_the_question_as_a_first_turn(asker):
    asker.ask(LIMIT)
    later = chat("hi", "Hello!", LIMIT_AGAIN)
    served = asker.ask(later)
    assert outcomes([served]) == ["semantic"]
    assert asker.feedback(served, "wrong").is_success
    assert outcomes([asker.ask(later), asker.ask(LIMIT)]) == ["miss", "exact"]


@pytest.mark.parametrize(("route", "outcome"), [("none", "exact"), ("exact", "miss"), ("default", "exact")])
def test_what_each_context_makes_of_a_question_behind_a_greeting(service, route, outcome):
    asker = on_route(service, route)
    asker.ask(LIMIT)
    assert outcomes([asker.ask(chat("hi", "Hello!", LIMIT))]) == [outcome]


def test_who_speaks_divides_them_too(asker):
    asker.ask(chat(LIMIT))
    later = chat("hi", "Hello!", LIMIT)
    assert outcomes([asker.ask([*later[:2], {**later[2], "name": "Bob"}])]) == ["miss"]
