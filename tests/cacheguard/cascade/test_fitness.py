"""What a tier can do, held against what a request needs."""

from __future__ import annotations

import pytest

from cacheguard.cascade.fitness import Abilities, needs_of, unfit

GERMAN = "Wo kann ich sehen, ob meine neue Karte schon unterwegs ist?"
NORWEGIAN = "Hvor kan jeg se om det nye kortet mitt er på vei hjem til meg?"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
TOOL = {"type": "function", "function": {"name": "find"}}


def asks(content, *earlier, **fields):
    return {"model": "m", "messages": [*earlier, {"role": "user", "content": content}], **fields}


def speaks(*languages):
    return Abilities(languages=frozenset(languages))


NO_FORM, NO_TOOLS, NO_EYES = Abilities(json_schema=False), Abilities(tools=False), Abilities(vision=False)
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", **TOOL}]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}


@pytest.mark.parametrize(
    ("abilities", "body", "why"),
    [
        (Abilities(), asks([IMAGE], response_format=FORM, tools=[TOOL]), ""),
        (NO_FORM, asks("Hi", response_format=FORM), "keeps to no JSON Schema"),
        (NO_FORM, asks("Hi", response_format={"type": "json_object"}), ""),
        (NO_FORM, asks([IMAGE], tools=[TOOL]), ""),
        (NO_TOOLS, asks("Hi", tools=[TOOL]), "calls no tools"),
        (NO_TOOLS, asks("Hi", functions=[{"name": "find"}]), "calls no tools"),
        (NO_TOOLS, asks("Thanks", CALL, RESULT), "calls no tools"),
        (NO_TOOLS, asks("Hi", tools=[]), ""),
        (NO_EYES, asks([IMAGE]), "reads no images"),
        (NO_EYES, asks("And now?", {"role": "user", "content": [IMAGE]}), "reads no images"),
        (NO_EYES, asks([{"type": "text", "text": "Hi"}]), ""),
        (Abilities(context_window=50), asks("x" * 300), "context window of 50 tokens"),
        (Abilities(context_window=50), asks("x" * 100), ""),
        (Abilities(context_window=50), asks("x" * 100, max_tokens=40), "context window of 50 tokens"),
        (speaks("en", "fr"), asks(GERMAN), "does not speak 'de'"),
        (speaks("en", "de"), asks(GERMAN), ""),
        (speaks("en"), asks([{"type": "text", "text": GERMAN}, IMAGE]), "does not speak 'de'"),
        (speaks("en"), asks("Where is my new card? I have been waiting for weeks.", asks(GERMAN)["messages"][0]), ""),
    ],
)
def test_a_tier_fits_or_says_why_not(abilities, body, why):
    assert unfit(abilities, needs_of(body)) == why


@pytest.mark.parametrize("text", ["OK", "42", "", None])
def test_a_turn_in_no_sure_language_fits_every_tier(text):
    assert unfit(speaks("en"), needs_of(asks(text))) == ""


def test_languages_that_are_hard_to_tell_apart_count_as_one():
    assert unfit(speaks("da"), needs_of(asks(NORWEGIAN))) == ""
    assert unfit(speaks("de"), needs_of(asks(NORWEGIAN))) != ""
