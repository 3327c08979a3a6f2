"""A key that dies is told to whoever runs the service: in the log once, in the metrics as long as it is left alone."""

from __future__ import annotations

from random import Random

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from cacheguard.cascade.health import Health
from cacheguard.cascade.keys import DEAD_S, KeyRing
from cacheguard.cascade.tier import Tier
from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.template import TemplateProvider
from cacheguard.telemetry.events import Telemetry

NOW = 100.0


class Watched:
    """Two models of a provider with two keys, and the metrics that show them."""

    def __init__(self):
        ring = KeyRing("host", 2)
        self.now = NOW
        self.registry = CollectorRegistry()
        self.tiers = [
            Tier(name, TemplateProvider(""), name, 30, 30, health=Health(Random(1), ring=ring))
            for name in ("strong", "cheap")
        ]
        Telemetry(self.registry).watch(self.tiers, lambda: self.now)

    def left_alone(self, tier, key):
        return bool(self.registry.get_sample_value("cacheguard_key_left_alone", {"tier": tier, "key": key}))


@pytest.mark.parametrize("failure", [FailureClass.AUTH, FailureClass.QUOTA])
def test_a_dead_key_is_logged_once_and_shown_until_it_is_tried_again(failure):
    watched = Watched()
    leaves = [tier.health.admit("", NOW) for tier in watched.tiers]
    with capture_logs() as logged:
        for leave in leaves:
            leave.ended(AttemptFailed(failure, "sk-secret is no good"), NOW)
    assert logged == [{"event": "key died", "log_level": "error", "provider": "host", "key": 1, "reason": failure}]
    assert [watched.left_alone(tier, "1") for tier in ("strong", "cheap")] == [True, True]
    assert [watched.left_alone(tier, "2") for tier in ("strong", "cheap")] == [False, False]
    watched.now += DEAD_S
    assert not watched.left_alone("strong", "1")


def test_a_limit_is_one_models_own_and_no_death():
    watched = Watched()
    limited = AttemptFailed(FailureClass.RATE_LIMIT, "", retry_after_s=7)
    with capture_logs() as logged:
        watched.tiers[0].health.admit("", NOW).ended(limited, NOW)
    assert not logged
    assert [watched.left_alone(tier, "1") for tier in ("strong", "cheap")] == [True, False]
