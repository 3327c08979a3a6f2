"""What may be spent, over the whole service: a token that a model writes costs a dollar here, reading is free."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from services import LIMIT, PARCEL, PLACES, cache_status, running

SETTINGS = (
    PLACES
    + """
auth:
  keys:
  - {key: key-of-shop, tenant: shop}
  - {key: key-of-bank, tenant: bank}
  - {key: key-of-ops, tenant: ops, admin: true}
  tenants: {shop: {spending: {limit_usd: 25, per: month}}}
tiers:
  strong: {provider: host, model: strong-model, price: {output_usd_per_mtok: 1.0e+6}}
  free: {provider: host, model: free-model, price: {}}
routes:
  default: {tiers: [strong]}
  thrifty: {tiers: [strong], max_cost_usd: 10}
  free-first: {tiers: [free, strong]}
  free-last: {tiers: [strong, free]}
"""
)
FIVE_WORDS = {"text": "One two three four five."}
FREE_IS_DOWN = {"when": {"model": "free-model"}, "then": {"status": 503}}


@pytest.fixture
def service(tmp_path):
    """One for each test: what one spends, the next may not."""
    with running(tmp_path, SETTINGS) as service:
        service.provider.play(FIVE_WORDS)
        yield service


def of_shop(service, **rest):
    return service.asker(key="key-of-shop", **rest)


def until_the_month_ends(clock):
    now = datetime.fromtimestamp(clock(), UTC)
    return (datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC) - now).total_seconds()


@pytest.mark.parametrize("stream", [False, True])
def test_a_tenant_at_its_limit_is_told_when_it_begins_anew_and_still_has_what_is_known(service, stream):
    shop, bank = of_shop(service), service.asker(key="key-of-bank")
    asked = {"max_tokens": 20, "stream": stream}
    assert [shop.ask(q, **asked).status_code for q in (LIMIT, "When do you open?")] == [200, 200]
    refused = shop.ask(PARCEL, **asked)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) == until_the_month_ends(service.clock)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert "the monthly spending limit of tenant 'shop'" in refused.json()["error"]["message"]
    assert shop.status(LIMIT, **asked).startswith("hit")
    assert bank.ask(PARCEL, **asked).status_code == 200


def test_the_next_month_begins_with_nothing_spent(service):
    shop = of_shop(service)
    assert [shop.ask(q, max_tokens=20).status_code for q in (LIMIT, "When do you open?", PARCEL)] == [200, 200, 429]
    service.clock.passes(until_the_month_ends(service.clock))
    assert shop.ask(PARCEL, max_tokens=20).status_code == 200


def test_a_restart_does_not_give_the_month_back(tmp_path):
    with running(tmp_path, SETTINGS) as service:
        service.provider.play(FIVE_WORDS)
        shop = of_shop(service)
        assert [shop.ask(q, max_tokens=20).status_code for q in (LIMIT, "When do you open?")] == [200, 200]
    with running(tmp_path, SETTINGS) as service:
        assert of_shop(service).ask(PARCEL, max_tokens=20).status_code == 429


def test_a_request_that_may_cost_more_than_one_is_allowed_to_is_not_asked(service):
    shop = of_shop(service, route="thrifty")
    refused = shop.ask(PARCEL, max_tokens=11)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "cost_budget_exceeded")
    assert "the request's cost budget" in refused.json()["error"]["message"]
    assert service.provider.calls["total"] == 0
    assert shop.ask(PARCEL, max_tokens=10).status_code == 200


def test_a_free_models_paid_fallback_is_not_asked_past_the_limit(service):
    """A complaint about another gateway: its fallback went past the budget (litellm 41344)."""
    service.provider.play(FREE_IS_DOWN)
    refused = of_shop(service, route="free-first").ask(PARCEL, max_tokens=26)
    assert refused.status_code == 503
    assert "strong: the monthly spending limit of tenant 'shop'" in refused.json()["error"]["message"]
    assert service.provider.calls["by_model"].keys() == {"free-model"}


def test_a_free_model_answers_where_the_limit_stops_the_others(service):
    answered = of_shop(service, route="free-last").ask(PARCEL, max_tokens=26)
    assert cache_status(answered) == "fwd=miss; fwd-status=200; stored"
    assert answered.headers["x-cacheguard-tier"] == "free"


def test_who_runs_the_service_sees_what_was_spent_of_each_limit(service):
    of_shop(service).ask(LIMIT, max_tokens=20)
    [shown] = service.asker(key="key-of-ops").get("/admin/api/spending").json()["spending"]
    now = datetime.fromtimestamp(service.clock(), UTC)
    assert (shown["kind"], shown["name"], shown["per"]) == ("tenant", "shop", "month")
    assert datetime.fromisoformat(shown["since"]) == datetime(now.year, now.month, 1, tzinfo=UTC)
    assert datetime.fromisoformat(shown["until"]).timestamp() == service.clock() + until_the_month_ends(service.clock)
    assert (shown["limit_usd"], shown["spent_usd"] > 0) == (25, True)
    assert shown["spent_usd"] + shown["left_usd"] == pytest.approx(25)
    metrics = service.asker(key="key-of-ops").get("/metrics").text
    whose = 'kind="tenant",name="shop",per="month"'
    assert f"cacheguard_spent_usd{{{whose}}} {shown['spent_usd']}" in metrics
    assert f"cacheguard_spending_limit_usd{{{whose}}} 25.0" in metrics


def test_a_new_month_is_shown_with_nothing_spent(service):
    of_shop(service).ask(LIMIT, max_tokens=20)
    service.clock.passes(until_the_month_ends(service.clock))
    [shown] = service.asker(key="key-of-ops").get("/admin/api/spending").json()["spending"]
    assert (shown["spent_usd"], shown["left_usd"]) == (0, 25)


def test_spending_is_shown_to_administrators_alone(service):
    assert of_shop(service).get("/admin/api/spending").status_code == 403
