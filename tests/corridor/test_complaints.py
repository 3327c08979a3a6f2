"""What users of other semantic caches complain of, each as a promise of this one."""

from __future__ import annotations

import pytest
from services import LIMIT, LIMIT_AGAIN, PARCEL, PLACES, cache_status, text_of

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
    """Seen in redis-vl: hits renewed the entries that they found."""
    asker = on_route(service, "brief")
    service.provider.play({"when": {"calls": {"to": 1}}, "then": {"text": "Old."}}, {"text": "New."})
    said = []
    for _ in range(12):
        said.append(text_of(asker.ask()))
        service.clock.passes(10)
    assert said == ["Old."] * 10 + ["New."] * 2


def test_tenants_are_never_mixed_however_near_their_questions(service):
    """Seen in GPTCache, vllm semantic-router: a customer's balance was shown to another."""
    service.provider.play()
    aside = {"asker": "tenants"}
    ann, bob = (service.asker(key=f"key-of-{name}", route="loosest", aside=aside) for name in ("ann", "bob"))
    assert ann.status("What is my balance?") == STORED
    assert bob.status("What is my balance?") == STORED
    assert bob.status("What's my balance?").startswith("hit")
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
    """Seen in langchain: paraphrases that never hit."""
    assert [asker.status(prompt) for prompt in (LIMIT, LIMIT_AGAIN)] == [STORED, SEMANTIC]


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
    """Seen in vllm semantic-router: no way to get rid of a false hit."""
    asker.ask(LIMIT)
    asker.feedback(asker.ask(LIMIT_AGAIN), "wrong")
    assert asker.status(LIMIT_AGAIN) == STORED


def test_a_hit_is_no_call_to_a_model(service, asker):
    """Seen in OmniRoute: hits counted as model latency."""
    asker.ask(LIMIT)
    name, labels = "cacheguard_attempt_seconds_count", {"tier": "strong"}
    before = service.metric(name, **labels)
    hit = asker.ask(LIMIT)
    assert (cache_status(hit), hit.headers["x-cacheguard-attempts"]) == (EXACT, "0")
    assert service.metric(name, **labels) == before


def test_streamed_answers_are_kept_and_broken_ones_are_not(asker, service):
    """Seen in vllm semantic-router: streamed answers never written; freellmapi: aborted ones written."""
    service.provider.play({"when": {"calls": {"to": 1}}, "then": {"cut_after_tokens": 3}})
    asker.ask(stream=True)
    assert asker.status(stream=True) == "fwd=miss; fwd-status=200"
    assert asker.status(stream=True) == EXACT
