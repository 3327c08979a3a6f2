"""`cacheguard entries` and `cacheguard invalidate`: the cache's contents."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.cli import CommandFailed, ConfigFile, load_settings
from cacheguard.cli.cached import OfModel, OfRoute, OfTag, OfTenant, OlderThan, contents, written_before
from cacheguard.stores.base import Filter

if TYPE_CHECKING:
    from cacheguard.settings import Settings

commands = typer.Typer(
    no_args_is_help=True,
    help="The cache's contents.\n\nExample: [bold]cacheguard entries list --route faq[/bold]",
)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@commands.command("list")
def list_(
    *,
    route: OfRoute = None,
    tenant: OfTenant = None,
    tag: OfTag = None,
    model: OfModel = None,
    older_than: OlderThan = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List answers, oldest first.

    Example: [bold]cacheguard entries list --route faq --older-than 7d[/bold]
    """
    which = Filter(tenant, route, tag, model, written_before(older_than))
    asyncio.run(_list(load_settings(config).settings, which, as_json=as_json))


async def _list(settings: Settings, which: Filter, *, as_json: bool) -> None:
    from cacheguard.cli.listing import Listing

    listing = Listing()
    async with contents(settings) as store:
        async for answer, phrasings in store.answers(which):
            if as_json:
                print(json.dumps(asdict(answer) | {"phrasings": len(phrasings)}, ensure_ascii=False))
            else:
                listing.add(answer, phrasings)
    listing.end()


