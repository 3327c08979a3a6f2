"""Routes keep their promises: what counts against one, and what follows when it is broken."""

from __future__ import annotations

from itertools import count
from random import Random

import pytest
from services import Clock

from cacheguard.border import Border
from cacheguard.matching.confidence import Calibrated, default_model
from cacheguard.matching.stored_rule import read_rule
from cacheguard.oversight.promises import Promise, Promises, Tally
from cacheguard.rules import InForce, follow
from cacheguard.stores.base import Label, Served
from cacheguard.stores.memory import MemoryStore

THRESHOLD = 0.9
numbers = count()


class Alarms:
    """What was reported."""

    def __init__(self):
        self.broken = []

    def promise_broken(self, route, version, threshold, wrong, judged):  # noqa: ARG002 - the protocol's
        self.broken.append((route, version, threshold))

    def cache_broke(self, step, error):
        raise AssertionError(step) from error


class Process:
    """One of those that share a store, with a route `faq`."""

    def __init__(self, store, clock, max_wrong=0.01):
        self.alarms = Alarms()
        self.rule = InForce(Calibrated(default_model(), THRESHOLD, near_exact=True), read_rule)
        self.promise = Promise(max_wrong, self.rule)
        self.promises = Promises({"faq": self.promise}, store, self.alarms, Border(self.alarms), clock)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def process(store, clock):
    return Process(store, clock)


@pytest.fixture
def hear(store, clock, process):
    """A label, as of a hit with this similarity; None: of a near-miss."""

    async def hear(right, by="judge", similarity=0.98, key=None):
        clock.passes(1)
        key = key or f"question {next(numbers)}"
        await store.add_labels([Label("s", "faq", key, key, "a", right, by, clock(), similarity=similarity)])
        await process.promises.look("faq")

    return hear


@pytest.fixture
def give(store, clock):
    """So many hits to clients."""

    async def give(hits):
        for _ in range(hits):
            clock.passes(1)
            await store.add_served(Served(str(next(numbers)), "s", "k", "K", "a", 1, 0.98, clock(), "faq"))

    return give


async def test_a_broken_promise_makes_the_rule_stricter_for_all_who_share_the_store(store, clock, process, hear):
    other = Process(store, clock)
    for _ in range(4):
        await hear(right=False)
    assert process.alarms.broken == [("faq", 1, 0.95)]
    assert (process.rule.threshold, process.rule.rule.near_exact) == (0.95, False)
    assert process.promise.is_broken
    assert (other.rule.threshold, other.promise.is_broken) == (THRESHOLD, False)
    await follow(store, {"faq": other.rule})
    assert (other.rule.threshold, other.promise.is_broken) == (0.95, True)


async def test_two_processes_that_see_it_at_once_take_one_step(store, clock, process, hear):
    other = Process(store, clock)
    for _ in range(4):
        await hear(right=False)
    await other.promises.look("faq")
    assert other.alarms.broken == []
    assert len(await store.rules("faq")) == 1


async def test_a_stricter_rule_begins_with_a_clean_slate(process, hear):
    for _ in range(4):
        await hear(right=False)
    assert (await process.promises.standing("faq")).judged == Tally(0, 0)
    for _ in range(3):
        await hear(right=False)
    assert process.rule.version == 1
    await hear(right=False)
    assert process.rule.version == 2


async def test_a_tuned_rule_ends_the_alert(store, clock, process, hear):
    for _ in range(4):
        await hear(right=False)
    [tightened] = await store.rules("faq")
    await store.add_rule("faq", tightened.body, by="tune", created_at=clock())
    await follow(store, {"faq": process.rule})
    assert not process.promise.is_broken


async def test_a_route_that_promises_nothing_is_told_how_it_stands_and_left_as_it_is(store, clock):
    process = Process(store, clock, max_wrong=None)
    labels = [Label("s", "faq", str(n), "?", "a", False, "judge", clock(), similarity=0.98) for n in range(9)]
    await store.add_labels(labels)
    await process.promises.look("faq")
    assert (await process.promises.standing("faq")).judged == Tally(9, 9)
    assert process.rule.version == 0


async def test_near_misses_count_neither_way(process, hear):
    for _ in range(9):
        await hear(right=False, similarity=None)
    assert (await process.promises.standing("faq")).judged == Tally(0, 0)


async def test_a_person_who_finds_a_hit_right_overrules_the_judge(process, hear):
    for number in range(3):
        await hear(right=False, key=str(number))
        await hear(right=True, by="person", key=str(number))
    await hear(right=False)
    assert (await process.promises.standing("faq")).judged == Tally(4, 1)
    assert process.rule.version == 0


async def test_complaints_are_held_against_all_hits(process, hear, give):
    for _ in range(10):  # 1 complaint of 500 hits, where 1 of 100 may be wrong
        await give(500)
        await hear(right=False, by="feedback")
    assert (await process.promises.standing("faq")).called == Tally(5000, 10)
    assert process.rule.version == 0
    for _ in range(4):
        await give(3)
        await hear(right=False, by="feedback")
    assert process.rule.version == 1


async def test_a_complaint_of_an_exact_match_is_none_of_the_rules_doing(process, hear):
    for _ in range(9):
        await hear(right=False, by="feedback", similarity=1.0)
    assert process.rule.version == 0


async def test_a_complaint_that_was_taken_back_does_not_count(process, hear):
    for number in range(9):
        await hear(right=False, by="feedback", key=str(number))
        await hear(right=True, by="feedback", key=str(number))
    assert process.rule.version == 0


async def test_labels_of_a_route_that_is_no_more_are_of_no_use(process):
    await process.promises.look("former")
    assert process.alarms.broken == []


@pytest.mark.parametrize("seed", range(5))
async def test_a_replay_that_changes_its_domain_half_way_is_noticed_within_500_hits(process, hear, seed):
    """A judge looks at 1 hit of 20, and at all while in doubt. Before, 1 of 200 hits is wrong; then, 1 of 4."""
    random = Random(seed)
    change, noticed = 1000, None
    for hit in range(change + 500):
        if random.random() < (1.0 if process.promise.is_in_doubt else 0.05):
            await hear(right=random.random() >= (0.005 if hit < change else 0.25))
        if process.rule.version:
            noticed = hit
            break
    assert noticed is not None
    assert change < noticed < change + 500


async def test_thousands_of_hits_that_keep_the_promise_raise_no_alarm(process, hear):
    random = Random(1)
    for _ in range(4000):
        if random.random() < (1.0 if process.promise.is_in_doubt else 0.05):
            await hear(right=random.random() >= 0.005)
    assert process.alarms.broken == []
