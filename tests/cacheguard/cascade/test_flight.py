"""Shared calls: one for all who ask the same, gone with the last of them, and nobody left hanging."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing

import pytest
import pytest_asyncio
from upstreams import ONE_HOUR_MS, asked, gathered, passes, simulated, text_of, tier_of, under_way

from cacheguard.cascade.flight import Flights
from cacheguard.cascade.stream import open_stream
from cacheguard.providers.base import Call
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.chat_shape import chunk_text
from cacheguard.providers.openai import ChatCompletions

CALL = Call("gpt", asked())
PATIENT_S = 60


class NoAnswer(Exception):
    pass


class Upstream:
    """A call that ends when it is told to. calls: how often it was begun."""

    def __init__(self):
        self.calls = 0
        self.cancelled = 0
        self._end = asyncio.get_running_loop().create_future()

    async def __call__(self, flight):
        self.calls += 1
        self.flight = flight
        try:
            return await asyncio.shield(self._end)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def land(self, landing):
        self._end.set_result(landing)

    def fail(self):
        self._end.set_exception(NoAnswer())
        self._end.exception()


@pytest_asyncio.fixture(autouse=True)
async def complaints():
    """What the loop complains of, exceptions that nobody retrieved above all: nothing."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    yield
    gc.collect()
    await turns()
    assert complaints == []


@pytest.fixture
async def upstream():
    return Upstream()


@pytest.fixture
def flights():
    return Flights()


def chunk(number):
    return chunk_text({"number": number, "choices": [{}]})