@commands.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="An answer's id, as in X-CacheGuard-Entry.")],
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show one answer and its phrasings.

    Example: [bold]cacheguard entries show ans_0123456789abcdef0123[/bold]
    """
    asyncio.run(_show(load_settings(config).settings, id_, as_json=as_json))


async def _show(settings: Settings, id_: str, *, as_json: bool) -> None:
    from cacheguard.cli.listing import details

    async with contents(settings) as store:
        found = [one async for one in store.answers(Filter(ids=(id_,)))]
    if not found:
        raise CommandFailed(f"there is no answer {id_!r}; `cacheguard entries list` names those there are")
    [(answer, phrasings)] = found
    if as_json:
        print(json.dumps(asdict(answer) | {"phrasings": [asdict(one) for one in phrasings]}, ensure_ascii=False))
    else:
        for line in details(answer, phrasings):
            print(line)


@commands.command()
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Answers; or numbers of phrasings, as in `show`.")],
    *,
    config: ConfigFile = None,
) -> None:
    """Delete answers with all their phrasings, or single phrasings. A running service notices at once.

    Example: [bold]cacheguard entries delete ans_0123456789abcdef0123[/bold]
    """
    asyncio.run(_delete(load_settings(config).settings, ids))


async def _delete(settings: Settings, ids: list[str]) -> None:
    async with contents(settings) as store:
        missing = []
        for id_ in ids:
            is_phrasing = id_.isascii() and id_.isdigit()
            gone = await (store.remove_phrasing(int(id_)) if is_phrasing else store.remove(Filter(ids=(id_,))))
            if not gone:
                missing.append(id_)
    print(f"{len(ids) - len(missing)} deleted")
    if missing:
        raise CommandFailed(f"there is no {', '.join(missing)}; `cacheguard entries list` names those there are")


@commands.command("export")
def export_(
    out: Annotated[Path | None, typer.Argument(metavar="[F.jsonl]", help="File to write; else stdout.")] = None,
    *,
    route: OfRoute = None,
    config: ConfigFile = None,
) -> None:
    """Write answers, phrasings, vectors, labels and rules as JSON lines. Keep such a file private: it holds prompts.

    Example: [bold]cacheguard entries export faq.jsonl --route faq[/bold]
    """
    asyncio.run(_export(load_settings(config).settings, out, route))


async def _export(settings: Settings, out: Path | None, route: str | None) -> None:
    from cacheguard.cli.cached import check_lasting
    from cacheguard.cli.output import written_to
    from cacheguard.cli.progress import bars
    from cacheguard.portable import export
    from cacheguard.wiring import running

    check_lasting(settings)
    async with running(settings) as service:
        counts = await service.store.counts()
        rows = export(
            service.store,
            service.embedder.spec.fingerprint,
            Filter(route=route),
            [route] if route else settings.routes,
        )
        with bars() as progress, written_to(out) as file:
            progress.begin("Exporting", counts.phrasings)
            async for row in rows:
                print(row, file=file)
                progress.advance(1)


@commands.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="F.jsonl", exists=True, dir_okay=False, help="An export.")],
    *,
    config: ConfigFile = None,
) -> None:
    """Bring in an export. Answers that are there already become what the file says.

    Example: [bold]cacheguard entries import faq.jsonl[/bold]
    """
    asyncio.run(_import(load_settings(config).settings, file, file.stat().st_size))


async def _import(settings: Settings, file: Path, size: int) -> None:
    from cacheguard.cli.cached import check_lasting
    from cacheguard.cli.progress import bars
    from cacheguard.portable import Importing
    from cacheguard.wiring import running

    check_lasting(settings)
    async with running(settings) as service:
        importing = Importing(service.store, service.embedder)
        with bars() as progress:
            progress.begin("Importing", size)
            held = await importing.read(file, progress.advance)
    if importing.made_anew:
        print("another model made the file's vectors, so they were made anew", file=sys.stderr)
    print(f"{held.answers:,} answers, {held.phrasings:,} phrasings, {held.labels:,} labels, {held.rules:,} rules")


@commands.command("re-embed")
def re_embed(*, config: ConfigFile = None) -> None:
    """Make all vectors anew with the model of the settings, after it was changed.

    Stopped and started again, it goes on. Stop the service first: it still uses the former model.

    Example: [bold]cacheguard entries re-embed[/bold]
    """
    asyncio.run(_re_embed(load_settings(config).settings))


async def _re_embed(settings: Settings) -> None:
    from cacheguard.cli.cached import check_lasting
    from cacheguard.cli.progress import bars
    from cacheguard.reembedding import reembed
    from cacheguard.wiring import open_model, open_store

    check_lasting(settings)
    embedder = await open_model(settings)
    try:
        store = await open_store(settings, embedder.spec.fingerprint, reembedding=True)
        try:
            counts = await store.counts()
            with bars() as progress:
                progress.begin("Embedding", counts.vectors)
                done = await reembed(store, embedder, progress.advance, now=time.time())
        finally:
            await store.aclose()
    finally:
        await embedder.aclose()
    print(f"{done:,} vectors made anew; all {counts.vectors:,} are of {embedder.spec.fingerprint}")


def invalidate(
    *,
    route: OfRoute = None,
    tenant: OfTenant = None,
    tag: OfTag = None,
    model: OfModel = None,
    older_than: OlderThan = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say how many would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before everything is removed.")] = False,
    config: ConfigFile = None,
) -> None:
    """Remove the answers that fit every option given; without any, all of them. A running service notices at once.

    Example: [bold]cacheguard invalidate --route faq --older-than 7d --dry-run[/bold]
    """
    which = Filter(tenant, route, tag, model, written_before(older_than))
    everything = which == Filter()
    if everything and not (dry_run or yes):
        if not sys.stdin.isatty():
            raise typer.TyperException("this removes everything: say which answers, such as --route faq, or --yes")
        if not typer.confirm("Remove every answer of every route and tenant?"):
            raise CommandFailed("nothing was removed")
    asyncio.run(_invalidate(load_settings(config).settings, which, dry_run=dry_run))


async def _invalidate(settings: Settings, which: Filter, *, dry_run: bool) -> None:
    async with contents(settings) as store:
        if dry_run:
            fitting = 0
            async for _ in store.answers(which):
                fitting += 1
            print(f"{fitting:,} answers would go")
        else:
            print(f"{await store.remove(which):,} answers removed")
