"""`cacheguard tune`: chooses a route's decision rule from labels."""

from __future__ import annotations

import asyncio
import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cacheguard.cli import CommandFailed, ConfigFile, load_settings
from cacheguard.cli.cached import SystemPromptFile, check_lasting, check_tenant, contents, read_system_prompt

if TYPE_CHECKING:
    from cacheguard.settings import Settings
    from cacheguard.settings.routes import Cache
    from cacheguard.stores.base import Store, StoredRule
    from cacheguard.tuning.labels import Gathered, Gathering
    from cacheguard.tuning.report import Report
    from cacheguard.tuning.tuning import Promise

BY = "tune"
MAX_WRONG = 0.01


OnRoute = Annotated[str, typer.Option("--route", metavar="R", help="Route whose rule is chosen.")]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="F",
        exists=True,
        dir_okay=False,
        help="A stream of labelled questions, or pairs, plain or gzipped; what feedback, judges and people said of "
        "the route's answers is added to a stream.",
    ),
]
MaxWrong = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Largest share of wrong hits; else the route's max_wrong_hits, else 0.01."),
]
Confidence = Annotated[float, typer.Option(metavar="SHARE", help="How sure the promise is to be.")]
Apply = Annotated[bool, typer.Option("--apply", help="Put the rule in force, for all running services.")]
RollBack = Annotated[
    bool, typer.Option("--roll-back", help="Put the rule before the present one in force again, and do no more.")
]
OfTenant = Annotated[str, typer.Option("--tenant", metavar="T", help="Who asks the questions of the file.")]
ReportFile = Annotated[Path | None, typer.Option(metavar="F.json", help="Write all figures there.")]
PlotFile = Annotated[Path | None, typer.Option(metavar="F.png", help="Draw the curve there.")]


def tune(
    *,
    route: OnRoute,
    labels: LabelsFile = None,
    max_wrong: MaxWrong = None,
    confidence: Confidence = 0.95,
    apply: Apply = False,
    roll_back: RollBack = False,
    tenant: OfTenant = "default",
    system_prompt_file: SystemPromptFile = None,
    report: ReportFile = None,
    plot: PlotFile = None,
    config: ConfigFile = None,
) -> None:
    """Choose a route's decision rule from labelled questions, so that its promise holds.

    The promise: of the answers that the cache gives, at most such a share is wrong, with such confidence. The rule with
    the most hits that the labels prove to keep it is chosen; where they prove none, one that serves only exact and
    near-exact matches, and it is said how many more labels are likely to do. Nothing changes without --apply.

    Example: [bold]cacheguard tune --route faq --labels asked.jsonl.gz --max-wrong 0.02 --plot curve.png --apply[/bold]
    """
    settings = load_settings(config).settings
    check_lasting(settings)
    check_tenant(settings, tenant)
    cache = _cache_of(settings, route)
    if apply or roll_back:
        _check_decision(route, cache.decision)
    if roll_back:
        print(asyncio.run(_roll_back(settings, route)))
        return
    _check_plot(plot)
    promise = _promise(cache.max_wrong_hits or MAX_WRONG if max_wrong is None else max_wrong, confidence)
    at = route, tenant, read_system_prompt(system_prompt_file)
    given = (labels, labels.stat().st_size) if labels else None
    _say(*asyncio.run(_tune(settings, given, at, promise, apply=apply)), report, plot)


def _cache_of(settings: Settings, route: str) -> Cache:
    """Raises typer.TyperException."""
    if route not in settings.routes:
        raise typer.TyperException(f"there is no route {route!r}; known: {', '.join(settings.routes)}")
    return settings.routes[route].cache


def _promise(max_wrong: float, confidence: float) -> Promise:
    """Raises typer.TyperException."""
    from cacheguard.tuning.tuning import Promise

    for name, share in (("--max-wrong", max_wrong), ("--confidence", confidence)):
        if not 0 < share < 1:
            raise typer.TyperException(f"{name} is {share:g}: say a share above 0 and below 1, such as 0.01")
    return Promise(max_wrong, confidence)


