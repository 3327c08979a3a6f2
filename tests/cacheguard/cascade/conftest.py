"""A simulated provider on loopback, with tiers that ask it: each has a model of its own, `first` asks `first-model`."""

from __future__ import annotations

from random import Random

import pytest
import pytest_asyncio
from upstreams import asked, simulated

from cacheguard.cascade.cascade import Cascade
from cacheguard.cascade.tier import Price, Tier
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.openai import ChatCompletions
from cacheguard.providers.template import TemplateProvider

KNOWN = "Card limits change at once, and the app shows the new one."
# Long for a test, so that only a clock which must not run can end it.
PATIENT_S = 60


class Even(Random):
    """Nothing is left to chance: every span is drawn at its beginning, every share at its end."""

    def uniform(self, a, b):  # noqa: ARG002 - the base class's
        return a

    def random(self):
        return 0.999


@pytest.fixture
def cascade():
    return Cascade(Even())


@pytest.fixture(scope="module")
def simulator():
    with simulated((asked()["messages"][0]["content"], KNOWN)) as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(simulator):
    provider = HttpProvider(ChatCompletions(), Host(simulator.base_url))
    yield provider
    await provider.aclose()


@pytest.fixture
def script(simulator):
    """Scripts what the tier of each name does; the others answer."""

    def play(**then_by_tier):
        simulator.play(*({"when": {"model": f"{name}-model"}, "then": then} for name, then in then_by_tier.items()))

    play()
    return play


@pytest.fixture
def tier(provider):
    """A tier over the simulated provider, or over another one. rest: as for Tier."""

    def named(name, over=provider, *, timeout_s=PATIENT_S, usd=1.0, **rest):
        price = Price(input_usd_per_mtok=usd, output_usd_per_mtok=usd)
        return Tier(name, over, f"{name}-model", timeout_s, timeout_s, price=price, **rest)

    return named


@pytest.fixture
def tiers(script, tier):
    """Several of them, and a provider that behaves."""

    def named(*names):
        return [tier(name) for name in names]

    return named


@pytest.fixture
def template():
    return Tier("sorry", TemplateProvider("Later."), "sorry", PATIENT_S, PATIENT_S, is_template=True)
