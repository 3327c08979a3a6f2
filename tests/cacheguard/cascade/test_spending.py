"""Limits on spending: time is an argument, so nothing here waits. Sums are of eighths, which floats hold exactly."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cacheguard.cascade.spending import REMEMBERED_S, Ledger, Limit, Period
from cacheguard.errors import StoreUnusable
from cacheguard.stores.base import Account, SpendingKey
from cacheguard.stores.memory import MemoryStore

SHOP, FAQ = Account("tenant", "shop"), Account("route", "faq")
HOUR, DAY = 3600.0, 86400.0
eighths = st.integers(0, 40).map(lambda n: n / 8)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-11-22T12:00")


def daily(usd):
    return Ledger({SHOP: Limit(usd, Period.DAY)})


def purse(ledger, now=NOON, most_usd=None, tenant="shop", route="faq"):
    return ledger.purse(tenant, route, most_usd, now)


def spend(ledger, usd, now=NOON, **whose):
    reservation = purse(ledger, now, **whose).reserve(usd)
    if reservation is not None:
        reservation.settle(usd)
    return reservation is not None


@pytest.mark.parametrize(
    ("period", "now", "since", "until"),
    [
        (Period.HOUR, "2026-11-22T23:59:59", "2026-11-22T23:00", "2026-11-23T00:00"),
        (Period.DAY, "2026-12-31T23:59:59", "2026-12-31T00:00", "2027-01-01T00:00"),
        (Period.DAY, "2026-12-31T00:00:00", "2026-12-31T00:00", "2027-01-01T00:00"),
        (Period.MONTH, "2026-12-31T23:59:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Period.MONTH, "2028-02-29T12:00:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (Period.MONTH, "2026-01-01T00:00:00", "2026-01-01T00:00", "2026-02-01T00:00"),
    ],
)
def test_windows_are_those_of_the_calendar(period, now, since, until):
    assert period.window(at(now)) == (at(since), at(until))


@given(period=st.sampled_from(Period), now=st.floats(0, 4e9))
def test_windows_leave_no_moment_out_and_share_none(period, now):
    since, until = period.window(now)
    assert since <= now < until
    assert period.window(until)[0] == until


# One request


def test_a_request_spends_no_more_than_its_own_budget():
    own = purse(daily(100), most_usd=1)
    assert own.reserve(0.75) is not None
    assert own.reserve(0.5) is None
    assert (own.why, own.resets_in_s) == ("the request's cost budget", None)
    assert own.reserve(0.25) is not None


def test_what_was_not_spent_may_be_reserved_again():
    own = purse(daily(100), most_usd=1)
    own.reserve(1).settle(0.25)
    assert own.reserve(0.75) is not None


def test_one_requests_budget_is_not_anothers():
    ledger = daily(100)
    assert all(purse(ledger, most_usd=1).reserve(1) for _ in range(3))


def test_without_limits_everything_is_granted():
    assert purse(Ledger({})).reserve(1e9) is not None


# Accounts


def test_an_account_that_has_reached_its_limit_gets_no_more_until_its_window_ends():
    ledger = daily(1)
    assert spend(ledger, 1)
    late = purse(ledger)
    assert late.reserve(0.125) is None
    assert (late.why, late.resets_in_s) == ("the daily spending limit of tenant 'shop'", DAY / 2)
    assert spend(ledger, 1, now=NOON + late.resets_in_s)


def test_what_others_have_under_way_counts():
    ledger = daily(1)
    under_way = purse(ledger).reserve(0.75)
    assert purse(ledger).reserve(0.5) is None
    under_way.settle(0.25)
    assert purse(ledger).reserve(0.75) is not None


def test_what_costs_nothing_is_granted_even_past_the_limit():
    ledger = daily(1)
    purse(ledger).reserve(1).settle(5)
    assert purse(ledger, most_usd=0).reserve(0) is not None
    assert purse(ledger).reserve(0.125) is None


def test_of_two_limits_in_the_way_the_later_end_is_told():
    ledger = Ledger({SHOP: Limit(1, Period.HOUR), FAQ: Limit(1, Period.MONTH)})
    assert spend(ledger, 1)
    late = purse(ledger)
    assert late.reserve(1) is None
    assert (late.why, late.resets_in_s) == ("the monthly spending limit of route 'faq'", at("2026-12-01T00:00") - NOON)


def test_no_waiting_helps_a_call_that_is_dearer_than_a_whole_limit():
    too_much = purse(daily(1))
    assert too_much.reserve(2) is None
    assert (too_much.why, too_much.resets_in_s) == ("the daily spending limit of tenant 'shop'", None)


def test_a_refused_call_leaves_no_mark_on_any_account():
    ledger = Ledger({SHOP: Limit(1, Period.DAY), FAQ: Limit(8, Period.DAY)})
    assert not spend(ledger, 2)
    assert spend(ledger, 8, tenant="another")
    assert spend(ledger, 1, route="another")


def test_a_reservation_is_settled_once():
    ledger = daily(1)
    reservation = purse(ledger).reserve(1)
    reservation.settle(0.5)
    reservation.settle(0)
    assert purse(ledger).reserve(0.75) is None
    assert purse(ledger).reserve(0.5) is not None


def test_a_call_is_paid_in_the_window_that_its_request_came_in():
    ledger = daily(1)
    before_midnight = purse(ledger, now=at("2026-11-22T23:59"))
    before_midnight.reserve(1)
    assert before_midnight.reserve(1) is None
    assert spend(ledger, 1, now=at("2026-11-23T00:01"))


def test_a_clock_that_goes_back_finds_its_window_as_it_was():
    ledger = daily(1)
    assert spend(ledger, 1, now=NOON)
    assert spend(ledger, 0.5, now=NOON + DAY)
    assert not spend(ledger, 0.5, now=NOON)
    assert spend(ledger, 0.5, now=NOON + DAY)


class Spenders(RuleBasedStateMachine):
    """Requests of two tenants on one route, in any order, over some hours and back."""

    LIMITS = {  # noqa: RUF012 (never changed)
        SHOP: Limit(4, Period.HOUR),
        Account("tenant", "bank"): Limit(3, Period.DAY),
        FAQ: Limit(6, Period.DAY),
    }

    def __init__(self):
        super().__init__()
        self.ledger = Ledger(self.LIMITS)
        self.store = MemoryStore()
        self.now = NOON
        self.under_way = []
        self.paid = []
        self.loop = asyncio.Runner()

    def teardown(self):
        self.loop.close()

    @rule(hours=st.sampled_from([-1, 0, 0.5, 1, 24]))
    def time_passes(self, hours):
        self.now += hours * HOUR

    @rule(usd=eighths, tenant=st.sampled_from(["shop", "bank"]))
    def reserve(self, usd, tenant):
        reservation = purse(self.ledger, self.now, tenant=tenant).reserve(usd)
        fits = all(
            usd + self.spent(account, self.now) <= self.LIMITS[account].usd
            for account in (Account("tenant", tenant), FAQ)
        )
        assert (reservation is not None) == (fits or not usd)
        if reservation is not None:
            self.under_way.append((reservation, tenant, self.now, usd))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 99), share=st.sampled_from([0, 0.5, 1]))
    def settle(self, which, share):
        reservation, tenant, now, usd = self.under_way.pop(which % len(self.under_way))
        reservation.settle(usd * share)
        self.paid.append((tenant, now, usd * share))

    @rule()
    def exchange(self):
        self.loop.run(self.ledger.exchange(self.store, self.now))

    def spent(self, account, now):
        calls = [(tenant, came, usd) for _, tenant, came, usd in self.under_way] + self.paid
        window = self.LIMITS[account].per.window
        return sum(
            usd for tenant, came, usd in calls if account in {FAQ, ("tenant", tenant)} and window(came) == window(now)
        )

    @invariant()
    def no_limit_is_passed(self):
        moments = {self.now, *(now for _, _, now, _ in self.under_way), *(now for _, now, _ in self.paid)}
        for account, limit in self.LIMITS.items():
            assert all(self.spent(account, now) <= limit.usd for now in moments)


TestSpenders = Spenders.TestCase


# With others


async def test_processes_hear_of_each_others_spending_and_of_what_they_have_under_way():
    store, one, other = MemoryStore(), daily(1), daily(1)
    under_way = purse(one).reserve(0.75)
    await one.exchange(store, NOON)
    await other.exchange(store, NOON)
    assert purse(other).reserve(0.5) is None
    under_way.settle(0.25)
    await one.exchange(store, NOON)
    await other.exchange(store, NOON)
    assert spend(other, 0.75)
    await other.exchange(store, NOON)
    await one.exchange(store, NOON)
    assert not spend(one, 0.125)


async def test_a_restart_does_not_begin_a_month_anew():
    store, before = MemoryStore(), Ledger({SHOP: Limit(1, Period.MONTH)})
    assert spend(before, 1)
    await before.exchange(store, NOON)
    after = Ledger({SHOP: Limit(1, Period.MONTH)})
    await after.exchange(store, NOON + DAY)
    assert not spend(after, 0.125, now=NOON + DAY)


async def test_what_a_window_that_ended_still_owes_reaches_the_store():
    store, ledger = MemoryStore(), daily(1)
    under_way = purse(ledger).reserve(1)
    await ledger.exchange(store, NOON)
    await ledger.exchange(store, NOON + DAY)
    under_way.settle(0.5)
    await ledger.exchange(store, NOON + 2 * DAY)
    key = SpendingKey(SHOP, "day", int(at("2026-11-22T00:00")))
    assert await store.add_spending({key: 0}) == {key: 0.5}


async def test_windows_that_ended_take_no_memory():
    store, ledger = MemoryStore(), daily(1)
    for day in range(30):
        assert spend(ledger, 1, now=NOON + day * DAY)
        await ledger.exchange(store, NOON + day * DAY)
    assert len(ledger._windows) <= REMEMBERED_S / DAY + 1


class Broken(MemoryStore):
    """Fails as a full disk does: no test can fill a real one."""

    async def add_spending(self, spent):  # noqa: ARG002 (a store's)
        await asyncio.sleep(0)
        raise StoreUnusable("the disk is full")


async def test_what_a_broken_store_did_not_take_counts_and_is_told_again():
    store, ledger = MemoryStore(), daily(1)
    assert spend(ledger, 0.75)
    with pytest.raises(StoreUnusable):
        await ledger.exchange(Broken(), NOON)
    assert not spend(ledger, 0.5)
    await ledger.exchange(store, NOON)
    beside = daily(1)
    await beside.exchange(store, NOON)
    assert not spend(beside, 0.5)
    assert spend(beside, 0.25)


async def test_what_is_spent_during_an_exchange_is_told_by_the_next():
    store, ledger, beside = MemoryStore(), daily(1), daily(1)

    class Slow(MemoryStore):
        async def add_spending(self, spent):
            assert spend(ledger, 0.5)
            return await store.add_spending(spent)

    assert spend(ledger, 0.25)
    await ledger.exchange(Slow(), NOON)
    assert not spend(ledger, 0.5)
    await ledger.exchange(store, NOON)
    await beside.exchange(store, NOON)
    assert not spend(beside, 0.5)


async def test_without_limits_the_store_is_left_alone():
    ledger = Ledger({})
    assert spend(ledger, 1)
    await ledger.exchange(Broken(), NOON)
