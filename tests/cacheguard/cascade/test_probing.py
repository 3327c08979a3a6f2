"""A host that was left alone is looked at without any client's request."""

from __future__ import annotations

import time
from random import Random

import pytest
from servers import serve
from services import running
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from cacheguard.cascade.breaker import State
from cacheguard.cascade.health import Health
from cacheguard.cascade.probing import probe_all
from cacheguard.cascade.tier import Tier
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions

NOW = 100.0
SETTINGS = """
store: {url: "memory://"}
providers:
  host: {kind: openai, base_url: "${PROVIDER}", probe_every_s: 0.01}
tiers:
  strong: {provider: host, model: strong-model}
  sorry: {template: "Later."}
routes: {default: {tiers: [strong, sorry]}}
"""


class ListingHost:
    """Lists its models with a status."""

    def __init__(self):
        self.status = 200
        self.asked = 0

    async def models(self, _):
        self.asked += 1
        return Response("{}", self.status)


@pytest.fixture(scope="module")
def host():
    host = ListingHost()
    with serve(Starlette(routes=[Route("/v1/models", host.models)])) as url:
        host.url = f"{url}/v1"
        yield host


@pytest.fixture
async def tier(host):
    host.status, host.asked = 200, 0
    provider = HttpProvider(ChatCompletions(), Host(host.url))
    yield Tier("strong", provider, "m", timeout_s=30, first_token_timeout_s=30, health=Health(Random(1)))
    await provider.aclose()


def fall_ill(health, now=NOW):
    for _ in range(5):
        health.admit("", now).ended(AttemptFailed(FailureClass.TRANSPORT, ""), now)


def back(health):
    """When it may be asked again."""
    return health.retry_at("")


async def test_two_looks_at_a_host_that_is_back_have_it_asked_again(host, tier):
    fall_ill(tier.health)
    later = back(tier.health)
    for state in (State.HALF_OPEN, State.CLOSED):
        await probe_all([tier], lambda: later)
        assert tier.health.state(later)[0] is state
    assert host.asked == 2


async def test_a_host_that_is_still_ill_gets_a_longer_break(host, tier):
    fall_ill(tier.health)
    later = back(tier.health)
    host.status = 503
    await probe_all([tier], lambda: later)
    assert tier.health.state(later) == (State.OPEN, "probe: transport")
    assert back(tier.health) > later


async def test_nobody_looks_at_a_host_that_is_well_or_in_its_break(host, tier):
    await probe_all([tier], lambda: NOW)
    fall_ill(tier.health)
    await probe_all([tier], lambda: NOW)
    assert host.asked == 0


async def test_a_list_of_models_does_not_make_useless_answers_good(host, tier):
    for _ in range(5):
        tier.health.admit("", NOW).ended(AttemptFailed(FailureClass.EMPTY, ""), NOW)
    later = back(tier.health)
    await probe_all([tier], lambda: later)
    assert tier.health.state(later)[0] is State.HALF_OPEN
    assert host.asked == 0


async def test_a_key_that_is_refused_meanwhile_is_noticed(host, tier):
    fall_ill(tier.health)
    later = back(tier.health)
    host.status = 401
    await probe_all([tier], lambda: later)
    assert tier.health.state(later) == (State.OPEN, "auth")


async def test_a_service_brings_its_tiers_back_by_itself(tmp_path):
    with running(tmp_path, SETTINGS) as service:
        health = service.service.tiers["strong"].health
        fall_ill(health, time.monotonic() - 60)  # so long ago that its break is over
        await service.waits_for(lambda: health.state(time.monotonic())[0] is State.CLOSED)
        assert service.provider.calls["total"] == 0
