"""Where rows go: a file, or stdout."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def written_to(out: Path | None) -> Iterator[TextIO]:
    """UTF-8, whatever the terminal speaks. A new file is readable by its owner alone: rows hold prompts."""
    if out is None:
        assert isinstance(sys.stdout, io.TextIOWrapper)  # noqa: S101 - the program's own
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        yield sys.stdout
        return
    out.touch(mode=0o600)
    with out.open("w", encoding="utf-8", newline="\n") as file:
        yield file
