"""A day of 20,000 requests over three tiers that die, slow down, throttle and answer badly in turns.

Three times over: the service, the service on a day when nobody falls ill, and plain sequential retries. What is real in
it and what isn't stands in `scene`; each day passes in a minute or so. Questions are asked word for word, so that the
cache finds the same and nothing else, and answers are fresh for a minute only, so that tiers have to be asked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import structlog
from rich.console import Console
from rich.table import Table

from tests.benchmarks.illness import (
    BAD_JSON,
    CUTS,
    FAILS,
    OVERLOADED,
    REFUSES,
    REFUSES_KEY,
    SLOW,
    THROTTLES,
    Phase,
)
from tests.benchmarks.scene import Scene
from tests.benchmarks.tally import Tally
from tests.benchmarks.traffic import traffic

if TYPE_CHECKING:
    from tests.benchmarks.tally import Row

SEED = 20
REQUESTS = 20_000
DAY_S = 86_400.0
# Requests in each hour, against each other: a quiet night, a rush before and after noon, an evening.
BUSYNESS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 14, 18, 22, 16, 14, 13, 12, 11, 11, 12, 12, 10, 8, 5, 3)

TTL_S = 60.0
STALE_S = 6 * 3600.0
DEADLINE_S = 30.0
# A whole answer has 15 words: about 0.8, 0.4 and 1.5 s.
HEALTH = {
    "strong": [{"then": {"first_token_ms": {"median": 400, "p99": 1000}, "between_tokens_ms": 28}}],
    "cheap": [{"then": {"first_token_ms": {"median": 200, "p99": 500}, "between_tokens_ms": 14}}],
    "local": [{"then": {"first_token_ms": {"median": 900, "p99": 1800}, "between_tokens_ms": 42}}],
}
ROUTES = {
    "chat": ("strong", "cheap", "local"),
    "bulk": ("cheap", "local", "strong"),
    "inside": ("local", "strong", "cheap"),
}
SHARES = {"chat": 0.5, "bulk": 0.3, "inside": 0.2}
SETTINGS: dict[str, Any] = {
    "store": {"url": "memory://"},
    "index": {"snapshot_every_s": DAY_S},
    "providers": {
        "strong": {"kind": "openai", "base_url": "http://strong/v1"},
        "cheap": {"kind": "anthropic", "base_url": "http://cheap"},
        "local": {"kind": "gemini", "base_url": "http://local"},
    },
    "tiers": {
        "strong": {
            "provider": "strong",
            "model": "strong-model",
            "timeout_s": 6,
            "first_token_timeout_s": 3,
            "price": {"input_usd_per_mtok": 1.25, "output_usd_per_mtok": 10},
        },
        "cheap": {
            "provider": "cheap",
            "model": "cheap-model",
            "timeout_s": 4,
            "first_token_timeout_s": 2,
            "price": {"input_usd_per_mtok": 0.25, "output_usd_per_mtok": 2},
        },
        "local": {"provider": "local", "model": "local-model", "timeout_s": 8, "first_token_timeout_s": 4},
    },
    "routes": {
        name: {
            "tiers": tiers,
            "deadline_s": DEADLINE_S,
            "cache": {"ttl_s": TTL_S, "stale_while_revalidate_s": 0, "stale_if_error_s": STALE_S, "decision": 1.0},
        }
        for name, tiers in ROUTES.items()
    },
}


def at(hour: int, minute: int = 0) -> float:
    return hour * 3600.0 + minute * 60.0


PHASES = (
    Phase("strong is gone, at night", at(2), at(3), {"strong": REFUSES}),
    Phase("local is slow", at(6), at(6, 40), {"local": SLOW}),
    Phase("cheap throttles", at(8), at(8, 40), {"cheap": THROTTLES}),
    Phase("strong breaks JSON", at(9, 30), at(10, 30), {"strong": BAD_JSON}),
    Phase("strong is slow, at noon", at(11, 15), at(11, 45), {"strong": SLOW}),
    Phase("cheap answers 529", at(12, 15), at(13), {"cheap": OVERLOADED}),
    Phase("strong cuts answers", at(14), at(14, 30), {"strong": CUTS}),
    Phase("cheap refuses the key", at(15, 30), at(16, 15), {"cheap": REFUSES_KEY}),
    Phase("strong is gone", at(17, 30), at(18, 15), {"strong": REFUSES}),
    Phase("… and cheap is slow too", at(17, 45), at(18), {"cheap": SLOW}),
    Phase(
        "all three are down",
        at(20),
        at(20, 10),
        {"strong": FAILS, "cheap": OVERLOADED, "local": REFUSES},
    ),
)
SCENE = Scene(SETTINGS, HEALTH)


def main() -> None:
    # A dead key alarms, as it should.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console()
    askings = traffic(REQUESTS, BUSYNESS, DAY_S, SHARES, SEED)
    tally = Tally(PHASES, ROUTES, TTL_S + STALE_S)
    ours = SCENE.guarded(askings, PHASES)
    plain = SCENE.unguarded(askings, PHASES)
    calm = tally.total(SCENE.guarded(askings))
    console.print(by_phase(tally.by_phase(ours), tally.by_phase(plain)))
    console.print(in_all({"the service": tally.total(ours), "plain retries": tally.total(plain), "nobody ill": calm}))


def by_phase(ours: dict[str, Row], plain: dict[str, Row]) -> Table:
    """The service beside plain retries: ours / theirs."""
    table = Table("while", title="a day of requests: the service / plain retries")
    for heading in ("requests", "failed", "stale", "calls wasted", "p99 s"):
        table.add_column(heading, justify="right")
    for phase, our in ours.items():
        their = plain[phase]
        table.add_row(
            phase,
            f"{our.requests:,}",
            f"{our.unanswered} / {their.unanswered}",
            str(our.stale),
            f"{our.wasted} / {their.wasted}",
            f"{our.p99_s:.1f} / {their.p99_s:.1f}",
        )
    return table


def in_all(rows: dict[str, Row]) -> Table:
    table = Table("the whole day")
    figures = {
        "answered of what could be": lambda row: f"{1 - row.unanswered / row.answerable:.2%}",
        "could be answered": lambda row: f"{row.answerable:,}",
        "streams broken off": lambda row: str(row.broken),
        "calls": lambda row: f"{row.calls:,}",
        "calls to the ill, of requests": lambda row: f"{row.wasted / row.requests:.2%}",
        "… to the dead": lambda row: f"{row.wasted_on_dead / row.requests:.2%}",
        "p50 s": lambda row: f"{row.p50_s:.2f}",
        "p99 s": lambda row: f"{row.p99_s:.2f}",
        "cost, USD": lambda row: f"{row.cost_usd:.2f}",
    }
    for name in rows:
        table.add_column(name, justify="right")
    for figure, of in figures.items():
        table.add_row(figure, *(of(row) for row in rows.values()))
    return table


if __name__ == "__main__":
    main()
