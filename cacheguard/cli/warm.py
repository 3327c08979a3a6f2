"""`cacheguard warm`: fills the cache from logs."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.cli import ConfigFile, load_settings
from cacheguard.cli.cached import SystemPromptFile, check_lasting, check_tenant, read_system_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.settings import Settings
    from cacheguard.warming.report import Report

# Examples of each kind that are printed; --report holds more.
SHOWN = 5


class Format(StrEnum):
    """Of logs. auto: told by the file itself; there is one format so far."""

    AUTO = "auto"
    STREAM = "stream"


def warm(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Logs, plain or gzipped.")
    ],
    *,
    route: Annotated[str, typer.Option(metavar="R", help="Route whose requests get the answers.")],
    format_: Annotated[Format, typer.Option("--format", help="stream: prompt, answer and, where known, answer_id.")] = (
        Format.AUTO
    ),
    tenant: Annotated[str, typer.Option(metavar="T", help="Tenant whose requests get the answers.")] = "default",
    system_prompt_file: SystemPromptFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be kept.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="F.json", help="Write all figures there, with examples.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Fill the cache from logs. Lines with one answer_id are phrasings of one answer.

    A question that the logs answer in two ways is left out: one of the two is wrong. A run that was stopped goes on
    when it is started again, and one that was finished changes nothing. It works beside a running service.

    Example: [bold]cacheguard warm chats.jsonl.gz --route faq --dry-run[/bold]
    """
    settings = load_settings(config).settings
    check_lasting(settings)
    check_tenant(settings, tenant)
    format_ = Format.STREAM if format_ is Format.AUTO else format_
    system_prompt = read_system_prompt(system_prompt_file)
    done = asyncio.run(_warm(settings, files, format_, at=(route, tenant, system_prompt), dry_run=dry_run))
    for line in summary(done):
        print(line)
    if report:
        report.write_text(json.dumps(asdict(done), indent=2, ensure_ascii=False) + "\n", "utf-8")


async def _warm(
    settings: Settings, files: list[Path], format_: str, *, at: tuple[str, str, str], dry_run: bool
) -> Report:
    """at: route, tenant and system prompt."""
    from cacheguard.cli.progress import bars
    from cacheguard.place import Place
    from cacheguard.warming.log import READERS
    from cacheguard.warming.pipeline import warm as warm_from
    from cacheguard.wiring import running

    route, tenant, system_prompt = at
    async with running(settings) as service:
        place = Place(service.routes.named(route), tenant, system_prompt)
        into = service.store, service.embedder
        with bars() as progress:
            return await warm_from(
                files, READERS[format_], place, *into, now=time.time(), progress=progress, dry_run=dry_run
            )


def summary(report: Report) -> Iterator[str]:
    """What came of it, for people."""
    what = "would be kept" if report.dry_run else "kept"
    yield f"{report.lines:,} lines read in {report.seconds:.1f} s"
    yield f"{report.kept:,} questions {what}, {report.answers:,} new answers"
    if report.exact_only:
        yield f"{report.exact_only:,} of them are longer than the model reads: found by exact matches alone"
    if report.unchanged:
        yield f"{report.unchanged:,} questions the cache had already" + ("; nothing changed" if not report.kept else "")
    if report.duplicates:
        yield f"{report.duplicates:,} lines repeat an earlier one"
    if report.withdrawn:
        yield f"{report.withdrawn:,} left out: that answer was called wrong for that question"
    if report.conflicts:
        yield f"{report.conflicts:,} questions left out, because they have two answers:"
        for conflict in report.conflicting[:SHOWN]:
            yield f"  {conflict.prompt!r}: {' / '.join(map(repr, conflict.answer_ids))}"
    for count, lines, why in (
        (report.refused, report.refused_lines, "left out, because of their answers"),
        (report.bad, report.bad_lines, "could not be read"),
    ):
        if count:
            yield f"{count:,} lines {why}:"
            yield from (f"  {line}" for line in lines[:SHOWN])
