"""`cacheguard second-look`: trains the model that is asked where a route's rule is unsure."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.cli import CommandFailed, ConfigFile, load_settings
from cacheguard.cli.cached import SystemPromptFile, check_lasting, check_tenant, read_system_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheguard.place import Place
    from cacheguard.settings import Settings
    from cacheguard.tuning.labels import Gathered
    from cacheguard.tuning.second_look import Taught, Teaching
    from cacheguard.wiring import Service


def second_look(
    *,
    route: Annotated[str, typer.Option(metavar="R", help="Route whose phrasings and labels teach it.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Write it there, into a folder that is not there yet.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            exists=True,
            dir_okay=False,
            help="A stream of labelled questions, plain or gzipped; else what was said of the route's answers.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(metavar="M", help="Where its weights begin: bundled, or a cross-encoder's name or folder."),
    ] = "bundled",
    max_minutes: Annotated[float, typer.Option(metavar="M", min=0.1, help="Longest time for the training.")] = 5,
    tenant: Annotated[str, typer.Option(metavar="T", help="Who asks the questions of the file.")] = "default",
    system_prompt_file: SystemPromptFile = None,
    config: ConfigFile = None,
) -> None:
    """Train a second look: a model that reads two questions together, asked where the route's rule is unsure.

    The phrasings that share an answer teach it, and every second label; the other labels weigh what it says. Nothing
    changes until the route's settings name the folder. Tune the route before: the look rests on its rule.

    Example: [bold]cacheguard second-look --route faq --labels asked.jsonl.gz --out ./looks/faq[/bold]
    """
    settings = load_settings(config).settings
    check_lasting(settings)
    check_tenant(settings, tenant)
    if route not in settings.routes:
        raise typer.TyperException(f"there is no route {route!r}; known: {', '.join(settings.routes)}")
    if out.exists():
        raise typer.TyperException(f"--out {out} exists: name a folder that does not")
    from cacheguard.tuning.second_look import Teaching

    at = route, tenant, read_system_prompt(system_prompt_file)
    given = (labels, labels.stat().st_size) if labels else None
    taught = asyncio.run(_train(settings, given, at, Teaching(model, max_minutes, time.time()), out))
    for line in said(taught):
        print(line)
    print(f"to use it, set routes.{route}.cache.second_look.model: {out}")


async def _train(
    settings: Settings, labels: tuple[Path, int] | None, at: tuple[str, str, str], teaching: Teaching, out: Path
) -> Taught:
    """labels: a file and its size. at: route, tenant and system prompt."""
    from cacheguard.place import Place
    from cacheguard.tuning.rehearsal import answered
    from cacheguard.tuning.second_look import pairs_of, phrasings, teach
    from cacheguard.wiring import running

    route, tenant, system_prompt = at
    async with running(settings) as service:
        place = Place(service.routes.named(route), tenant, system_prompt)
        gathered = await _gathered(service, labels, place)
        cached = await phrasings(service.store, place.asked("?").scope.key)
        if cached is None:
            raise CommandFailed(f"the cache holds nothing that {tenant!r} may get on route {route!r}: fill it first")
        rule = place.route.rule
        pairs = [*pairs_of(answered(cached)), *pairs_of(gathered.labelled[::2])]
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".training-") as scratch:
            made = Path(scratch) / "look"
            made.mkdir()
            taught = await asyncio.to_thread(teach, pairs, gathered.labelled[1::2], rule, teaching, made)
            made.replace(out)
    return taught


async def _gathered(service: Service, labels: tuple[Path, int] | None, place: Place) -> Gathered:
    from cacheguard.cli.progress import bars
    from cacheguard.tuning.labels import Gathering

    gathering = Gathering(place, service.cache, service.store, service.embedder)
    if labels is None:
        return await gathering.from_store()
    file, size = labels
    with bars() as progress:
        progress.begin("Reading labels", size)
        gathered = await gathering.from_file(file, progress.advance)
    if gathered.are_pairs:
        raise CommandFailed(f"{file} holds pairs: a second look is taught by a stream of questions")
    return gathered


def said(taught: Taught) -> Iterator[str]:
    """What came of it, for people."""
    yield f"taught by {taught.pairs:,} pairs in {taught.seconds:.0f} s; a look takes {taught.look_ms:.1f} ms"
    yield (
        f"of {taught.labels:,} labels that it did not see, the route would serve {taught.gained:,} more, "
        f"{taught.wrong:,} of them wrong"
    )
