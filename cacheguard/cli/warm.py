"""`cacheguard warm`: fills the cache from logs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cacheguard.cli import ConfigFile, load_settings
from cacheguard.cli.cached import SystemPromptFile, check_lasting, check_tenant, read_system_prompt, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cacheguard.settings import Settings
    from cacheguard.warming.engine import Engine
    from cacheguard.warming.pipeline import Wish
    from cacheguard.warming.report import Report

# Examples of each kind that are printed; --report holds more.
SHOWN = 5
_HOUR_S: Final = 3600


class Format(StrEnum):
    """Of logs, as the readers are named; auto: told by the records themselves."""

    AUTO = "auto"
    STREAM = "stream"
    OPENAI = "openai"
    CHAT = "chat"
    LITELLM = "litellm"
    LANGFUSE = "langfuse"
    LANGSMITH = "langsmith"
    HELICONE = "helicone"
    OTEL = "otel"
    CSV = "csv"


class PersonalData(StrEnum):
    SKIP = "skip"
    REDACT = "redact"
    KEEP = "keep"


class Machines(StrEnum):
    LOCAL = "local"
    RAY = "ray"


def warm(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Logs, packed or not: files, patterns, - for stdin, s3://… with fsspec."
        ),
    ],
    *,
    route: Annotated[str, typer.Option(metavar="R", help="Route whose requests get the answers.")],
    format_: Annotated[
        Format, typer.Option("--format", help="Of the logs; auto: told by their records.")
    ] = Format.AUTO,
    columns: Annotated[
        list[str] | None, typer.Option("--columns", metavar="OURS=THEIRS", help="A table's column: prompt=Question.")
    ] = None,
    tenant: Annotated[str, typer.Option(metavar="T", help="Tenant whose requests get the answers.")] = "default",
    log_tenant: Annotated[
        str, typer.Option(metavar="T", help="That tenant as the log names it; * takes what is of any.")
    ] = "",
    system_prompt_file: SystemPromptFile = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Leave out what is older: 30d, 12h, or 2026-11-01.")
    ] = None,
    min_count: Annotated[int, typer.Option(metavar="N", min=1, help="Keep questions asked so often.")] = 1,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Keep the N most asked questions.")] = None,
    personal: Annotated[
        PersonalData, typer.Option(help="Lines with personal data or secrets: skip them, redact answers, or keep all.")
    ] = PersonalData.SKIP,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be kept.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    engine: Annotated[Machines, typer.Option(help="ray: embed and compare on a Ray cluster.")] = Machines.LOCAL,
    address: Annotated[
        str | None, typer.Option(metavar="A", help="Of the Ray cluster; without it, one begins on this machine.")
    ] = None,
    bad_lines: Annotated[
        Path | None, typer.Option(metavar="F.jsonl", help="Where lines that can't be read are listed.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="F.json", help="Write all figures there, with examples.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Fill the cache from logs. Lines with one answer_id are phrasings of one answer; without ids, questions that ask
    the same are found.

    A question whose answers contradict each other is left out. A run that was stopped goes on with --resume, and one
    that was finished changes nothing. It works beside a running service, whose newer answers stay.

    Example: [bold]cacheguard warm 'logs/*.jsonl.gz' --route faq --dry-run[/bold]
    """
    from cacheguard.warming.pipeline import Wish
    from cacheguard.warming.sifting import Personal

    settings = load_settings(config).settings
    check_lasting(settings)
    check_tenant(settings, tenant)
    if address and engine is not Machines.RAY:
        raise typer.TyperException("--address is a Ray cluster's: say --engine ray too")
    folder = _folder(settings)
    wish = Wish(
        format_,
        _columns(columns or ()),
        None if since is None else _since(since),
        log_tenant,
        Personal(personal),
        min_count,
        limit,
        folder=folder,
        resume=resume,
        dry_run=dry_run,
        bad_lines=bad_lines or folder / "bad-lines.jsonl",
    )
    at = route, tenant, read_system_prompt(system_prompt_file)
    on = (address or "local") if engine is Machines.RAY else None
    done = asyncio.run(_warm(settings, files, wish, at=at, on=on))
    for line in summary(done):
        print(line)
    if report:
        report.write_text(json.dumps(figures(done), indent=2, ensure_ascii=False) + "\n", "utf-8")


