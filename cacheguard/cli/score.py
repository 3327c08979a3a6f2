"""`cacheguard score`: what the service would decide, and how sure it is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.cli import ConfigFile, load_settings
from cacheguard.cli.cached import SystemPromptFile, check_tenant, read_system_prompt

if TYPE_CHECKING:
    from cacheguard.scoring import Summary
    from cacheguard.settings import Settings


def score(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A stream or pairs, plain or gzipped.")
    ],
    *,
    route: Annotated[str, typer.Option(metavar="R", help="Route that is asked.")] = "default",
    tenant: Annotated[str, typer.Option(metavar="T", help="Who asks.")] = "default",
    system_prompt_file: SystemPromptFile = None,
    out: Annotated[Path | None, typer.Option(metavar="F", help="Write the rows there; else to stdout.")] = None,
    config: ConfigFile = None,
) -> None:
    """Say what the service would decide for each labelled pair or replayed question. No tier is asked.

    A stream (JSON lines with prompt and answer_id) is asked of the cache as it stands; pairs (tab-separated, with the
    header prompt_a, prompt_b, same) need no cache. `confidence` is the probability that the answer fits, as the route's
    rule has it; under a plain cosine it is the similarity.

    Example: [bold]cacheguard score replay.jsonl.gz --route faq --out scored.jsonl[/bold]
    """
    if out and out.exists() and out.samefile(file):
        raise typer.TyperException(f"--out is {file} itself: name another file")
    settings = load_settings(config).settings
    check_tenant(settings, tenant)
    at = route, tenant, read_system_prompt(system_prompt_file)
    summary = asyncio.run(_score(settings, file, file.stat().st_size, at, out))
    print(said(summary), file=sys.stderr)


async def _score(settings: Settings, file: Path, size: int, at: tuple[str, str, str], out: Path | None) -> Summary:
    """at: route, tenant and system prompt."""
    from cacheguard.cli.output import written_to
    from cacheguard.cli.progress import bars
    from cacheguard.place import Place
    from cacheguard.scoring import Scoring
    from cacheguard.wiring import running

    route, tenant, system_prompt = at
    async with running(settings) as service:
        place = Place(service.routes.named(route), tenant, system_prompt)
        scoring = Scoring(place, service.corridor, service.embedder)
        with bars() as progress, written_to(out) as rows:
            progress.begin("Scoring", size)
            async for row in scoring.rows(file, progress.advance):
                print(row, file=rows)
    return scoring.summary


def said(summary: Summary) -> str:
    """What came of it, for people."""
    served, wrong = summary.served, summary.wrong
    share = f" ({served / summary.scored:.1%})"
    wrong_share = f" ({wrong / served:.2%} of them)" if served else ""
    lines = [f"served {served:,} of {summary.scored:,}{share}, wrong {wrong:,}{wrong_share}"]
    if summary.bad:
        lines += [f"{summary.bad:,} lines could not be scored:", *(f"  {line}" for line in summary.bad_lines)]
    return "\n".join(lines)
