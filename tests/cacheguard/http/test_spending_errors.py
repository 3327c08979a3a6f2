"""What clients are told when money is short, and that OpenAI's own client takes it as it is meant."""

from __future__ import annotations

import json

import openai
import pytest
from servers import serve

from cacheguard.errors import CostBudgetExceeded, SpendingLimitReached
from cacheguard.http.errors import error_response

REACHED = SpendingLimitReached("the daily spending limit of tenant 'shop'", 10800.2)
TOO_MUCH = CostBudgetExceeded("the request's cost budget")


def test_a_reached_limit_says_which_and_when_it_begins_anew():
    said = error_response(REACHED)
    assert (said.status_code, said.headers["retry-after"]) == (429, "10801")
    assert json.loads(said.body)["error"] == {
        "message": (
            "the daily spending limit of tenant 'shop' leaves no room for another call: ask again when it begins anew"
        ),
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }


def test_a_request_beyond_its_own_budget_is_told_how_to_mend_it():
    said = error_response(TOO_MUCH)
    assert said.status_code == 402
    assert "retry-after" not in said.headers
    assert json.loads(said.body)["error"] == {
        "message": "the request's cost budget leaves no room for a call: shorten the request, or ask for fewer tokens",
        "type": "invalid_request_error",
        "param": None,
        "code": "cost_budget_exceeded",
    }


@pytest.mark.parametrize(("error", "raised"), [(REACHED, openai.RateLimitError), (TOO_MUCH, openai.APIStatusError)])
def test_clients_do_not_ask_again_at_once(error, raised):
    calls = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            calls.append(scope["path"])
            await error_response(error)(scope, receive, send)

    with (
        serve(app) as url,
        openai.OpenAI(base_url=url, api_key="any") as client,
        pytest.raises(raised, match="leaves no room"),
    ):
        client.chat.completions.create(model="faq", messages=[{"role": "user", "content": "Hello?"}])
    assert calls == ["/chat/completions"]
