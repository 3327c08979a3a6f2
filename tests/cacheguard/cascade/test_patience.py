"""Each thing is waited for until its own time, whatever was waited for before."""

from __future__ import annotations

import asyncio

import pytest

from cacheguard.cascade.patience import Patience
from tests.benchmarks.virtual_time import run


async def comes(after_s):
    await asyncio.sleep(after_s)
    return after_s


def in_jumps(test):
    """Runs on a clock that jumps: waiting takes no time."""

    def jumping():
        run(test())

    jumping.__name__ = test.__name__
    return jumping


def now():
    return asyncio.get_running_loop().time()


@in_jumps
async def test_each_has_a_time_of_its_own():
    patience = Patience()
    for after_s in (1, 5, 1, 4):
        assert await patience.wait(comes(after_s), now() + after_s + 0.5) == after_s
    assert now() == pytest.approx(11)


@in_jumps
async def test_what_comes_too_late_is_cancelled_at_its_time():
    patience = Patience()
    await patience.wait(comes(1), now() + 100)
    late = asyncio.ensure_future(comes(60))
    with pytest.raises(TimeoutError):
        await patience.wait(late, now() + 2)
    assert now() == pytest.approx(3)
    assert late.cancelled()
    assert asyncio.current_task().cancelling() == 0


@in_jumps
async def test_time_that_passes_between_two_waits_counts_for_neither():
    patience = Patience()
    await patience.wait(comes(1), now() + 2)
    await asyncio.sleep(50)
    assert await patience.wait(comes(1), now() + 2) == 1


@in_jumps
async def test_whoever_is_cancelled_meanwhile_stays_cancelled():
    waiting = asyncio.create_task(Patience().wait(comes(60), now() + 2))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@in_jumps
async def test_what_fails_fails_as_it_is():
    async def fails():
        raise KeyError("it")

    with pytest.raises(KeyError):
        await Patience().wait(fails(), now() + 2)


@in_jumps
async def test_nothing_rings_behind_its_end():
    patience = Patience()
    await patience.wait(comes(1), now() + 2)
    patience.close()
    await asyncio.sleep(10)
