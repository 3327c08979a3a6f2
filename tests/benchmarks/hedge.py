"""A hedge against a provider of whose answers one in twenty takes ten times as long: what it spares, what it costs.

The same requests twice, with the strategies `sequence` and `hedge`; what is real in it stands in `scene`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.scene import Scene
from tests.benchmarks.tally import Tally
from tests.benchmarks.traffic import traffic

if TYPE_CHECKING:
    from tests.benchmarks.tally import Row

SEED = 20
REQUESTS = 10_000
EVERY_S = 2.0
TIERS = ("usual", "second")
PACE = {"first_token_ms": {"median": 400, "p99": 1000}, "between_tokens_ms": 28}
TEN_TIMES = {"first_token_ms": {"median": 4000, "p99": 10_000}, "between_tokens_ms": 280}
HEALTH = {
    "usual": [{"when": {"share": 0.05}, "then": TEN_TIMES}, {"then": PACE}],
    "second": [{"then": PACE}],
}


def settings(strategy: str) -> dict[str, Any]:
    return {
        "store": {"url": "memory://"},
        "providers": {tier: {"kind": "openai", "base_url": f"http://{tier}/v1"} for tier in TIERS},
        "tiers": {tier: {"provider": tier, "model": "model", "timeout_s": 30} for tier in TIERS},
        "routes": {"chat": {"tiers": TIERS, "strategy": strategy, "cache": {"mode": "off"}}},
    }


def plain_and_hedged(requests: int) -> tuple[Row, Row]:
    """What so many requests come to."""
    askings = traffic(requests, (1,), requests * EVERY_S, {"chat": 1}, SEED)
    tally = Tally((), {"chat": TIERS}, 0)
    plain, hedged = (tally.total(Scene(settings(by), HEALTH).guarded(askings)) for by in ("sequence", "hedge"))
    return plain, hedged


def main() -> None:
    plain, hedged = plain_and_hedged(REQUESTS)
    table = Table("strategy", title=f"{REQUESTS:,} requests to a provider with a slow tail of 5 %")
    for heading in ("p50 s", "p99 s", "calls"):
        table.add_column(heading, justify="right")
    for strategy, row in (("sequence", plain), ("hedge", hedged)):
        table.add_row(strategy, f"{row.p50_s:.2f}", f"{row.p99_s:.2f}", f"{row.calls:,}")
    table.add_row("", "", f"{hedged.p99_s / plain.p99_s - 1:+.0%}", f"{hedged.calls / plain.calls - 1:+.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
