"""Bars on stderr for what takes longer than a second; nothing where stderr is no terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID


class Bars:
    """One bar for each stretch of work, the last one moving."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._current: TaskID | None = None

    def begin(self, what: str, total: int) -> None:
        self._current = self._progress.add_task(what, total=total or None)  # standard input has no size

    def advance(self, steps: int) -> None:
        assert self._current is not None  # noqa: S101 - begin() comes first
        self._progress.advance(self._current, steps)


@contextmanager
def bars() -> Iterator[Bars]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s", style="progress.data.speed")

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Rate(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bars(progress)
