"""A request chooses its route: by header, else by model, else the default."""

from __future__ import annotations

import pytest
from services import PLACES

SETTINGS = (
    PLACES
    + """
tiers:
  one: {provider: host, model: one}
  two: {provider: host, model: two}
  three: {provider: host, model: three}
routes:
  faq: {models: ["gpt-4o*", "support"], tiers: [one]}
  code: {models: ["gpt-4o-code", "*-code"], tiers: [two]}
  default: {tiers: [three]}
"""
)


@pytest.mark.parametrize(
    ("header", "model", "tier"),
    [
        ("", "gpt-4o", "one"),
        ("", "gpt-4o-mini", "one"),
        ("", "support", "one"),
        ("", "gpt-4o-code", "one"),  # the first fit is taken
        ("", "my-code", "two"),
        ("", "code", "two"),  # a route's name is a model's
        ("", "anything", "three"),
        ("", "GPT-4O", "three"),
        ("code", "gpt-4o", "two"),
        ("default", "gpt-4o", "three"),
    ],
)
def test_a_request_takes_the_route_that_it_names_or_whose_model_it_asks_for(service, header, model, tier):
    service.provider.play()
    answer = service.asker(route=header).ask(model=model)
    assert answer.headers["x-cacheguard-tier"] == tier
    assert service.provider.calls["by_model"] == {tier: 1}


@pytest.mark.parametrize("name", ["nowhere", "FAQ", "gpt-4o"])
def test_an_unknown_route_is_refused_with_those_that_there_are(service, name):
    service.provider.play()
    refused = service.asker(route=name).ask()
    assert refused.status_code == 404
    error = refused.json()["error"]
    assert error["message"] == f"there is no route '{name}'; known: faq, code, default"
    assert error["code"] == "route_not_found"
    assert service.provider.calls["total"] == 0


def test_the_routes_are_listed_as_models(service):
    asker = service.asker()
    with asker.openai as client:
        assert [model.id for model in client.models.list()] == ["faq", "code", "default"]
    assert all(model["object"] == "model" for model in asker.get("/v1/models").json()["data"])
