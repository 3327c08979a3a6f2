"""The means to ask models: those of a simulated provider, whose script says what they answer."""

from __future__ import annotations

import asyncio

import pytest
from upstreams import simulated

from cacheguard.providers.base import Call
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions


@pytest.fixture(scope="module")
def host():
    with simulated() as host:
        yield host


@pytest.fixture
async def ask(host):
    """Asks for a model named as the tier, or `writer`."""
    provider = HttpProvider(ChatCompletions(), Host(host.base_url))

    async def ask(body, *, tier=None, times=1):
        call = Call(tier or "writer", body)
        return await asyncio.gather(*(provider.complete(call) for _ in range(times)))

    yield ask
    await provider.aclose()
