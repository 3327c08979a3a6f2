"""Limits on spending, from the file to who is stopped by them."""

from __future__ import annotations

import pytest

from cacheguard.errors import ConfigError
from cacheguard.settings import load
from cacheguard.wiring.spending import make_ledger

NOON = 1_800_014_400.0
TIERS = """\
providers: {local: {kind: openai, base_url: "http://127.0.0.1:11434/v1"}}
tiers: {a: {provider: local, model: m, price: {input_usd_per_mtok: 1, cached_input_usd_per_mtok: 0}}}
"""


@pytest.fixture
def loaded(tmp_path):
    def load_text(text):
        (tmp_path / "cacheguard.yaml").write_text(TIERS + text, "utf-8")
        return load(None, {}, tmp_path).settings

    return load_text


def granted(ledger, usd, tenant="shop", route="faq"):
    """Whether it may be reserved; whatever is granted is given back."""
    purse = ledger.purse(tenant, route, None, NOON)
    reservation = purse.reserve(usd)
    if reservation is not None:
        reservation.settle(0)
    return reservation is not None or purse.why


def test_routes_and_tenants_have_the_limits_that_the_file_gives_them(loaded):
    ledger = make_ledger(
        loaded(
            "auth: {keys: [{key: k, tenant: shop}, {key: l, tenant: bank}],"
            " tenants: {shop: {spending: {limit_usd: 5, per: day}}, bank: {}}}\n"
            "routes: {faq: {tiers: [a], spending: {limit_usd: 10, per: hour}}, free: {tiers: [a], max_cost_usd: 1}}\n"
        )
    )
    assert granted(ledger, 5) is True
    assert granted(ledger, 6) == "the daily spending limit of tenant 'shop'"
    assert granted(ledger, 10, tenant="bank") is True
    assert granted(ledger, 11, tenant="bank") == "the hourly spending limit of route 'faq'"
    assert granted(ledger, 1000, tenant="bank", route="free") is True


def test_a_limit_is_for_a_month_unless_it_says_otherwise(loaded):
    ledger = make_ledger(loaded("routes: {faq: {tiers: [a], spending: {limit_usd: 1}}}\n"))
    assert granted(ledger, 2) == "the monthly spending limit of route 'faq'"


def test_a_limit_of_nothing_leaves_what_is_free(loaded):
    ledger = make_ledger(loaded("auth: {tenants: {default: {spending: {limit_usd: 0}}}}\n"))
    assert granted(ledger, 0, tenant="default") is True
    assert granted(ledger, 0.001, tenant="default") == "the monthly spending limit of tenant 'default'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "auth: {keys: [{key: k, tenant: shop}, {key: l, tenant: bank}], tenants: {shp: {}}}",
            "auth.tenants.shp is the tenant of no key; known: shop, bank",
        ),
        ("auth: {tenants: {shop: {}}}", "auth.tenants.shop is the tenant of no key; known: default"),
        (
            "auth: {tenants: {default: {spending: {limit_usd: -1}}}}",
            "auth.tenants.default.spending.limit_usd is '-1'; it must be at least 0",
        ),
        (
            "auth: {tenants: {default: {spendings: {}}}}",
            "auth.tenants.default.spendings is unknown; did you mean 'spending'? known: spending",
        ),
        (
            "routes: {faq: {tiers: [a], spending: {limit_usd: 1, per: week}}}",
            "routes.faq.spending.per is 'week'; known: hour, day, month",
        ),
        (
            "routes: {faq: {tiers: [a], spending: {limit: 1}}}",
            "routes.faq.spending.limit is unknown; did you mean 'limit_usd'? known: limit_usd, per",
        ),
        ("routes: {faq: {tiers: [a], max_cost_usd: much}}", "routes.faq.max_cost_usd is 'much'; it must be a number"),
    ],
)
def test_a_wrong_limit_is_named_with_the_way_out(loaded, text, message):
    with pytest.raises(ConfigError) as refused:
        loaded(text)
    assert str(refused.value) == f"cacheguard.yaml, line 3: {message}"


@pytest.mark.parametrize(
    "limited",
    [
        "auth: {tenants: {default: {spending: {limit_usd: 1}}}}",
        "routes: {default: {tiers: [a], spending: {limit_usd: 1}}}",
        "routes: {default: {tiers: [a], max_cost_usd: 1}}",
    ],
)
def test_a_tier_that_limits_can_not_stop_is_noted(tmp_path, limited):
    def notes(tier, text):
        (tmp_path / "cacheguard.yaml").write_text(f"{TIERS.replace('{a: ', tier + 'a: ')}{text}\n", "utf-8")
        return [note for note in load(None, {}, tmp_path).notes if note.startswith("tiers")]

    assert notes("{b: {provider: local, model: n}, ", "") == []
    assert notes("{b: {provider: local, model: n, price: {}}, ", limited) == []
    assert notes("{b: {provider: local, model: n}, ", limited) == [
        "tiers.b: has no price, so no limit on spending stops it: give it one, or price: {} if it is free"
    ]
