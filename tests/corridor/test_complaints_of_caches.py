"""What users of other semantic caches complain of, each as a promise of this one; who complained stands beside it."""

from __future__ import annotations

import pytest
from services import CHAT, LIMIT, LIMIT_AGAIN, PARCEL, PLACES, cache_status, text_of
from upstreams import ONE_HOUR_MS

SETTINGS = (
    PLACES
    + """
auth:
  keys:
  - {key: key-of-ann, tenant: ann}
  - {key: key-of-bob, tenant: bob}
tiers: {strong: {provider: host, model: strong-model}}
routes:
  default: {tiers: [strong]}
  strictest: {tiers: [strong], cache: {decision: 1.0}}
  loosest: {tiers: [strong], cache: {decision: 0.01}}
  brief: {tiers: [strong], cache: {ttl_s: 100, stale_while_revalidate_s: 0, stale_if_error_s: 0}}
"""
)
STORED, EXACT, SEMANTIC = (
    "fwd=miss; fwd-status=200; stored",
    "hit; ttl=86400; detail=exact",
    "hit; ttl=86400; detail=semantic",
)
RELATED = "How do I lower my card limit?"
LONG = (
    "I moved to another town last month, have changed my address in the app and have had a letter since. "
    "Which limits does my account have now, for cards, for transfers abroad and for cash at machines of other banks?"
)


@pytest.fixture
def asker(service):
    service.provider.play()
    return service.asker(key="key-of-ann")


def on_route(service, route):
    service.provider.play()
    return service.asker(key="key-of-ann", route=route)


def parts(*texts):
    return [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]


@pytest.mark.parametrize("stream", [False, True])
def test_list_shaped_content_is_read_as_the_text_that_it_is(asker, stream):
    """Seen in litellm: list-shaped message content crashed the cache."""
    assert asker.status(parts(LIMIT)) == STORED
    assert asker.status(LIMIT, stream=stream) == EXACT
    assert asker.status(parts(LIMIT_AGAIN), stream=stream) == SEMANTIC
    assert asker.status(parts("How do I raise", "my card limit?"), stream=stream) == EXACT


def test_the_last_message_is_the_one_that_is_matched(asker):
    """Seen in GPTCache: the wrong message of the chat was matched."""
    asker.ask(LIMIT)
    chat = [
        {"role": "user", "content": LIMIT},
        {"role": "assistant", "content": "In the app."},
        {"role": "user", "content": PARCEL},
    ]
    assert asker.status(chat) == STORED
    assert text_of(asker.ask(chat)) != text_of(asker.ask(LIMIT))


def test_a_follow_up_is_not_answered_about_somebody_else(asker):
    """Seen in GPTCache: «how old is he» was answered about another person."""

    def about(person):
        asked = f"Who is {person}?"
        return [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": f"{person} is a chess player."},
            {"role": "user", "content": "How old is he?"},
        ]

    assert [asker.status(about(person)) for person in ("Anand", "Carlsen", "Anand")] == [STORED, STORED, EXACT]


def test_instructions_behind_the_question_do_not_hide_it(asker):
    behind = [{"role": "user", "content": LIMIT}, {"role": "system", "content": "Be brief."}]
    assert asker.status(behind) == STORED
    assert asker.status([{**behind[0], "content": LIMIT_AGAIN}, behind[1]]) == SEMANTIC


def test_popular_stale_answers_do_not_live_for_ever(service):
    """Seen in redis-vl (603): hits renewed the entries that they found."""
    asker = on_route(service, "brief")
    service.provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    said = []
    for _ in range(12):
        said.append(text_of(asker.ask()))
        service.clock.passes(10)
    assert said == ["Old."] * 10 + ["New."] * 2


@pytest.mark.parametrize("prompt", ["How high may a balance be?", LONG], ids=["short", "long"])
def test_tenants_are_never_mixed_however_near_their_questions(service, prompt):
    """Seen in GPTCache, bifrost (5769) and vllm semantic-router (2134): a customer was shown another's answer.

    In the last one the tenant was a mark in the embedded text: little beside a long question.
    """
    service.provider.play()
    aside = service.asker().aside
    ann, bob = (service.asker(key=f"key-of-{name}", route="loosest", aside=aside) for name in ("ann", "bob"))
    assert [ann.status(prompt), bob.status(prompt), bob.status(f"{prompt} Thanks!")] == [STORED, STORED, SEMANTIC]
    assert service.provider.calls["total"] == 2


def test_the_highest_threshold_serves_exact_matches_only(service):
    """Seen in langchain-redis, GPTCache: thresholds that meant the opposite of what was written."""
    asker = on_route(service, "strictest")
    assert [asker.status(prompt) for prompt in (LIMIT, LIMIT_AGAIN, LIMIT)] == [STORED, STORED, EXACT]