def _check_decision(route: str, decision: str | float) -> None:
    """Raises typer.TyperException for a route that follows no tuned rule."""
    if decision != "auto":
        raise typer.TyperException(
            f"route {route!r} decides by the cosine {decision} in its settings: say `decision: auto` there first"
        )


def _check_plot(plot: Path | None) -> None:
    """Before minutes of work. Raises CommandFailed or typer.TyperException."""
    if plot and find_spec("matplotlib") is None:
        raise CommandFailed("--plot wants matplotlib: pip install 'cacheguard[plot]'")
    if plot and plot.suffix not in {".png", ".svg", ".pdf"}:
        raise typer.TyperException(f"--plot {plot}: name a file that ends in .png, .svg or .pdf")


async def _tune(
    settings: Settings, labels: tuple[Path, int] | None, at: tuple[str, str, str], promise: Promise, *, apply: bool
) -> tuple[Report, StoredRule | None]:
    """labels: a file and its size. at: route, tenant and system prompt."""
    from cacheguard.matching.guards import make_guards
    from cacheguard.matching.stored_rule import write_rule
    from cacheguard.place import Place
    from cacheguard.tuning.labels import Gathering
    from cacheguard.tuning.report import report_of
    from cacheguard.tuning.tuning import fit_for, tune
    from cacheguard.wiring import running

    route, tenant, system_prompt = at
    async with running(settings) as service:
        place = Place(service.routes.named(route), tenant, system_prompt)
        gathering = Gathering(place, service.cache, service.store, service.embedder)
        gathered = await _gathered(gathering, labels, f"{tenant!r} may get on route {route!r}")
        phrasings = [] if gathered.are_pairs else await gathering.phrasings()
        guards = make_guards(settings.routes[route].cache.guards)
        tuned = tune(gathered.labelled, fit_for(phrasings), guards, promise, time.time())
        applied = None
        if apply:
            body = write_rule(tuned.rule)
            applied = await service.store.add_rule(route, body, by=BY, created_at=time.time())
        return report_of(route, gathered, tuned), applied


async def _gathered(gathering: Gathering, labels: tuple[Path, int] | None, where: str) -> Gathered:
    """As _tune. where: in words. Raises CommandFailed where there is nothing to learn from."""
    from cacheguard.cli.progress import bars
    from cacheguard.tuning.labels import Gathered

    gathered = Gathered()
    with bars() as progress:
        if labels:
            file, size = labels
            progress.begin("Reading labels", size)
            gathered = await gathering.from_file(file, progress.advance)
        if not gathered.are_pairs:
            gathered.extend(await gathering.from_store())
    if not gathered.labelled:
        raise CommandFailed(f"nobody has labelled what {where} yet: name a file of labels with --labels")
    if not any(one.matches for one in gathered.labelled):
        raise CommandFailed(f"the cache holds nothing that {where}: fill it first, with `cacheguard warm`")
    return gathered


async def _roll_back(settings: Settings, route: str) -> str:
    from cacheguard.stores.base import StoredRule

    async with contents(settings) as store:
        stored = await store.rules(route)
        if not stored:
            raise CommandFailed(f"route {route!r} has no rule before the present one")
        before = stored[-2] if len(stored) > 1 else StoredRule(route, 0, "", "settings", 0.0)
        return await _in_force_again(store, before)


async def _in_force_again(store: Store, rule: StoredRule) -> str:
    now = await store.add_rule(rule.route, rule.body, by=rule.by, created_at=time.time())
    return f"route {rule.route!r}: the rule of version {rule.version} is in force again, as version {now.version}"


def _say(found: Report, applied: StoredRule | None, file: Path | None, plot: Path | None) -> None:
    """To people, and into the files that were asked for."""
    from cacheguard.tuning.report import as_json, said

    for line in said(found):
        print(line)
    print()
    if applied:
        back = "; --roll-back takes it back" if applied.version > 1 else ""
        print(f"in force on route {found.route!r} as version {applied.version}{back}")
    else:
        print("nothing changed: --apply puts the rule in force")
    if file:
        file.write_text(json.dumps(as_json(found), indent=2, ensure_ascii=False) + "\n", "utf-8")
    if plot:
        from cacheguard.tuning.plot import draw

        draw(found, plot)
