"""Half an hour with tiers that fall ill in turns, on a clock that jumps: whoever can be answered is."""

from __future__ import annotations

import pytest

from tests.benchmarks.day import DEADLINE_S, HEALTH, ROUTES, SETTINGS, SHARES, STALE_S, TTL_S
from tests.benchmarks.illness import BAD_JSON, CUTS, FAILS, OVERLOADED, REFUSES, REFUSES_KEY, SLOW, THROTTLES, Phase
from tests.benchmarks.scene import Scene
from tests.benchmarks.tally import Source, Tally
from tests.benchmarks.traffic import traffic

MINUTE_S = 60.0
GONE, GONE_TOO, ALL_GONE = "one is gone", "another is slow too", "all are gone"
PHASES = tuple(
    Phase(name, begins * MINUTE_S, ends * MINUTE_S, faults)
    for name, begins, ends, faults in (
        (GONE, 2, 8, {"strong": REFUSES}),
        (GONE_TOO, 4, 6, {"cheap": SLOW}),
        ("one breaks its JSON", 10, 13, {"strong": BAD_JSON}),
        ("one throttles", 13, 16, {"cheap": THROTTLES}),
        ("one cuts its answers", 16, 19, {"strong": CUTS}),
        ("one refuses the key", 19, 22, {"local": REFUSES_KEY}),
        (ALL_GONE, 25, 27, {"strong": FAILS, "cheap": OVERLOADED, "local": REFUSES}),
    )
)
TALLY = Tally(PHASES, ROUTES, TTL_S + STALE_S)


@pytest.fixture(scope="module")
def told():
    askings = traffic(700, (1,), 30 * MINUTE_S, SHARES, seed=7)
    return Scene(SETTINGS, HEALTH).guarded(askings, PHASES)


def test_whoever_finds_a_tier_well_is_answered(told):
    unanswered = [one for one in TALLY.answerable(told) if not one.is_answered]
    # Nothing takes over from a stream that has begun to speak.
    assert {one.source for one in unanswered} <= {Source.BROKEN}
    assert len(unanswered) <= 3


def test_where_all_tiers_are_gone_an_old_answer_is_given(told):
    row = TALLY.by_phase(told)[ALL_GONE]
    assert row.unanswered == 0
    assert row.stale > 10


def test_a_tier_that_is_gone_is_hardly_asked(told):
    row = TALLY.by_phase(told)[GONE]
    # Five calls show it; then it is looked at after 5, 10, 20, 40, 80 and 160 s.
    assert 5 <= row.wasted_on_dead <= 12
    assert row.requests > 100


def test_no_call_fails_at_a_tier_that_is_well(told):
    assert TALLY.total(told).unexplained == 0


def test_nobody_waits_beyond_the_deadline(told):
    assert max(one.seconds for one in told) < DEADLINE_S


def test_a_quiet_service_stops_waiting_for_a_slow_tier_too():
    slow = Phase("slow", 10 * MINUTE_S, 130 * MINUTE_S, {"strong": SLOW})
    askings = traffic(130, (1,), 130 * MINUTE_S, {"chat": 1.0}, seed=7)
    row = Tally([slow], ROUTES, TTL_S + STALE_S).by_phase(Scene(SETTINGS, HEALTH).guarded(askings, [slow]))[slow.name]
    assert row.requests > 100
    assert row.wasted < 40
    assert row.unanswered == 0


def test_with_looks_at_its_host_fewer_requests_find_a_tier_gone():
    strong = {**SETTINGS["providers"]["strong"], "probe_every_s": 1}
    looking = {**SETTINGS, "providers": {**SETTINGS["providers"], "strong": strong}}
    gone = Phase(GONE, MINUTE_S, 5 * MINUTE_S, {"strong": REFUSES})
    askings = traffic(300, (1,), 10 * MINUTE_S, {"chat": 1.0}, seed=7)
    tally = Tally([gone], ROUTES, TTL_S + STALE_S)
    with_looks, without = (
        tally.total(Scene(settings, HEALTH).guarded(askings, [gone])) for settings in (looking, SETTINGS)
    )
    assert with_looks.wasted < without.wasted
    assert with_looks.unanswered == 0
