"""`cacheguard doctor`: what would keep the service from working, one line each."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from cacheguard.cli import FAILURE, ConfigFile, load_settings
from cacheguard.errors import ConfigError, StoreError
from cacheguard.failures import AttemptFailed, FailureClass
from embeddings.base import EmbeddingError
from index.base import IndexFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from cacheguard.settings import Loaded, Provider, Settings

PROVIDER_S = 10.0
# A cache of 100,000 answers takes some 400 MB, its index and both their logs included.
ENOUGH_MB = 500


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    state: State
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<9}{self.about:<20}{self.text}"


def doctor(config: ConfigFile = None) -> None:
    """Check settings, model, store, index and every provider, one line each. Exit 1 if one of them fails.

    Example: [bold]cacheguard doctor --config cacheguard.yaml[/bold]
    """
    try:
        loaded = load_settings(config)
    except ConfigError as error:
        print(Finding(State.FAILED, "settings", str(error)))
        raise typer.Exit(FAILURE) from error
    if not asyncio.run(_all_is_well(loaded)):
        raise typer.Exit(FAILURE)


async def _all_is_well(loaded: Loaded) -> bool:
    states = set()
    async for finding in examine(loaded):
        print(finding, flush=True)
        states.add(finding.state)
    return State.FAILED not in states


async def examine(loaded: Loaded) -> AsyncIterator[Finding]:
    """The findings, each as soon as it is there."""
    settings = loaded.settings
    yield Finding(State.OK, "settings", loaded.source)
    model, fingerprint = await _model(settings)
    yield model
    for finding in await _store(settings, fingerprint):
        yield finding
    if settings.index.backend == "redis":
        yield await _vector_sets(settings)
    for about, folder in _folders(settings):
        yield _folder(about, folder)
    asked = {tier.provider for tier in settings.tiers.values() if hasattr(tier, "provider")}
    for name, provider in settings.providers.items():
        if name in asked:
            yield await _provider(name, provider)
        else:
            yield Finding(State.SKIPPED, f"provider {name}", "no tier asks it")


async def _model(settings: Settings) -> tuple[Finding, str | None]:
    """What was found, and the model's fingerprint if it works."""
    from cacheguard.wiring import open_model

    try:
        embedder = await open_model(settings)
        try:
            began = time.perf_counter()
            await embedder.embed(["Does this model make vectors?"])
            took_ms = (time.perf_counter() - began) * 1000
        finally:
            await embedder.aclose()
    except EmbeddingError as error:
        return Finding(State.FAILED, "model", str(error)), None
    spec = embedder.spec
    said = f"{spec.name} {settings.embedding.precision}, {spec.dimension} dimensions, a question in {took_ms:.1f} ms"
    return Finding(State.OK, "model", said), spec.fingerprint


async def _store(settings: Settings, fingerprint: str | None) -> list[Finding]:
    """Opening it writes to it, and compares its vectors' model with ours."""
    from cacheguard.cli.introduction import look_into_store

    if fingerprint is None:
        return [Finding(State.SKIPPED, "store", "its vectors can't be compared with a model that doesn't work")]
    try:
        held = await look_into_store(settings, fingerprint)
    except StoreError as error:
        return [Finding(State.FAILED, "store", str(error))]
    counts = held.counts
    holds = f"{counts.answers} answers, {counts.phrasings} phrasings, {counts.labels} labels"
    found = Finding(State.OK, "store", f"{settings.store.shown}: {holds}, vectors of this model")
    return [found, *(Finding(State.WARNING, "store", remark) for remark in held.remarks)]


async def _vector_sets(settings: Settings) -> Finding:
    """Whether their Redis answers, and knows vector sets."""
    from cacheguard.wiring import reach_vector_sets

    servers = reach_vector_sets(settings)
    began = time.perf_counter()
    try:
        await servers.ask("cacheguard", ("VCARD", "cacheguard"))
    except IndexFailed as error:
        return Finding(State.FAILED, "index", str(error))
    finally:
        await servers.aclose()
    took_ms = (time.perf_counter() - began) * 1000
    return Finding(State.OK, "index", f"Redis answers in {took_ms:.1f} ms and has vector sets")


def _folders(settings: Settings) -> list[tuple[str, Path]]:
    """Where the service writes files."""
    database = settings.store.sqlite_path
    has_snapshots = settings.store.is_lasting and settings.index.backend == "faiss"
    index = [("index", settings.index.folder)] if has_snapshots else []
    return [*index, ("disk", database.parent)] if database else index


def _folder(about: str, folder: Path) -> Finding:
    """Whether it, or the nearest one above that is there, can be written and has room."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(State.FAILED, about, f"{there} can't be written: let this user write it, or name another")
    free_mb = shutil.disk_usage(there).free // 1_000_000
    if free_mb < ENOUGH_MB:
        return Finding(State.FAILED, about, f"{there} has {free_mb} MB left: make room")
    return Finding(State.OK, about, f"{folder}: can be written, {free_mb / 1000:.1f} GB free")


async def _provider(name: str, provider: Provider) -> Finding:
    """Ask for its models with each of its keys, which costs nothing and shows whether it takes them."""
    from cacheguard.wiring import make_provider

    about, url = f"provider {name}", provider.base_url
    host = make_provider(provider)
    key = 0
    try:
        async with asyncio.timeout(PROVIDER_S):
            for key in range(len(provider.keys)):
                await host.probe(key)
    except TimeoutError:
        return Finding(State.FAILED, about, f"no answer from {url} in {PROVIDER_S:g} s: start it, or correct base_url")
    except AttemptFailed as failed:
        which = f"api_keys[{key}]" if provider.api_keys else "api_key"
        return Finding(State.FAILED, about, _complaint(url, which, failed))
    finally:
        await host.aclose()
    return Finding(State.OK, about, f"{url} answers{'' if any(provider.keys) else ', without a key'}")


def _complaint(url: str, which: str, failed: AttemptFailed) -> str:
    """which: the setting that holds the key."""
    match failed.failure:
        case FailureClass.AUTH:
            return f"{url} refuses the key ({failed.status}): correct {which}"
        case FailureClass.QUOTA:
            return f"{url} says that the account of {which} is spent ({failed.status}): see to its bill"
        case _ if failed.status is None:
            return f"no answer from {url} ({failed}): start it, or correct base_url"
        case _:
            return f"{url} answers with {failed.status}: try again later"
