"""What commands on the cache's contents share: which answers are meant, and the way into the store."""

from __future__ import annotations

import re
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.errors import ConfigError, FileUnusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cacheguard.settings import Settings
    from cacheguard.stores.base import Store

# Such a store lists and removes; vectors are neither read nor written.
NO_MODEL = ""
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

OfRoute = Annotated[str | None, typer.Option("--route", metavar="R", help="Only answers of this route.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", metavar="T", help="Only answers of this tenant.")]
OfTag = Annotated[str | None, typer.Option("--tag", metavar="T", help="Only answers with this tag.")]
OfModel = Annotated[str | None, typer.Option("--model", metavar="M", help="Only answers that this model wrote.")]
OlderThan = Annotated[
    str | None,
    typer.Option("--older-than", metavar="AGE", help="Only answers written longer ago: 45s, 30m, 12h, 7d, 2w."),
]
SystemPromptFile = Annotated[
    Path | None,
    typer.Option(
        metavar="F",
        exists=True,
        dir_okay=False,
        help="System prompt that those requests send, character by character, its line breaks too.",
    ),
]


def read_system_prompt(file: Path | None) -> str:
    """Raises FileUnusable."""
    try:
        return file.read_bytes().decode() if file else ""
    except UnicodeDecodeError as exc:
        raise FileUnusable(f"{file} is not UTF-8 (byte {exc.start + 1})") from None


def seconds(age: str) -> float:
    """Of a duration such as 12h. Raises typer.TyperException."""
    number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", age.strip())
    if number is None:
        raise typer.TyperException(f"{age!r} is no duration: write a number and one of s, m, h, d, w, such as 7d")
    return float(number[1]) * _UNITS_S[number[2]]


def written_before(older_than: str | None) -> float | None:
    """Unix seconds. Raises typer.TyperException."""
    return None if older_than is None else time.time() - seconds(older_than)


def check_lasting(settings: Settings) -> None:
    """Raises ConfigError for a store that ends with this process."""
    if not settings.store.is_lasting:
        raise ConfigError(
            f"store.url is {settings.store.shown!r}, which begins and ends with each process: "
            "name one that lasts, such as sqlite:///./.cacheguard/cache.db"
        )


def check_tenant(settings: Settings, tenant: str) -> None:
    """Raises typer.TyperException for a tenant that no request can come from."""
    known = {entry.tenant for entry in settings.auth.keys} or {"default"}
    if tenant not in known:
        raise typer.TyperException(f"no key in auth.keys is of tenant {tenant!r}; known: {', '.join(sorted(known))}")


@asynccontextmanager
async def contents(settings: Settings) -> AsyncIterator[Store]:
    """The store without a model, also when its vectors are another one's."""
    from cacheguard.wiring import open_store

    check_lasting(settings)
    store = await open_store(settings, NO_MODEL, reembedding=True)
    try:
        yield store
    finally:
        await store.aclose()
