"""Questions replayed to a running service, and what came back as a table."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import httpx
    from rich.table import Table

EXACT, SEMANTIC, MISS, SHARED, FAILED = "exact hit", "semantic hit", "miss", "shared miss", "failed"
HITS = (EXACT, SEMANTIC)


class Asked(NamedTuple):
    """A question, and the answer that would be right."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Played:
    """What came back. path: who answered, one of the words above."""

    asked: Asked
    path: str
    given: str
    ms: float
    cost_usd: float = 0.0

    @property
    def is_wrong_hit(self) -> bool:
        return self.path in HITS and self.given != self.asked.answer


def questions(path: Path) -> list[Asked]:
    """Of a file in the `stream` format."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [Asked(row["prompt"], row["answer"]) for row in rows]


async def replay(
    client: httpx.AsyncClient, model: str, asked: Sequence[Asked], at_once: int, on_played: Callable[[], None]
) -> list[Played]:
    """Ask all, in order, so many at once."""
    waiting = iter(asked)
    played: list[Played] = []

    async def ask_on() -> None:
        for one in waiting:
            played.append(await _ask(client, model, one))
            on_played()

    await asyncio.gather(*(ask_on() for _ in range(at_once)))
    return played


async def _ask(client: httpx.AsyncClient, model: str, asked: Asked) -> Played:
    body = {"model": model, "messages": [{"role": "user", "content": asked.prompt}]}
    began = time.perf_counter()
    response = await client.post("/v1/chat/completions", json=body)
    ms = (time.perf_counter() - began) * 1000
    if not response.is_success:
        return Played(asked, FAILED, "", ms)
    given = response.json()["choices"][0]["message"]["content"]
    headers = response.headers
    return Played(asked, path_of(headers["cache-status"]), given, ms, float(headers["x-cacheguard-cost-usd"]))


def path_of(cache_status: str) -> str:
    """Which way a request went, by its Cache-Status field."""
    said = set(cache_status.split("; "))
    if "hit" in said:
        return EXACT if said & {"detail=exact", "detail=exact-stale"} else SEMANTIC
    if "collapsed" in said:
        return SHARED
    return FAILED if "detail=template" in said else MISS


def by_path(played: Iterable[Played]) -> dict[str, list[Played]]:
    """Those paths that were taken, best first."""
    groups: defaultdict[str, list[Played]] = defaultdict(list)
    for one in played:
        groups[one.path].append(one)
    return {path: groups[path] for path in (*HITS, MISS, SHARED, FAILED) if groups[path]}


def table(played: Sequence[Played]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table("answered by", box=SIMPLE_HEAD)
    for heading in ("questions", "share", "p50", "p99", "cost"):
        made.add_column(heading, justify="right")
    for path, group in by_path(played).items():
        p50, p99 = percentiles([one.ms for one in group])
        cost_usd = sum(one.cost_usd for one in group)
        share = len(group) / len(played)
        made.add_row(path, f"{len(group)}", f"{share:.1%}", f"{p50:.1f} ms", f"{p99:.1f} ms", f"${cost_usd:.4f}")
    return made


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    if len(values) == 1:
        return values[0], values[0]
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


class Saved(NamedTuple):
    """What the hits would have cost, and how much longer they would have taken, as misses of the same replay."""

    usd: float
    seconds: float


def saved(played: Iterable[Played]) -> Saved:
    groups = by_path(played)
    hits = [one for path in HITS for one in groups.get(path, [])]
    misses = groups.get(MISS)
    if not (hits and misses):
        return Saved(0.0, 0.0)
    per_miss_ms = fmean(one.ms for one in misses)
    usd = len(hits) * fmean(one.cost_usd for one in misses)
    return Saved(usd, sum(per_miss_ms - one.ms for one in hits) / 1000)
