"""What is counted and logged: one event per answer, one count per attempt, one per step of the cache that broke."""

from __future__ import annotations

import traceback
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cacheguard.cascade.breaker import State
from cacheguard.errors import StoreAway
from cacheguard.telemetry.trace import Traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cacheguard.cascade.outcome import Attempt
    from cacheguard.cascade.tier import Tier
    from cacheguard.telemetry.trace import Trace

# From an exact hit (well under a millisecond) to a tier's time-out.
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Promise(Protocol):
    """What a route promises of its hits."""

    @property
    def is_broken(self) -> bool: ...


class Remote(Protocol):
    """A store that may be away. dropped_writes: those that found no room to wait for it."""

    @property
    def is_away(self) -> bool: ...
    @property
    def waiting_writes(self) -> int: ...
    @property
    def dropped_writes(self) -> int: ...


class Telemetry:
    """Counts into a registry of its own and logs through structlog. Labels are names from the settings, no texts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.traces = Traces()
        self._registry = registry
        self._log = structlog.get_logger("cacheguard")
        self._answers = Counter("cacheguard_answers", "Answers given", ["route", "outcome"], registry=registry)
        self._seconds = Histogram(
            "cacheguard_answer_seconds",
            "From the request to the answer, or to the end of its stream",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        # Finding the counter of some labels takes longer than counting.
        self._answers_of, self._seconds_of = cache(self._answers.labels), cache(self._seconds.labels)
        self._attempts = Counter(
            "cacheguard_attempts", "Calls to tiers", ["route", "tier", "outcome"], registry=registry
        )
        self._attempt_seconds = Histogram(
            "cacheguard_attempt_seconds", "Calls to tiers", ["tier"], buckets=_SECONDS, registry=registry
        )
        self._cost = Counter("cacheguard_cost_usd", "Paid to tiers", ["route", "tier"], registry=registry)
        self._left_alone = Gauge(
            "cacheguard_tier_left_alone", "1 while a tier is not asked, to recover", ["tier"], registry=registry
        )
        self._key_left_alone = Gauge(
            "cacheguard_key_left_alone",
            "1 while a tier is not asked with this one of its provider's keys, counted from 1",
            ["tier", "key"],
            registry=registry,
        )
        self._errors = Counter("cacheguard_errors", "Requests that got an error", ["code"], registry=registry)
        self._judged = Counter(
            "cacheguard_judged",
            "Hits and near-misses that a judge found right or wrong, could not judge, or had no time for",
            ["route", "outcome"],
            registry=registry,
        )
        self._promise_broken = Gauge(
            "cacheguard_promise_broken",
            "1 since a route had to tighten itself, until it is tuned",
            ["route"],
            registry=registry,
        )
        self._broken = Counter(
            "cacheguard_cache_broken",
            "Steps of the cache that failed while the request went on",
            ["step"],
            registry=registry,
        )
        self._second_looks = Counter(
            "cacheguard_second_looks", "Doubtful answers looked at again", ["route", "outcome"], registry=registry
        )

    def watch(self, tiers: Iterable[Tier], clock: Callable[[], float]) -> None:
        """Show each tier's health whenever the metrics are read, and log which keys die.

        clock: the cascade's, in seconds.
        """
        for tier in tiers:
            if not tier.is_template:
                left_alone = partial(_is_left_alone, tier, clock)
                self._left_alone.labels(tier.name).set_function(left_alone)
                for key in range(len(tier.health.keys)):
                    key_left_alone = partial(_is_key_left_alone, tier, key, clock)
                    self._key_left_alone.labels(tier.name, str(key + 1)).set_function(key_left_alone)
                tier.health.keys.ring.alert = self.key_died

    def watch_store(self, store: Remote) -> None:
        """Show whenever the metrics are read whether it is there."""
        shown: dict[str, tuple[str, Callable[[], float]]] = {
            "away": ("1 while no answer comes from the store", lambda: store.is_away),
            "writes_waiting": ("Answers that are kept when the store is back", lambda: store.waiting_writes),
            "writes_dropped": ("Answers that found no room to wait for it", lambda: store.dropped_writes),
        }
        for name, (meaning, look) in shown.items():
            Gauge(f"cacheguard_store_{name}", meaning, registry=self._registry).set_function(look)

    def watch_promises(self, promises: Mapping[str, Promise]) -> None:
        """Show by route which are broken, whenever the metrics are read."""
        for route, promise in promises.items():
            self._promise_broken.labels(route).set_function(partial(_is_broken, promise))

    def answered(self, trace: Trace) -> None:
        """An answer was given whole."""
        trace.end()
        seconds, outcome = trace.seconds or 0.0, trace.outcome
        self._answers_of(trace.route, outcome).inc()
        self._seconds_of(outcome).observe(seconds)
        self._log.info(
            "answer",
            route=trace.route,
            outcome=outcome,
            reason=(trace.status and trace.status.detail) or None,
            similarity=trace.similarity,
            confidence=trace.confidence,
            tier=trace.tier,
            attempts=trace.tried.calls,
            latency_ms=round(seconds * 1000, 2),
            cost_usd=trace.cost_usd,
        )

    def attempted(self, route: str, attempt: Attempt) -> None:
        """A call to a tier is over."""
        self._attempts.labels(route, attempt.tier, attempt.outcome).inc()
        self._attempt_seconds.labels(attempt.tier).observe(attempt.seconds)
        self._cost.labels(route, attempt.tier).inc(attempt.cost_usd)

    def looked_again(self, route: str, outcome: str) -> None:
        """An answer was looked at again. outcome: hit, miss, late or broken."""
        self._second_looks.labels(route, outcome).inc()

    def judged(self, route: str, outcome: str) -> None:
        """A judge has, or has not, looked at a decision."""
        self._judged.labels(route, outcome).inc()

    def promise_broken(self, route: str, version: int, threshold: float, wrong: int, judged: int) -> None:
        """A route has tightened itself: somebody has to find out why, and tune it. version: the new rule."""
        self._log.error(
            "promise broken", route=route, version=version, threshold=round(threshold, 6), wrong=wrong, judged=judged
        )

    def key_died(self, provider: str, key: int, reason: str) -> None:
        """A provider refused one of its keys, or what is paid with it is spent: somebody has to see to it."""
        self._log.error("key died", provider=provider, key=key + 1, reason=reason)

    def failed(self, code: str) -> None:
        """A request got an error, or its stream broke off."""
        self._errors.labels(code).inc()
        self._log.info("error", code=code)

    def cache_broke(self, step: str, error: Exception) -> None:
        """A step of the cache failed. The error's type and place are told, not its text, which may quote a prompt."""
        self._broken.labels(step).inc()
        if isinstance(error, StoreAway):
            return  # said once, by whoever found out
        place = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(place.filename).name}:{place.lineno}"
        self._log.error("cache broken", step=step, error=type(error).__name__, at=at)


def _is_broken(promise: Promise) -> bool:
    return promise.is_broken


def _is_key_left_alone(tier: Tier, key: int, clock: Callable[[], float]) -> bool:
    return clock() < tier.health.keys.until(key)


def _is_left_alone(tier: Tier, clock: Callable[[], float]) -> bool:
    state, _ = tier.health.state(clock())
    return state is State.OPEN
