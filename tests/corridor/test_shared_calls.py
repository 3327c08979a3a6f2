"""Many who ask the same at once share one call to the provider; leaving harms nobody but oneself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from services import CHAT, LIMIT, cache_status, ended, id_of, text_of
from upstreams import ONE_HOUR_MS

MANY = 100


@pytest.mark.parametrize("streams", [0, MANY, MANY // 2], ids=["plain", "streamed", "both"])
async def test_a_hundred_at_once_are_one_call_to_the_provider(service, asker, provider, streams):
    bodies = [asker.body(stream=number < streams) for number in range(MANY)]
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(*bodies))
        await service.waits_for(lambda: service.waiting >= MANY)
    responses = await asking
    assert provider.calls["total"] == 1
    assert sum("collapsed" in cache_status(response) for response in responses) == MANY - 1
    assert len({text_of(response) for response in responses}) == 1
    assert len({id_of(response) for response in responses}) == MANY
    assert asker.status() == "hit; ttl=86400; detail=exact"


async def test_only_who_asked_first_pays(service, asker):
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(*[asker.body()] * 3))
        await service.waits_for(lambda: service.waiting == 3)
    costs = sorted(float(response.headers["x-cacheguard-cost-usd"]) for response in await asking)
    assert costs[:2] == [0, 0]
    assert costs[2] > 0


async def test_different_questions_share_nothing(service, asker, provider):
    await asker.ask_all(*[asker.body(f"What is {number} squared?") for number in range(20)])
    assert provider.calls["total"] == 20


@pytest.mark.parametrize("stream", [False, True])
async def test_who_wants_no_shared_answer_gets_a_call_of_its_own(service, asker, provider, stream):
    fresh = {"headers": {"Cache-Control": "no-cache"}, "json": asker.body(stream=stream)}
    async with asker.at_once() as http:
        with service.gate.shut():
            asking = [asyncio.create_task(http.post(CHAT, **fresh)) for _ in range(3)]
        await asyncio.gather(*asking)
    assert provider.calls["total"] == 3


@asynccontextmanager
async def waiting(asker, service, count, **rest):
    """So many clients under way with one question."""
    async with asker.at_once() as http:
        tasks = [asyncio.create_task(http.post(CHAT, json=asker.body(**rest))) for _ in range(count)]
        await service.waits_for(lambda: service.waiting >= count)
        yield tasks
        await leave(tasks)


async def leave(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_takes_nothing_from_the_others(service, asker, provider, stream):
    with service.gate.shut():
        async with waiting(asker, service, 5, stream=stream) as (first, *others):
            await leave([first, *others[:2]])
            await service.waits_for(lambda: service.waiting == 2)
            service.gate.open()
            said = [text_of(response) for response in await asyncio.gather(*others[2:])]
    assert said == [text_of(asker.ask())] * 2
    assert provider.calls["total"] == 1


@pytest.mark.parametrize(
    ("pause", "stream"), [("latency_ms", False), ("latency_ms", True), ("between_tokens_ms", False)]
)
async def test_when_all_have_left_the_provider_is_hung_up_on_and_nothing_stored(
    service, asker, provider, stream, pause
):
    provider.play({pause: ONE_HOUR_MS})
    async with waiting(asker, service, 3, stream=stream) as tasks:
        await provider.wait_for(in_flight=1)
        await leave(tasks)
        await provider.wait_for(in_flight=0, cancelled=1)
    provider.play()
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


async def test_who_leaves_in_the_middle_of_a_stream_hangs_up_on_the_provider(service, asker, provider):
    provider.play({"between_tokens_ms": ONE_HOUR_MS})
    async with asker.at_once() as http, http.stream("POST", CHAT, json=asker.body(stream=True)) as response:
        async for line in response.aiter_lines():
            if '"content":' in line.replace(" ", ""):
                break
    await provider.wait_for(in_flight=0, cancelled=1)
    provider.play()
    assert asker.status() == "fwd=miss; fwd-status=200; stored"


async def test_who_comes_late_to_a_stream_hears_it_from_the_beginning(service, asker, provider):
    provider.play({"when": {"calls": {"to": 1}}, "then": {"between_tokens_ms": 20}})
    async with asker.at_once() as http, http.stream("POST", CHAT, json=asker.body(stream=True)) as early:
        lines = early.aiter_lines()
        await anext(lines)
        late = await http.post(CHAT, json=asker.body(stream=True))
        async for _ in lines:
            pass
    assert cache_status(late) == "fwd=miss; collapsed"
    assert ended(late)
    assert text_of(late) == text_of(asker.ask(LIMIT))
    assert provider.calls["total"] == 1


async def test_a_failure_reaches_all_who_share_the_call(service, asker, provider):
    provider.play({"status": 401})
    with service.gate.shut():
        asking = asyncio.create_task(asker.ask_all(*[asker.body(stream=number % 2 == 0) for number in range(6)]))
        await service.waits_for(lambda: service.waiting == 6)
    assert {response.status_code for response in await asking} == {503}
    assert provider.calls["total"] == 1