async def _warm(
    settings: Settings, files: Sequence[str], wish: Wish, *, at: tuple[str, str, str], on: str | None
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


def _since(when: str) -> float:
    """Unix seconds of an age or a date."""
    if re.fullmatch(r"[0-9.]+\s*[smhdw]", when.strip()):
        return time.time() - seconds(when)
    try:
        at = datetime.fromisoformat(when)
    except ValueError:
        raise typer.TyperException(
            f"--since {when!r} is neither an age such as 30d nor a date such as 2026-11-01"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def figures(report: Report) -> dict[str, Any]:
    """The report as JSON, with what follows from it."""
    from cacheguard.tuning.guarantee import upper_bound

    found = report.as_json()
    if report.estimate and report.estimate.asked:
        at = report.estimate
        found["estimate"] |= {
            "hit_rate": round(at.served / at.asked, 4),
            "wrong_share_at_most": round(upper_bound(at.wrong, at.served), 4) if at.served else None,
        }
    return found


def summary(report: Report) -> Iterator[str]:
    """What came of it, for people."""
    what = "would be kept" if report.dry_run else "kept"
    yield f"{report.lines:,} lines read in {report.seconds:.1f} s"
    yield f"{report.kept:,} questions {what}, {report.answers:,} new answers"
    yield from _kept(report)
    yield from _expected(report)
    yield from _left_out(report)


def _kept(report: Report) -> Iterator[str]:
    if report.exact_only:
        yield f"{report.exact_only:,} of them are longer than the model reads: found by exact matches alone"
    if report.unchanged:
        yield f"{report.unchanged:,} questions the cache had already" + ("; nothing changed" if not report.kept else "")
    if report.fresher:
        yield f"{report.fresher:,} questions have a newer answer in the cache, which stays"
    if report.folded:
        yield f"{report.folded:,} lines repeat an earlier one"
    if report.rare:
        yield f"{report.rare:,} questions are asked too seldom to be kept"
    if report.withdrawn:
        yield f"{report.withdrawn:,} left out: that answer was called wrong for that question"


def _expected(report: Report) -> Iterator[str]:
    from cacheguard.tuning.guarantee import upper_bound

    at = report.estimate
    if at and at.asked:
        bound = f", of them wrong {at.wrong:,} (at most {upper_bound(at.wrong, at.served):.1%})" if at.served else ""
        yield (
            f"expected hit rate {at.served / at.asked:.1%}: of the newest {at.asked:,} lines, a cache filled from the"
            f" others serves {at.exact:,} exactly and {at.similar:,} by similarity{bound}"
        )
    if report.saved_usd or report.saved_s:
        hours = report.saved_s / _HOUR_S
        yield f"while this log was written it would have saved ${report.saved_usd:,.2f} and {hours:,.1f} h of waiting"


def _left_out(report: Report) -> Iterator[str]:
    for reason, number in sorted(report.left_out.items(), key=lambda one: -one[1]):
        yield f"{number:,} lines left out: {reason}"
    for number, shown, why in (
        (report.conflicts, report.conflicting, "questions left out, because their answers contradict each other"),
        (report.doubts, report.doubtful, "pairs of questions seem to ask the same and are answered differently"),
    ):
        if number:
            yield f"{number:,} {why}:"
        for conflict in shown[:SHOWN]:
            asked = " / ".join(map(repr, filter(None, (conflict.prompt, conflict.other))))
            yield f"  {asked}: {' / '.join(repr(_short(answer)) for answer in conflict.answers)}"
    if report.bad:
        where = f"; all are in {report.bad_lines_file}" if report.bad_lines_file else ""
        yield f"{report.bad:,} lines could not be read{where}:"
        yield from (f"  {line}" for line in report.bad_lines[:SHOWN])


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - of a line on a terminal
