"""Answers as tables and as lines for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from cacheguard.types import Answer, Phrasing

# Rows of a table that is printed at once: a listing of any length takes no more memory.
_PAGE = 100


class Listing:
    """Prints answers as tables, page by page."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console()
        self._page = _table()

    def add(self, answer: Answer, phrasings: Sequence[Phrasing]) -> None:
        written = _time(answer.refreshed_at).partition(" ")[0]
        self._page.add_row(answer.id, answer.route, written, str(len(phrasings)), _line(answer.text))
        if self._page.row_count == _PAGE:
            self.end()

    def end(self) -> None:
        if self._page.row_count:
            self._console.print(self._page)
        self._page = _table()


def _table() -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, expand=True)
    # The same widths on every page.
    table.add_column("id", width=24, no_wrap=True)
    table.add_column("route", width=10, no_wrap=True)
    table.add_column("written", width=10)
    table.add_column("phrasings", width=9, justify="right")
    table.add_column("answer", ratio=1, no_wrap=True)
    return table


def details(answer: Answer, phrasings: Sequence[Phrasing]) -> Iterator[str]:
    """All about one answer."""
    facts = {
        "id": answer.id,
        "tenant": answer.tenant,
        "route": answer.route,
        "scope": answer.scope,
        "written by": " ".join(filter(None, (answer.provenance.tier, answer.provenance.model))),
        "cost": f"${answer.provenance.cost_usd:.6f}",
        "passed": ", ".join(answer.provenance.validators),
        "approved by": answer.provenance.approved_by,
        "created": f"{_time(answer.created_at)} UTC",
        "refreshed": f"{_time(answer.refreshed_at)} UTC",
        "ttl": "" if answer.ttl_s is None else f"{answer.ttl_s:g} s",
        "tags": ", ".join(answer.tags),
        "id in its log": answer.source_id,
    }
    for name, fact in facts.items():
        if fact:
            yield f"{name:<14}{fact}"
    yield f"\n{answer.text}\n"
    for phrasing in phrasings:
        yield f"{phrasing.id:>9}  {phrasing.origin:<6}  {_time(phrasing.created_at)}  {_line(phrasing.text)}"


def _line(text: str) -> str:
    """The text on one line, and without marks that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
