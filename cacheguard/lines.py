"""Lines of a text file, plain or packed. What is wrong with one of them never stops the reading of the others."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import orjson

from cacheguard.errors import FileUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
# Sixteen times the largest request that a service takes by default: what is longer is no line of text.
LONGEST: Final = 2**24
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Line(NamedTuple):
    """number: from 1. text: without its line break."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be used. file: its name. reason: for people."""

    file: str
    number: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}: {self.reason}"


def read_lines(path: Path, advance: Callable[[int], None] = lambda _: None) -> Iterator[Line | BadLine]:
    """The lines of a file that are not blank. advance: told how many bytes of the file were read.

    A file that breaks off gives its last line as a bad one. Raises FileUnusable for one that can't be opened.
    """
    try:
        with path.open("rb") as file:
            yield from lines_of(unpacked(file), file, path.name, advance)
    except OSError as exc:
        raise FileUnusable(f"{path} can't be read: {exc.strerror}") from exc


def lines_of(lines: BinaryIO, file: BinaryIO, name: str, advance: Callable[[int], None]) -> Iterator[Line | BadLine]:
    """As read_lines, of what an open file holds unpacked; advance is told nothing of a pipe. Raises OSError."""
    number = told = 0
    tells = file.seekable()
    try:
        while line := lines.readline(LONGEST + 1):
            number += 1
            if read := _line(line, name, number):
                yield read
            while len(line) > LONGEST and not line.endswith(b"\n"):
                line = lines.readline(LONGEST + 1)
            if tells:
                at = file.tell()
                advance(at - told)
                told = at
    except (EOFError, OSError, zlib.error) as exc:
        if is_of_system(exc):
            raise
        yield BadLine(name, number + 1, f"the compressed file breaks off or is damaged here ({exc})")


def read_object(text: str) -> dict[str, Any]:
    """The JSON object that a line holds. Raises ValueError, which says what is wrong in words for a person."""
    try:
        value = orjson.loads(text)
    except ValueError:
        value = _read(text)
    if not isinstance(value, dict):
        raise ValueError("is JSON, but no object {…}")  # noqa: TRY004 - wrong data, not a wrong call
    return value


def _read(text: str) -> Any:
    """What orjson refuses, such as lone surrogates and NaN, and what is wrong with the rest."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"is not JSON: {exc.msg} at column {exc.colno}") from None
    except (ValueError, RecursionError) as exc:  # a number of 5,000 digits, a list in a list in a list …
        raise ValueError(f"is not JSON that can be read: {exc}") from None


def text_in(fields: Mapping[str, Any], name: str) -> str:
    """A field that must be there and say something. Raises ValueError as above."""
    text = fields.get(name)
    if text is None:
        raise ValueError(f"lacks {name!r}")
    if not isinstance(text, str):
        raise ValueError(f"{name!r} is no text")  # noqa: TRY004 - as above
    if not text.strip():
        raise ValueError(f"{name!r} is blank")
    if not text.isascii() and _LONE_SURROGATE.search(text):
        raise ValueError(f"{name!r} holds a lone surrogate, which is not Unicode")
    return text


def unpacked(file: BinaryIO) -> BinaryIO:
    """What the file holds, by its first bytes: gzip, Zstandard or neither. Raises FileUnusable."""
    start = file.peek(len(_ZSTD))  # type: ignore[attr-defined]  # open(), stdin and BufferedReader have it
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start.startswith(_ZSTD):
        try:
            from pyarrow import CompressedInputStream  # noqa: PLC0415 - an extra
        except ImportError:
            raise FileUnusable("a log in Zstandard needs pyarrow: pip install 'cacheguard[logs]'") from None
        return io.BufferedReader(CompressedInputStream(file, "zstd"))
    return file


def is_of_system(exc: Exception) -> bool:
    """Whether the file can't be read, rather than unpacked: what unpacks, gzip and pyarrow, numbers no OSError."""
    return isinstance(exc, OSError) and exc.errno is not None


def _line(line: bytes, file: str, number: int) -> Line | BadLine | None:
    """None: it is blank."""
    if len(line) > LONGEST:
        return BadLine(file, number, f"is longer than {LONGEST // 2**20} MB")
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as exc:
        return BadLine(file, number, f"is not UTF-8 (byte {exc.start + 1})")
    return Line(number, text) if text.strip() else None
