"""What breaks behind the border is counted, and the request goes on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from cacheguard.border import Border


class Counted:
    """What broke, by step."""

    def __init__(self):
        self.broken = []

    def cache_broke(self, step, error):
        self.broken.append((step, type(error)))


@pytest.fixture
def counted():
    return Counted()


async def never():
    await asyncio.Event().wait()


async def breaks():
    raise OSError("no disk")


async def test_what_breaks_is_counted_and_gives_something_else(counted):
    assert await Border(counted).cross("keep", breaks(), "nothing") == "nothing"
    assert counted.broken == [("keep", OSError)]


async def test_what_takes_too_long_counts_as_broken(counted):
    assert await Border(counted, patience_s=0).cross("recall", never(), "nothing") == "nothing"
    assert counted.broken == [("recall", TimeoutError)]


async def test_whoever_waits_now_goes_on_before_what_is_crossed_later(counted):
    border, done = Border(counted), []

    async def note(what):
        done.append(what)

    async def answers():
        border.cross_later("place", note("placed"))

    async def waits(task):
        await asyncio.shield(task)
        done.append("told")

    await waits(asyncio.create_task(answers()))
    assert done == ["told"]
    await border.settle()
    assert done == ["told", "placed"]


async def test_it_is_done_before_a_client_that_was_told_is_heard_again(counted):
    """Who has an answer may ask again at once, and finds what was placed."""
    border, done, asked = Border(counted), [], asyncio.Event()

    class Asked(asyncio.Protocol):
        def data_received(self, _):
            done.append("asked")
            asked.set()

    async def place():
        done.append("placed")

    async def answers():
        border.cross_later("place", place())

    ours, client = socket.socketpair()
    with client:
        transport, _ = await asyncio.get_running_loop().create_connection(Asked, sock=ours)
        await asyncio.shield(asyncio.create_task(answers()))
        client.send(b"again")
        await asked.wait()
        transport.close()
    assert done == ["placed", "asked"]


async def test_what_breaks_later_is_counted_too(counted):
    border = Border(counted)
    border.cross_later("place", breaks())
    await border.settle()
    assert counted.broken == [("place", OSError)]
