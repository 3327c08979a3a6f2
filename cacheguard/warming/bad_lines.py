"""A file of the lines that can't be used, each with its file, number and what is wrong with it."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from pathlib import Path

    from cacheguard.lines import BadLine


class BadLines(AbstractContextManager["BadLines"]):
    """JSON lines `{"file", "line", "reason"}`, without what the lines say. length: bytes that a former run wrote."""

    def __init__(self, path: Path | None, length: int) -> None:
        self._path = path
        self._length = length
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path and self._length:
            with self._path.open("r+b") as file:
                file.truncate(self._length)  # what was written and then not committed
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    @property
    def path(self) -> Path | None:
        """Where it lies, if there is one."""
        return self._path if self._length else None

    def add(self, line: BadLine) -> None:
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab" if self._length else "wb")
        row = json.dumps({"file": line.file, "line": line.number, "reason": line.reason}, ensure_ascii=False)
        self._length += self._file.write(f"{row}\n".encode())

    def flushed(self) -> int:
        """Its length, when all of it is written."""
        if self._file:
            self._file.flush()
        return self._length
