"""What somebody who warms a cache asks for, and is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cacheguard.warming.reading import AUTO
from cacheguard.warming.sifting import Personal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Progress(Protocol):
    """Told how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A stretch of work begins; its steps are bytes of files, or questions."""
        ...

    def advance(self, steps: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is read, and how. format_: AUTO, or one of the readers'. columns: of tables, by our names.

    since: Unix seconds. log_tenant: the tenant as the log names it, "*" for all. at_least: how often a question has to
    be asked to be kept. most: questions kept, the most asked ones. folder: where work in progress lies, for a run that
    goes on; None: nowhere. bad_lines: a file for what can't be read.
    """

    format_: str = AUTO
    columns: Mapping[str, str] = field(default_factory=dict)
    since: float | None = None
    log_tenant: str = ""
    personal: Personal = Personal.SKIP
    at_least: int = 1
    most: int | None = None
    folder: Path | None = None
    resume: bool = False
    dry_run: bool = False
    bad_lines: Path | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether many questions may not be kept."""
        return self.at_least > 1 or self.most is not None
