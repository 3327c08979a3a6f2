"""From logs to the cache: read, validate, group, embed, keep."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine
from cacheguard.providers.base import Completion, Finish
from cacheguard.validation.base import first_objection
from cacheguard.warming.filling import Filling
from cacheguard.warming.grouping import Grouping
from cacheguard.warming.report import SHOWN, Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from cacheguard.place import Place
    from cacheguard.stores.base import Store
    from cacheguard.validation.base import Objection
    from cacheguard.warming.log import Logged, Reader
    from embeddings.base import Embedder


class Progress(Protocol):
    """Told how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A stretch of work begins; its steps are bytes of files, or questions."""
        ...

    def advance(self, steps: int) -> None: ...


async def warm(
    paths: Sequence[Path],
    reader: Reader,
    place: Place,
    store: Store,
    embedder: Embedder,
    *,
    now: float,
    progress: Progress,
    dry_run: bool = False,
) -> Report:
    """Fill the cache from logs. A run that is stopped goes on when it is started again; a finished one changes nothing.

    now: Unix seconds, when the answers count as written. Raises FileUnusable when no line can be used.
    """
    begun, report = time.perf_counter(), Report(dry_run=dry_run)
    with closing(Grouping()) as grouping:
        progress.begin("Reading", sum(path.stat().st_size for path in paths))
        for path in paths:
            async for logged in _valid(reader(path, progress.advance), place, report):
                grouping.add(logged)
        if report.lines == report.bad + report.refused:
            first = next(iter(report.bad_lines + report.refused_lines), "there is no line in it")
            raise FileUnusable(f"nothing in {', '.join(map(str, paths))} can be used: {first}")
        report.duplicates, report.conflicts = grouping.duplicates, grouping.conflicts
        report.conflicting = grouping.some_conflicts(SHOWN)
        progress.begin("Looking up" if dry_run else "Keeping", grouping.questions)
        filling = Filling(place, store, embedder, report, now)
        await filling.fill(grouping, progress.advance)
        if not dry_run:
            await filling.take_back(grouping.conflicting_keys())
    report.seconds = time.perf_counter() - begun
    return report


async def _valid(lines: Iterable[Logged | BadLine], place: Place, report: Report) -> AsyncIterator[Logged]:
    """The lines whose answers the route would give: those that its validators pass."""
    for line in lines:
        report.lines += 1
        if isinstance(line, BadLine):
            report.add_bad(line)
        elif objection := await _objection(line, place):
            report.add_refused(BadLine(line.file, line.number, objection.words))
        else:
            yield line


async def _objection(logged: Logged, place: Place) -> Objection | None:
    completion = Completion({}, logged.answer, Finish.STOP, model="")
    return await first_objection(completion, place.body(logged.prompt), place.route.plan.own_validators)
