"""Vectors in a file, row by row: more than memory holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Vectors:
    """float32 (n, dimension), little-endian. Read by any thread while another one adds."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._dimension = dimension

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def put(self, start: int, vectors: NDArray[np.float32]) -> None:
        """The rows from here on, or one, in the place of what a killed run wrote there."""
        rest = memoryview(np.ascontiguousarray(vectors, "<f4").tobytes())
        at = start * self._dimension * 4
        while rest:
            written = os.pwrite(self._file, rest, at)
            rest, at = rest[written:], at + written

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """float32 (stop - start, dimension)."""
        width = self._dimension * 4
        parts, at, end = [], start * width, stop * width
        while at < end and (part := os.pread(self._file, end - at, at)):
            parts.append(part)
            at += len(part)
        return np.frombuffer(b"".join(parts), "<f4").reshape(-1, self._dimension).astype(np.float32, copy=False)
