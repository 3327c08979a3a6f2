"""Answers that a route's own checks object to: another tier is asked, and nothing of them is kept."""

from __future__ import annotations

import pytest
from services import LIMIT, PLACES, ended, text_of

SETTINGS = (
    PLACES
    + """
tiers:
  first: {provider: host, model: first-model}
  second: {provider: host, model: second-model}
routes:
  default:
    tiers: [first, second]
    validate:
      - not_empty
      - length: {max_chars: 60}
      - pattern: {must: "(?i)card"}
      - relevance: {min_similarity: 0.2}
      - forbidden: {words: [Acme], pattern: "sk-[0-9]+"}
"""
)
GOOD = "Open the card settings."


def first_says(provider, text):
    provider.play({"when": {"model": "first-model"}, "then": {"text": text}}, {"then": {"text": GOOD}})


@pytest.mark.parametrize(
    "text",
    ["A card. " * 10, "Open the app.", "An Acme card.", "The card's key is sk-1.", "Cardboard boats race on a lake."],
)
def test_what_a_check_rejects_goes_to_the_next_tier_at_once(asker, provider, text):
    first_says(provider, text)
    answer = asker.ask()
    assert (text_of(answer), answer.headers["x-cacheguard-attempts"]) == (GOOD, "2")
    assert [body["messages"] for body in provider.calls["bodies"]] == [[{"role": "user", "content": LIMIT}]] * 2


def test_a_stream_that_a_check_rejects_at_its_end_is_not_kept(asker, provider):
    first_says(provider, "An Acme card.")
    answer = asker.ask(stream=True)
    assert (text_of(answer), ended(answer)) == ("An Acme card.", True)
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


def test_what_every_tier_says_wrong_is_given_by_nobody(asker, provider):
    provider.play({"text": "An Acme card."})
    answer = asker.ask()
    assert answer.json()["error"]["message"] == "no tier could answer (first: rejected, second: rejected)"
