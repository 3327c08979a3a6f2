"""Conversations of several turns: what a follow-up gets, and that no other history answers it."""

from __future__ import annotations

import pytest
from services import LIMIT, LIMIT_AGAIN, PLACES, cache_status, text_of

SETTINGS = (
    PLACES
    + """
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong], cache: {context: chain}}
  loosest: {tiers: [strong], cache: {context: chain, decision: 0.01}}
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
    return service.asker()


def on_route(service, route):
    service.behaves()
    return service.asker(route=route)


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