def test_the_lowest_threshold_serves_whatever_is_near(service):
    """Seen in redis-vl: a threshold of next to nothing was ignored."""
    asker = on_route(service, "loosest")
    assert [asker.status(prompt) for prompt in (LIMIT, LIMIT_AGAIN, RELATED)] == [STORED, SEMANTIC, SEMANTIC]


def test_a_paraphrase_hits(asker):
    """Seen in langchain, litellm (29086): paraphrases never hit, since the whole request was the key."""
    assert asker.status(LIMIT, user="ann", temperature=0.2) == STORED
    assert asker.status(LIMIT_AGAIN, user="amy", temperature=0.9, seed=7, stream=True) == SEMANTIC


def test_different_questions_get_different_answers(asker):
    """Seen in litellm (12234): whatever was asked, the answer was that to the first question."""
    asked = ["Hello world", "What is 1+1?", "How's the weather today?", "Tell me a joke.", "What is 2+2?"]
    said = [text_of(asker.ask(prompt)) for prompt in asked]
    assert len(set(said)) == len(asked)
    assert [text_of(asker.ask(prompt)) for prompt in asked] == said


def test_the_opposite_question_is_another_question(asker):
    """Seen in GPTCache: opposite questions above 0.8."""
    pairs = [(LIMIT, RELATED), ("How do I turn notifications on?", "How do I turn notifications off?")]
    assert [asker.status(prompt) for pair in pairs for prompt in pair] == [STORED] * 4


def test_a_prompt_template_does_not_make_every_prompt_look_alike(asker):
    """Seen in GenAI-Showcase: what is matched is the user's words, not the template around them."""
    template = {"role": "system", "content": "You are the support desk of a bank. Answer in two sentences. " * 20}
    asked = [[template, {"role": "user", "content": prompt}] for prompt in (LIMIT, PARCEL, LIMIT_AGAIN)]
    assert [asker.status(messages) for messages in asked] == [STORED, STORED, SEMANTIC]


def test_a_false_hit_can_be_got_rid_of(asker):
    """Seen in vllm semantic-router (1581): no way to get rid of a false hit."""
    asker.ask(LIMIT)
    asker.feedback(asker.ask(LIMIT_AGAIN), "wrong")
    assert [asker.status(prompt) for prompt in (LIMIT_AGAIN, LIMIT_AGAIN, LIMIT)] == [STORED, EXACT, EXACT]


def test_a_hit_is_no_call_to_a_model(service, asker):
    """Seen in OmniRoute (8984): hits counted into the model's latency: 19 ms for calls that take 10 s."""
    asker.ask(LIMIT)

    def timed():
        newest = service.service.tiers["strong"].pace.whole._seen[-1]
        return service.metric("cacheguard_attempt_seconds_count", tier="strong"), newest

    before = timed()
    hit = asker.ask(LIMIT)
    assert (cache_status(hit), hit.headers["x-cacheguard-attempts"]) == (EXACT, "0")
    assert timed() == before
    past_the_cache = asker.ask(LIMIT, cache_control="no-cache")
    assert past_the_cache.headers["x-cacheguard-attempts"] == "1"
    calls, newest = timed()
    assert calls == before[0] + 1
    assert newest.at > before[1].at


def test_streamed_answers_are_kept(asker):
    """Seen in vllm semantic-router (1555): streamed answers were never written."""
    asker.ask(LIMIT, stream=True)
    assert [asker.status(LIMIT, stream=stream) for stream in (True, False)] == [EXACT, EXACT]
    assert asker.status(LIMIT_AGAIN, stream=True) == SEMANTIC


@pytest.mark.parametrize("then", [{"cut_after_tokens": 3}, {"truncate_after_tokens": 3}], ids=["broken off", "cut"])
def test_half_an_answer_is_not_kept(asker, service, then):
    """Seen in freellmapi (1098)."""
    service.provider.play(then)
    asker.ask(stream=True)
    service.provider.play()
    assert [asker.status(stream=True) for _ in range(2)] == ["fwd=miss; fwd-status=200", EXACT]


async def test_an_answer_that_its_client_left_half_way_is_not_kept(asker, service):
    """Seen in freellmapi (1098): streams that were aborted were written as far as they had come."""
    service.provider.play({"between_tokens_ms": ONE_HOUR_MS})
    async with asker.at_once() as http, http.stream("POST", CHAT, json=asker.body(stream=True)) as response:
        async for line in response.aiter_lines():
            if "Simulated" in line:
                break
    await service.provider.wait_for(in_flight=0, cancelled=1)
    service.provider.play()
    assert asker.status() == STORED