async def turns(count=10):
    """Let everyone who can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(waiting):
    """A task that waits, once it does."""
    task = asyncio.create_task(waiting)
    await turns()
    return task


async def leave(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await turns()


async def test_many_joiners_share_one_call_and_its_landing(flights, upstream):
    joined = [flights.join("key", upstream) for _ in range(100)]
    waiting = [await begun(flight.landing()) for flight, _ in joined]
    upstream.land("answer")
    assert await asyncio.gather(*waiting) == ["answer"] * 100
    assert [under_way for _, under_way in joined] == [False] + [True] * 99
    assert upstream.calls == 1


@pytest.mark.parametrize(("one", "other"), [("key", "another"), (None, None)])
async def test_other_keys_and_no_key_share_nothing(flights, upstream, one, other):
    waiting = [await begun(flights.join(key, upstream)[0].landing()) for key in (one, other)]
    upstream.land("answer")
    await asyncio.gather(*waiting)
    assert upstream.calls == 2


async def test_a_question_asked_after_the_landing_is_a_new_call(flights, upstream):
    upstream.land("answer")
    for _ in range(2):
        flight, under_way = flights.join("key", upstream)
        assert not under_way
        assert await flight.landing() == "answer"
    assert upstream.calls == 2


async def test_one_who_leaves_takes_nothing_from_the_others(flights, upstream):
    flight, _ = flights.join("key", upstream)
    leaving, staying = await begun(flight.landing()), await begun(flight.landing())
    await leave(leaving)
    upstream.land("answer")
    assert await staying == "answer"


async def test_the_last_one_leaving_cancels_the_call(flights, upstream):
    flight, _ = flights.join("key", upstream)
    await leave(*[await begun(flight.landing()) for _ in range(3)])
    assert (upstream.calls, upstream.cancelled) == (1, 1)
    assert flight.task.cancelled()


async def test_a_call_that_outlives_its_askers_goes_on_without_them(flights, upstream):
    flight, _ = flights.join("key", upstream, outlives=True)
    await leave(await begun(flight.landing()))
    assert flights.join("key", upstream) == (flight, True)
    upstream.land("answer")
    assert await flight.landing() == "answer"
    assert (upstream.calls, upstream.cancelled) == (1, 0)


async def test_a_call_under_way_outlives_its_askers_once_one_joined_who_wants_that(flights, upstream):
    flight, _ = flights.join("key", upstream)
    asker = await begun(flight.landing())
    flights.join("key", upstream, outlives=True)
    await leave(asker)
    upstream.land("answer")
    assert await flight.landing() == "answer"
    assert (upstream.calls, upstream.cancelled) == (1, 0)


async def test_a_joiner_while_an_abandoned_call_is_being_cancelled_gets_a_new_one(flights, upstream):
    abandoned, _ = flights.join("key", upstream)
    leaving = await begun(abandoned.landing())
    leaving.cancel()
    await turns(1)
    assert abandoned.abandoned
    assert not abandoned.task.done()
    flight, under_way = flights.join("key", upstream)
    assert not under_way
    waiting = await begun(flight.landing())
    assert abandoned.task.cancelled()
    assert flights.join("key", upstream) == (flight, True)
    upstream.land("answer")
    assert await waiting == "answer"


async def test_a_joiner_who_has_not_begun_to_wait_keeps_the_call_under_way(flights, upstream):
    flight, _ = flights.join("key", upstream)
    leaving = await begun(flight.landing())
    with flights.join("key", upstream)[0].waited_for():
        await leave(leaving)
        waiting = await begun(flight.landing())
    upstream.land("answer")
    assert await waiting == "answer"


async def test_late_listeners_get_all_chunks_from_the_first_on(flights, upstream):
    flight, _ = flights.join("key", upstream)
    early = await begun(heard(flight))
    for number in range(3):
        flight.publish(chunk(number))
        await turns()
    late = await begun(heard(flight))
    flight.publish(chunk(3))
    upstream.land("answer")
    assert await early == await late == await heard(flight) == [chunk(number) for number in range(4)]


async def test_a_slow_listener_misses_nothing(flights, upstream):
    flight, _ = flights.join("key", upstream)
    flight.publish(chunk(0))
    async with aclosing(await flight.listen()) as chunks:
        assert await anext(chunks) == chunk(0)
        flight.publish(chunk(1))
        flight.publish(chunk(2))
        upstream.land("answer")
        await flight.landing()
        assert await gathered(chunks) == [chunk(1), chunk(2)]


async def test_a_call_that_lands_without_chunks_has_none_to_listen_to(flights, upstream):
    flight, _ = flights.join("key", upstream)
    listening = await begun(flight.listen())
    upstream.land("answer")
    assert await listening is None
    assert await flight.landing() == "answer"


async def test_a_listener_keeps_the_call_under_way_between_two_chunks(flights, upstream):
    flight, _ = flights.join("key", upstream)
    flight.publish(chunk(0))
    async with aclosing(await flight.listen()) as chunks:
        await leave(await begun(flight.landing()))
        assert await anext(chunks) == chunk(0)
        assert upstream.cancelled == 0
    await turns()
    assert upstream.cancelled == 1


@pytest.mark.parametrize("read", [0, 1], ids=["before the first chunk", "in the middle"])
async def test_the_last_listener_leaving_cancels_the_call(flights, upstream, read):
    flight, _ = flights.join("key", upstream)
    await turns()
    flight.publish(chunk(0))
    chunks = await flight.listen()
    for _ in range(read):
        await anext(chunks)
    await chunks.aclose()
    await turns()
    assert upstream.cancelled == 1


async def test_a_listener_that_is_cancelled_before_the_first_chunk_has_left(flights, upstream):
    flight, _ = flights.join("key", upstream)
    await leave(await begun(flight.listen()))
    assert upstream.cancelled == 1


async def test_a_failure_reaches_all_who_wait_and_ends_all_who_listen(flights, upstream):
    flight, _ = flights.join("key", upstream)
    flight.publish(chunk(0))
    waiting = [await begun(flight.landing()) for _ in range(3)]
    listening = [await begun(heard(flight)) for _ in range(3)]
    upstream.fail()
    for failed in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(failed, NoAnswer)
    assert await asyncio.gather(*listening) == [[chunk(0)]] * 3
    with pytest.raises(NoAnswer):
        await flight.landing()


async def test_a_failure_that_nobody_waits_for_is_silent(flights, upstream):
    flights.join("key", upstream, outlives=True)
    await turns()
    upstream.fail()
    await turns()
    assert not flights.join("key", upstream)[1]


async def test_a_failure_after_its_asker_has_left_is_silent(flights, upstream):
    flight, _ = flights.join("key", upstream, outlives=True)
    await leave(await begun(flight.landing()))
    upstream.fail()
    await turns()
    assert isinstance(flight.task.exception(), NoAnswer)


async def test_a_call_that_fails_before_its_first_await_leaves_nobody_hanging(flights):
    async def fails_at_once(flight):
        raise NoAnswer

    flight, _ = flights.join("key", fails_at_once)
    assert await flight.listen() is None
    with pytest.raises(NoAnswer):
        await flight.landing()


async def test_a_call_that_is_cancelled_from_outside_leaves_nobody_hanging(flights, upstream):
    flight, _ = flights.join("key", upstream)
    waiting, listening = await begun(flight.landing()), await begun(flight.listen())
    flight.task.cancel()
    assert await listening is None
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_settling_waits_for_all_that_is_under_way(flights, upstream):
    kept, _ = flights.join("key", upstream, outlives=True)
    alone, _ = flights.join(None, upstream, outlives=True)
    settling = await begun(flights.settle())
    assert not settling.done()
    upstream.land("answer")
    await settling
    assert kept.task.result() == alone.task.result() == "answer"


async def test_settling_is_not_disturbed_by_a_failure(flights, upstream):
    flights.join("key", upstream, outlives=True)
    settling = await begun(flights.settle())
    upstream.fail()
    await settling
    await flights.settle()


async def heard(flight):
    return await gathered(await flight.listen())


@pytest.fixture(scope="module")
def simulator():
    with simulated() as host:
        yield host


@pytest.fixture
async def streamed(simulator):
    """A call that publishes the simulated provider's stream and lands with its text."""
    provider = HttpProvider(ChatCompletions(), Host(simulator.base_url))

    async def call(flight):
        stream = await open_stream(CALL, under_way(tier_of(provider), limit_s=PATIENT_S), passes)
        async for chunk in stream.chunks():
            flight.publish(chunk)
        return stream.completion().text

    yield call
    await provider.aclose()


async def test_a_hundred_identical_questions_are_one_call_to_the_provider(simulator, flights, streamed):
    simulator.play({"text": "Card limits change at once."})
    asking = [heard(flights.join("key", streamed)[0]) for _ in range(100)]
    texts = [text_of(chunks) for chunks in await asyncio.gather(*asking)]
    assert texts == ["Card limits change at once."] * 100
    assert simulator.calls["total"] == 1


async def test_the_last_asker_leaving_hangs_up_on_the_provider(simulator, flights, streamed):
    simulator.play({"between_tokens_ms": ONE_HOUR_MS})
    flight, _ = flights.join("key", streamed)
    async with aclosing(await flight.listen()) as chunks:
        await anext(chunks)
        await simulator.wait_for(in_flight=1, cancelled=0)
    await simulator.wait_for(in_flight=0, cancelled=1)
