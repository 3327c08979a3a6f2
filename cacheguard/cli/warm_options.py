"""Options of `cacheguard warm`, and the values that they may have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


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


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Logs, packed or not: files, patterns, - for stdin, s3://… with fsspec."),
]
IntoRoute = Annotated[str, typer.Option("--route", metavar="R", help="Route whose requests get the answers.")]
OfFormat = Annotated[Format, typer.Option("--format", help="Of the logs; auto: told by their records.")]
Columns = Annotated[list[str] | None, typer.Option(metavar="OURS=THEIRS", help="A table's column: prompt=Question.")]
IntoTenant = Annotated[str, typer.Option("--tenant", metavar="T", help="Tenant whose requests get the answers.")]
LogTenant = Annotated[str, typer.Option(metavar="T", help="That tenant as the log names it; * takes what is of any.")]
Since = Annotated[str | None, typer.Option(metavar="WHEN", help="Leave out what is older: 30d, 12h, or 2026-11-01.")]
MinCount = Annotated[int, typer.Option(metavar="N", min=1, help="Keep questions asked so often.")]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="Keep the N most asked questions.")]
Personal = Annotated[
    PersonalData, typer.Option(help="Lines with personal data or secrets: skip them, redact answers, or keep all.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be kept.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
Judge = Annotated[
    str | None, typer.Option(metavar="TIER", help="A model that looks at the answers, of the most asked first.")
]
Reask = Annotated[
    str | None,
    typer.Option(metavar="TIER", help="Answers anew where the log contradicts itself or the judge objects."),
]
BudgetUsd = Annotated[
    float | None,
    typer.Option("--budget-usd", metavar="X", min=0, help="What both may spend; the rest stays as logged."),
]
OnEngine = Annotated[Machines, typer.Option(help="ray: embed and compare on a Ray cluster.")]
Address = Annotated[
    str | None, typer.Option(metavar="A", help="Of the Ray cluster; without it, one begins on this machine.")
]
BadLinesFile = Annotated[
    Path | None, typer.Option(metavar="F.jsonl", help="Where lines that can't be read are listed.")
]
ReportFile = Annotated[Path | None, typer.Option(metavar="F.json", help="Write all figures there, with examples.")]
