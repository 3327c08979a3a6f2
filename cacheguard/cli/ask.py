"""`cacheguard ask`: one question through the whole corridor, and how it went."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.cli import ConfigFile, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from cacheguard.settings import Settings
    from cacheguard.telemetry.trace import Trace

# Labels, and where a trace has what they stand for.
FACTS = {
    "Cache-Status": "cache_status",
    "route": "route",
    "tier": "tier",
    "entry": "entry",
    "similarity": "similarity",
}


def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question.")],
    route: Annotated[str | None, typer.Option(metavar="R", help="Route; else `default`.")] = None,
    tenant: Annotated[str, typer.Option(metavar="T", help="Who asks.")] = "default",
    config: ConfigFile = None,
) -> None:
    """Ask one question as a client would: from the cache where an answer fits, else from the tiers.

    The answer goes to stdout, how it came about to stderr. It works beside a running service.

    Example: [bold]cacheguard ask "How do I block my card?" --route faq[/bold]
    """
    asyncio.run(_ask(load_settings(config).settings, text, route, tenant))


async def _ask(settings: Settings, text: str, route: str | None, tenant: str) -> None:
    from rich.console import Console

    from cacheguard.providers.base import Completion
    from cacheguard.request import Patient, Request
    from cacheguard.settings import DEFAULT_ROUTE
    from cacheguard.telemetry.trace import Trace
    from cacheguard.wiring import running

    aside = Console(stderr=True, highlight=False)
    body = {"model": route or DEFAULT_ROUTE, "messages": [{"role": "user", "content": text}]}
    async with running(settings) as service:
        trace = Trace(time.perf_counter)
        try:
            reply = await service.answer(Request(tenant, body, Patient(), route or DEFAULT_ROUTE), trace)
            assert isinstance(reply.content, Completion)  # noqa: S101 - only those who want streams get them
            print(reply.content.text, flush=True)
        finally:
            trace.end()
            aside.print(steps_table(trace))
            for name, value in facts(trace):
                aside.print(f"{name:<14}{value}", markup=False)


def steps_table(trace: Trace) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("step", "ms", "found", box=SIMPLE)
    table.columns[1].justify = "right"
    for step in trace.steps:
        table.add_row(step.name, f"{step.ms:.2f}", ", ".join(f"{name} {fact}" for name, fact in step.facts.items()))
    return table


def facts(trace: Trace) -> Iterator[tuple[str, str]]:
    """What `GET /admin/api/traces/ID` tells too; what isn't there is left out."""
    said = trace.as_json()
    yield from ((label, str(said[key])) for label, key in FACTS.items() if said[key] is not None)
    for attempt in said["attempts"]:
        took = f"{attempt['seconds'] * 1000:.0f} ms, ${attempt['cost_usd']:.6f}"
        yield "attempt", f"{attempt['tier']} ({attempt['model']}): {attempt['outcome']}, {took}"
    for passed in said["passed_over"]:
        yield "passed over", f"{passed['tier']}: {passed['why']}"
    yield "took", f"{said['ms']:.1f} ms, ${said['cost_usd']:.6f}"
