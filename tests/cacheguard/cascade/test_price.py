"""What calls cost, by the provider's count and by estimates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.cascade.price import Price, abandoned_usd, reserve_usd
from cacheguard.providers.base import Usage

PRICE = Price(input_usd_per_mtok=1_000_000, output_usd_per_mtok=10_000_000, cached_input_usd_per_mtok=250_000)
tokens = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(), 0),
        (Usage(input=4, output=2), 24),
        (Usage(input=4, output=2, cached_input=4), 21),
        (Usage(input=4, output=0, cached_input=3), 1.75),
        (Usage(input=1, output=0, cached_input=4), 1),  # counted beside the input, not within it
    ],
)
def test_cached_input_is_paid_at_its_own_price(usage, usd):
    assert PRICE.cost_usd(usage) == usd


def test_without_a_price_of_its_own_cached_input_costs_what_any_does():
    assert Price(1_000_000).cost_usd(Usage(input=4, cached_input=3)) == 4


def test_a_price_of_zero_makes_cached_input_free():
    assert Price(1_000_000, cached_input_usd_per_mtok=0).cost_usd(Usage(input=4, cached_input=3)) == 1


@given(read=tokens, cached=st.floats(0, 1), written=tokens, room=tokens)
def test_what_is_reserved_covers_every_answer_within_its_limit(read, cached, written, room):
    usage = Usage(read, written, int(read * cached))
    assert PRICE.cost_usd(usage) <= reserve_usd(PRICE, read, written + room, typical_output=0)
    assert PRICE.cost_usd(usage) <= abandoned_usd(PRICE, read, written)


def test_where_the_request_sets_no_limit_a_typical_answer_is_reserved():
    assert reserve_usd(PRICE, 2, None, typical_output=3) == 32
    assert reserve_usd(PRICE, 2, 0, typical_output=3) == 2
