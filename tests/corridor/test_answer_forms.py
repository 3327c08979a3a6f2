"""The form that a request asks for, enforced over real sockets whatever tier answers."""

from __future__ import annotations

import json

import httpx
import pytest
from services import LIMIT, PLACES, cache_status, ended, text_of

BREAKERS = PLACES.replace("1000000", "20")
SETTINGS = (
    BREAKERS
    + """
tiers:
  sloppy: {provider: host, model: sloppy-model}
  tidy: {provider: host, model: tidy-model}
  sorry: {template: "Later, please."}
routes:
  default: {tiers: [sloppy, tidy]}
  uncached: {tiers: [sloppy, tidy], cache: {mode: "off"}}
  alone: {tiers: [sloppy, sorry]}
  plain: {tiers: [sloppy, sorry], validate: []}
"""
)
FITS = '{"answer": "In the app.", "sure": true}'
GARBAGE = '{"answer": "In the app.", "sure": "very"'
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


def sloppy(text, **when):
    """The first tier says this, the second one what fits."""
    return (
        {"when": {"model": "sloppy-model", **when}, "then": {"text": text}},
        {"then": {"text": FITS}},
    )


def fits(response):
    said = json.loads(text_of(response))
    return said.keys() == {"answer", "sure"} and isinstance(said["sure"], bool)


async def test_every_reply_fits_when_the_first_tier_breaks_the_form_half_of_the_time(service, provider):
    asker = service.asker(route="uncached")
    provider.play(*sloppy(GARBAGE, share=0.5))
    bodies = [asker.body(f"Question {n}?", response_format=FORM, stream=n % 2 == 1) for n in range(200)]
    answers = [answer for at in range(0, 200, 20) for answer in await asker.ask_all(*bodies[at : at + 20])]
    assert [answer.status_code for answer in answers] == [200] * 200
    assert all(map(fits, answers))
    calls = provider.calls
    assert calls["total"] > 200
    assert {answer.headers["x-cacheguard-tier"] for answer in answers} == {"sloppy", "tidy"}


def test_the_model_is_told_what_was_wrong_and_asked_once_more(asker, provider):
    provider.play(*sloppy('{"answer": "In the app."}', calls={"to": 1}))
    answer = asker.ask(response_format=FORM)
    assert cache_status(answer).endswith("stored")
    assert (answer.headers["x-cacheguard-tier"], answer.headers["x-cacheguard-attempts"]) == ("sloppy", "2")
    first, second = provider.calls["bodies"]
    assert first["messages"] == [{"role": "user", "content": LIMIT}]
    asked, came, words = second["messages"]
    assert asked == first["messages"][0]
    assert came == {"role": "assistant", "content": '{"answer": "In the app."}'}
    assert words["role"] == "user"
    assert "$: 'sure' is a required property" in words["content"]


def test_the_question_is_kept_as_it_was_asked(asker, provider):
    provider.play(*sloppy(GARBAGE, calls={"to": 1}))
    asker.ask(response_format=FORM)
    again = asker.ask(response_format=FORM)
    assert cache_status(again) == "hit; ttl=86400; detail=exact"
    assert text_of(again) == FITS


def test_a_tier_that_breaks_the_form_twice_is_passed_over(asker, provider):
    provider.play(*sloppy(GARBAGE))
    answer = asker.ask(response_format=FORM)
    assert (answer.headers["x-cacheguard-tier"], answer.headers["x-cacheguard-attempts"]) == ("tidy", "3")
    assert provider.calls["bodies"][2]["messages"] == [{"role": "user", "content": LIMIT}]


@pytest.mark.parametrize("route", ["alone", "plain"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_lacks_the_form_is_given_by_nobody_not_even_by_a_template(service, provider, route, stream):
    asker = service.asker(route=route)
    provider.play(*sloppy(GARBAGE))
    answer = asker.ask(response_format=FORM, stream=stream)
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.json()["error"]["message"] == "no tier could answer (sloppy: schema, sloppy: schema)"
    assert text_of(asker.ask(stream=stream)) == GARBAGE


def test_a_cut_answer_without_its_form_is_not_the_best_that_could_be_had(service, provider):
    provider.play({"text": FITS, "truncate_after_tokens": 2})
    assert service.asker(route="alone").ask(response_format=FORM).status_code == httpx.codes.SERVICE_UNAVAILABLE


def test_a_length_that_the_client_set_is_its_own_wish(asker, provider):
    provider.play({"text": FITS, "truncate_after_tokens": 2})
    answer = asker.ask(response_format=FORM, max_completion_tokens=2)
    assert answer.json()["choices"][0]["finish_reason"] == "length"


def test_a_stream_with_a_form_comes_when_it_is_known_to_fit(asker, provider):
    provider.play(*sloppy(GARBAGE, calls={"to": 1}))
    answer = asker.ask(response_format=FORM, stream=True, stream_options={"include_usage": True})
    assert ended(answer)
    assert text_of(answer) == FITS
    assert cache_status(answer) == "fwd=miss; fwd-status=200; stored"
    assert [(body["stream"], "stream_options" in body) for body in provider.calls["bodies"]] == [(False, False)] * 2


def test_fences_are_objected_to_and_mended(asker, provider):
    provider.play(*sloppy(f"```json\n{FITS}\n```", calls={"to": 1}))
    assert text_of(asker.ask(response_format={"type": "json_object"})) == FITS
    assert "code fence" in provider.calls["bodies"][1]["messages"][-1]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_schema_is_the_clients_fault_and_costs_no_call(asker, provider, stream):
    broken = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strin"}}}
    answer = asker.ask(response_format=broken, stream=stream)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.json()["error"]["param"] == "response_format"
    assert provider.calls["total"] == 0


def test_a_tier_that_breaks_one_form_is_left_alone_for_that_form_only(service, provider):
    asker = service.asker(route="uncached")
    provider.play(*sloppy(GARBAGE))
    for number in range(20):
        asker.ask(f"Question {number}?", response_format=FORM)
    provider.play(*sloppy(GARBAGE))
    assert asker.ask("Which tier now?", response_format=FORM).headers["x-cacheguard-tier"] == "tidy"
    assert provider.calls["by_model"] == {"tidy-model": 1}
    assert asker.ask("And without a form?").headers["x-cacheguard-tier"] == "sloppy"
    assert (
        asker.ask("And with another?", response_format={"type": "json_object"}).headers["x-cacheguard-attempts"] == "3"
    )
