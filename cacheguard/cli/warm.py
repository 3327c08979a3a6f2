"""`cacheguard warm`: fills the cache from logs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from cacheguard.cli import ConfigFile, load_settings
from cacheguard.cli.cached import SystemPromptFile, check_lasting, check_tenant, read_system_prompt, seconds
from cacheguard.cli.warm_options import (
    Address,
    BadLinesFile,
    BudgetUsd,
    Columns,
    DryRun,
    Files,
    Format,
    IntoRoute,
    IntoTenant,
    Judge,
    Limit,
    LogTenant,
    Machines,
    MinCount,
    OfFormat,
    OnEngine,
    Personal,
    PersonalData,
    Reask,
    ReportFile,
    Resume,
    Since,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.place import Place
    from cacheguard.settings import Settings
    from cacheguard.warming.engine import Engine
    from cacheguard.warming.report import Report
    from cacheguard.warming.review import Models
    from cacheguard.warming.wish import Wish
    from cacheguard.wiring import Service


def warm(
    files: Files,
    *,
    route: IntoRoute,
    format_: OfFormat = Format.AUTO,
    columns: Columns = None,
    tenant: IntoTenant = "default",
    log_tenant: LogTenant = "",
    system_prompt_file: SystemPromptFile = None,
    since: Since = None,
    min_count: MinCount = 1,
    limit: Limit = None,
    personal: Personal = PersonalData.SKIP,
    dry_run: DryRun = False,
    resume: Resume = False,
    judge: Judge = None,
    reask: Reask = None,
    budget_usd: BudgetUsd = None,
    engine: OnEngine = Machines.LOCAL,
    address: Address = None,
    bad_lines: BadLinesFile = None,
    report: ReportFile = None,
    config: ConfigFile = None,
) -> None:
    """Fill the cache from logs. Lines with one answer_id are phrasings of one answer; without ids, questions that ask
    the same are found.

    A question whose answers contradict each other is left out. A run that was stopped goes on with --resume, and one
    that was finished changes nothing. It works beside a running service, whose newer answers stay.

    Example: [bold]cacheguard warm 'logs/*.jsonl.gz' --route faq --dry-run[/bold]
    """
    from cacheguard.warming.sifting import Personal
    from cacheguard.warming.wish import Wish

    settings = load_settings(config).settings
    check_lasting(settings)
    check_tenant(settings, tenant)
    if address and engine is not Machines.RAY:
        raise typer.TyperException("--address is a Ray cluster's: say --engine ray too")
    asked = _asked(settings, judge, reask, budget_usd, dry_run=dry_run)
    taken = format_, _columns(columns or ()), _since(since), log_tenant, Personal(personal), min_count, limit
    folder = _folder(settings)
    bad_lines = bad_lines or folder / "bad-lines.jsonl"
    wish = Wish(*taken, folder=folder, resume=resume, dry_run=dry_run, bad_lines=bad_lines)
    at = route, tenant, read_system_prompt(system_prompt_file)
    on = (address or "local") if engine is Machines.RAY else None
    _say(asyncio.run(_warm(settings, files, wish, at=at, on=on, asked=asked)), report)


def _say(done: Report, file: Path | None) -> None:
    from cacheguard.cli.warmed import figures, summary

    for line in summary(done):
        print(line)
    if file:
        file.write_text(json.dumps(figures(done), indent=2, ensure_ascii=False) + "\n", "utf-8")


class _Asked(NamedTuple):
    """Tiers that have a second look, and what that may cost."""

    judge: str | None
    again: str | None
    budget_usd: float


def _asked(
    settings: Settings, judge: str | None, again: str | None, budget_usd: float | None, *, dry_run: bool
) -> _Asked | None:
    """Raises typer.TyperException for what is no model, and for spending without a limit."""
    if not (judge or again):
        return None
    from cacheguard.settings import ModelTier

    for option, name in (("--judge", judge), ("--reask", again)):
        models = [known for known, tier in settings.tiers.items() if isinstance(tier, ModelTier)]
        if name and name not in models:
            raise typer.TyperException(f"{option} {name!r} is no tier with a model; known: {', '.join(models)}")
    if dry_run:
        raise typer.TyperException("--dry-run asks no model: leave out --judge and --reask")
    if budget_usd is None:
        raise typer.TyperException("--judge and --reask spend money: say how much with --budget-usd, such as 2.50")
    return _Asked(judge, again, budget_usd)


async def _warm(
    settings: Settings,
    files: Sequence[str],
    wish: Wish,
    *,
    at: tuple[str, str, str],
    on: str | None,
    asked: _Asked | None,
) -> Report:
    """at: route, tenant and system prompt. on: the Ray cluster; None: this process."""
    from cacheguard.cli.progress import bars
    from cacheguard.place import Place
    from cacheguard.warming.pipeline import warm as warm_from
    from cacheguard.warming.sources import find_sources
    from cacheguard.wiring import running

    route, tenant, system_prompt = at
    async with running(settings) as service:
        place = Place(service.routes.named(route), tenant, system_prompt)
        sources = find_sources(files)
        with bars() as progress:
            return await warm_from(
                sources,
                place,
                service.store,
                service.embedder,
                now=time.time(),
                progress=progress,
                wish=wish,
                engine=_engine(settings, on),
                models=_models(service, place, asked) if asked else None,
            )


def _models(service: Service, place: Place, asked: _Asked) -> Models:
    from functools import partial

    from cacheguard.warming.review import Models

    judge, again, budget_usd = asked
    return Models(
        service.cascade,
        partial(service.purse, place.tenant, place.route.name),
        partial(service.telemetry.attempted, place.route.name),
        budget_usd,
        service.tiers[judge] if judge else None,
        service.tiers[again] if again else None,
    )


def _engine(settings: Settings, on: str | None) -> Engine | None:
    if on is None:
        return None
    from cacheguard.warming.ray_engine import Ray

    return Ray(settings.embedding.model, settings.embedding.precision, None if on == "local" else on)


def _folder(settings: Settings) -> Path:
    """Where work in progress lies: beside the store, if that is a file."""
    return (settings.store.sqlite_path or Path(".cacheguard/cache.db")).parent / "warming"


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    from cacheguard.warming.readers.stream import FIELDS

    found = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or ours not in FIELDS or not theirs:
            raise typer.TyperException(f"--columns {pair!r} is not OURS=THEIRS; ours: {', '.join(FIELDS)}")
        found[ours] = theirs
    return found


def _since(when: str | None) -> float | None:
    """Unix seconds of an age or a date."""
    if when is None:
        return None
    if re.fullmatch(r"[0-9.]+\s*[smhdw]", when.strip()):
        return time.time() - seconds(when)
    try:
        at = datetime.fromisoformat(when)
    except ValueError:
        raise typer.TyperException(
            f"--since {when!r} is neither an age such as 30d nor a date such as 2026-11-01"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
