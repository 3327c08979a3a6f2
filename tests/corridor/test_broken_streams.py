"""What breaks before the first word fails over unseen; what breaks after it is an error, and is never stored."""

from __future__ import annotations

import openai
import pytest
from services import PLACES, cache_status, ended, events, text_of

SETTINGS = (
    PLACES
    + """
tiers:
  strong: {provider: host, model: strong-model}
  cheap: {provider: host, model: cheap-model}
routes:
  default: {tiers: [strong, cheap]}
"""
)
IN_THE_MIDDLE = [{"cut_after_tokens": 3}, {"no_end_marker": True}, {"error_after_tokens": 3}]
# What the cascade asks the same tier again for is played for both tries.
BEFORE_THE_FIRST_WORD = [
    {"cut_after_tokens": 0},
    {"error_after_tokens": 0},
    {"status": 500},
    {"status": 429},
    {"connection": "reset"},
    {"garbage": "html"},
    {"garbage": "broken_json"},
    {"text": ""},
]


def named(then):
    return " ".join(f"{key}={value}" for key, value in then.items())[:30]


@pytest.mark.parametrize("then", IN_THE_MIDDLE, ids=named)
def test_a_stream_that_breaks_ends_in_an_error_and_is_not_stored(asker, provider, then):
    provider.play({"when": {"calls": {"to": 1}}, "then": then})
    broken = asker.ask(stream=True)
    *said, last = events(broken)
    assert said != []
    assert last["error"]["code"] == "stream_broken"
    assert not ended(broken)
    assert "[DONE]" not in broken.text
    again = asker.ask(stream=True)
    assert cache_status(again) == "fwd=miss; fwd-status=200"
    assert ended(again)
    assert provider.calls["total"] == 2


@pytest.mark.parametrize("then", IN_THE_MIDDLE, ids=named)
def test_openais_client_raises_when_a_stream_breaks(asker, provider, then):
    provider.play(then)
    asked = {"model": "default", "messages": asker.body()["messages"], "extra_body": asker.aside, "stream": True}
    with asker.openai as client, pytest.raises(openai.APIError):
        list(client.chat.completions.create(**asked))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("then", BEFORE_THE_FIRST_WORD, ids=named)
def test_a_failure_before_the_first_word_fails_over_unseen(asker, provider, then, stream):
    provider.play({"when": {"model": "strong-model"}, "then": then})
    answer = asker.ask(stream=stream)
    assert cache_status(answer).startswith("fwd=miss; fwd-status=200")
    assert answer.headers["x-cacheguard-tier"] == "cheap"
    assert int(answer.headers["x-cacheguard-attempts"]) == provider.calls["total"] >= 2
    assert "error" not in answer.text
    assert asker.status() == "hit; ttl=86400; detail=exact"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "then",
    [{"truncate_after_tokens": 3}, {"refusal": "I can't help with that."}, {"finish_reason": "content_filter"}],
    ids=named,
)
def test_an_answer_that_may_be_given_but_not_kept_is_not_stored(asker, provider, then, stream):
    provider.play(then)
    given = asker.ask(stream=stream)
    assert cache_status(given) == "fwd=miss; fwd-status=200"
    calls = provider.calls["total"]
    provider.play()
    assert calls >= 1
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


@pytest.mark.parametrize(
    "then",
    [{"cut_after_tokens": 2}, {"no_end_marker": True}, {"refusal": "I can't help with that."}],
    ids=named,
)
def test_a_plain_answer_that_is_cut_or_refused_fails_over(asker, provider, then):
    provider.play({"when": {"model": "strong-model"}, "then": then})
    answer = asker.ask()
    assert answer.headers["x-cacheguard-tier"] == "cheap"
    assert text_of(answer) == text_of(asker.ask())


def test_a_request_that_the_provider_finds_wrong_is_the_clients_to_mend(asker, provider):
    provider.play({"status": 400, "message": "temperature is too high"})
    refused = asker.ask(temperature=9)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "temperature is too high"
    assert provider.calls["total"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_when_all_tiers_fail_the_client_is_told_when_to_come_back(asker, provider, stream):
    provider.play({"status": 429, "retry_after_s": 170})
    failed = asker.ask(stream=stream)
    assert failed.status_code == 503
    assert failed.headers["retry-after"] == "170"
    assert failed.json()["error"]["code"] == "all_tiers_failed"
    assert "strong: rate_limit, cheap: rate_limit" in failed.json()["error"]["message"]
