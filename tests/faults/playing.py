"""Cells played: one service over a real store and the real model, whose tiers all ask one simulated provider."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from itertools import product
from random import Random

from services import ended, events, running, text_of

from tests.faults.cells import CELLS, STALE
from tests.faults.classes import (
    ANSWER,
    AS_IT_CAME,
    BROKEN,
    HINTED,
    LONG,
    PLACES,
    SOON,
    STALE_ANSWER,
    UNKNOWN,
    WINDOWS,
    Outcome,
)
from tests.faults.scripts import FORBIDDEN, GONE, HASTY, KEYED, LONG_S, OPENAI, RESTLESS, STREAM, USUAL, WIRES

GOOD, EARLIER = '{"limit": 500}', '{"limit": 100}'
SCHEMA = {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]}
FORM = {"type": "json_schema", "json_schema": {"name": "limit", "schema": SCHEMA}}
# What a prompt says that asks for an answer to be mended.
TOLD = "This can't be used"
FINISHES = {"stop", "length", "tool_calls", "content_filter"}

TTL_S = 100
OK, UNAVAILABLE = 200, 503
# So short only for what never comes.
CLOCKS = {HASTY: {"timeout_s": 0.1}, RESTLESS: {"between_tokens_timeout_s": 0.1}}
# Nobody listens on the port for discarding.
CLOSED = "http://127.0.0.1:9"


def settings():
    """A host with keys of its own for every tier, and a route for every set of tiers. (JSON is YAML too.)"""
    seats = list(product(WIRES, (USUAL, HASTY, RESTLESS, KEYED, GONE), PLACES))
    providers = {f"{wire}-{kind}-{place}": host(wire, kind) for wire, kind, place in seats}
    tiers = {
        name: {"provider": name, "model": place_of(name), "context_window": WINDOWS[place_of(name)]}
        | CLOCKS.get(name.split("-")[1], {})
        for name in providers
    }
    routes = {
        cell.route: {
            "tiers": cell.tiers,
            "cache": {"ttl_s": TTL_S, "stale_while_revalidate_s": 0},
            "validate": ["not_empty", "complete", "not_refusal", {"forbidden": {"words": [FORBIDDEN]}}],
        }
        for cell in CELLS
    }
    kept = {"store": {"url": "sqlite:///${FOLDER}/cache.db"}, "index": {"folder": "${FOLDER}/index"}}
    return json.dumps({**kept, "providers": providers, "tiers": tiers, "routes": routes})


def host(wire, kind):
    """A provider's settings. No tier is taken for ill: what one cell does to it is not held against the next."""
    keys = ["key-one", "key-two"] if kind == KEYED else ["key-one"]
    there = "${PROVIDER}" if wire == OPENAI else "${HOST}"
    base_url = CLOSED if kind == GONE else there
    return {"kind": wire, "base_url": base_url, "api_keys": keys, "breaker": {"minimum_calls": 1_000_000}}


class Shortest(Random):
    """Jitter at its shortest."""

    def uniform(self, a, b):
        return min(a + 0.02, b)


@contextmanager
def stage(folder):
    """A service on which cells are played, one after another."""
    with running(folder, settings()) as service:
        service.service.corridor._upstream._cascade.random = Shortest()
        yield Stage(service)


class Stage:
    """Plays cells, each in a partition of its own."""

    def __init__(self, service):
        self._running = service
        self._provider = service.provider
        self._tiers = service.service.tiers
        self._telemetry = service.service.telemetry
        self._asker = service.asker()

    def play(self, cell):
        """What came of it."""
        if cell.column == STALE:
            self._answer_earlier(cell)
        self._running.recover()
        faults = [{"when": {"model": place}, "then": then} for place, then in cell.scripts.items()]
        self._provider.play(*faults, {"text": GOOD})
        counted = self._counted()
        response = self._ask(cell)
        calls = self._provider.calls
        trace = self._asker.get(f"/admin/api/traces/{response.headers['x-request-id']}").json()
        vitals = {place_of(tier): self._tiers[tier].health.vitals(time.monotonic()) for tier in cell.tiers}
        return Outcome(
            client=seen(response),
            attempts=[(place_of(attempt["tier"]), attempt["outcome"]) for attempt in trace["attempts"]],
            counted=self._counted() - counted,
            calls=Counter(calls["by_model"]),
            votes=against(vitals),
            blocks=left_alone(vitals),
            told=sum(TOLD in json.dumps(body, ensure_ascii=False) for body in calls["bodies"]),
            stored=self._ask(cell, cache_control="only-if-cached").status_code == OK,
        )

    def _answer_earlier(self, cell):
        """So long ago that it is stale. A hasty tier may need another call where the machine is busy."""
        self._provider.play({"text": EARLIER})
        for _ in range(100):
            self._running.recover()
            if self._ask(cell, stream=False).status_code == OK:
                break
        self._running.clock.passes(2 * TTL_S)

    def _ask(self, cell, **how):
        """A field that the service doesn't know makes the partition."""
        form = {"response_format": FORM} if cell.fault.asks_for_json else {}
        asked = {"model": cell.route, "cell": str(cell), "stream": cell.mode == STREAM, **form}
        return self._asker.ask(**asked | how)

    def _counted(self):
        """The attempts in the metrics."""
        counts = Counter()
        for sample in self._telemetry._attempts.collect()[0].samples:
            if sample.name.endswith("_total"):
                counts[place_of(sample.labels["tier"]), sample.labels["outcome"]] += int(sample.value)
        return counts


def place_of(tier):
    return tier.rpartition("-")[2]


def against(vitals):
    """Votes but for good ones."""
    votes = Counter()
    for place, tier in vitals.items():
        votes.update({(place, str(vote)): times for vote, times in tier.calls.items() if vote != "well"})
    return votes


def left_alone(vitals):
    """For how long each key is."""
    now = time.monotonic()
    spans = ((place, span(block.until - now)) for place, tier in vitals.items() for block in tier.blocked)
    return Counter((place, how_long) for place, how_long in spans if how_long != SOON)


def span(seconds):
    """Beside a host's hint: so far apart that no machine is too slow."""
    if seconds <= LONG_S / 2:
        return SOON
    return HINTED if seconds <= LONG_S else LONG


def seen(response):
    """What the client got, in the words of `classes`; what they have no words for, as it is."""
    if response.status_code == UNAVAILABLE:
        return f"503 {response.json()['error']['code']}, {span(int(response.headers['retry-after']))}"
    if response.status_code != OK:
        return " ".join(filter(None, (str(response.status_code), response.json()["error"]["code"])))
    is_stream = response.headers["content-type"].startswith("text/event-stream")
    bodies = events(response) if is_stream else [response.json()]
    text, error = text_of(response), bodies[-1].get("error")
    if error is not None or (is_stream and not ended(response)):
        is_told = text and error and error["code"] == "stream_broken" and "[DONE]" not in response.text
        return BROKEN if is_told else response.text
    reasons = [choice.get("finish_reason") for body in bodies for choice in body["choices"]]
    finish = next((reason for reason in reversed(reasons) if reason in FINISHES), UNKNOWN)
    given = {GOOD: ANSWER, EARLIER: STALE_ANSWER}.get(text, AS_IT_CAME)
    is_marked = ("-stale" in response.headers["cache-status"]) == (given == STALE_ANSWER)
    return given if (given != AS_IT_CAME and finish == "stop" and is_marked) else f"{given}, {finish}"
