"""Objects in a file, whatever holds them: JSON lines, a JSON array or document, CSV, Parquet. Memory stays bounded."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO, TypeAlias

from cacheguard.errors import FileUnusable
from cacheguard.lines import LONGEST, BadLine, is_of_system, lines_of, read_object, unpacked
from cacheguard.warming.log import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cacheguard.warming.sources import Source

    Advance: TypeAlias = Callable[[int], None]

_PARQUET: Final = b"PAR1"  # parquet.apache.org/docs/file-format, «magic number»
_BOM: Final = b"\xef\xbb\xbf"
_PEEKED: Final = 2**13
_CHUNK: Final = 2**20
_ROWS: Final = 256
_BETWEEN: Final = re.compile(r"[\s,]*")
_COLUMN: Final = re.compile(r"[\w .:/-]{1,64}")
_DELIMITERS: Final = ",;\t|"
# What APIs wrap their rows in.
_WRAPPERS: Final = ("data", "runs", "traces")


def records(source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    """advance: told how many bytes of the file were read. Raises FileUnusable for a file that can't be read."""
    try:
        with source.open() as file:
            start = file.peek(_PEEKED)[:_PEEKED]  # type: ignore[attr-defined]  # each is buffered
            if start.startswith(_PARQUET):
                yield from _parquet(file, source, advance)
                return
            packed = unpacked(file)
            start = packed.peek(_PEEKED)[:_PEEKED]  # type: ignore[attr-defined]
            first = start.removeprefix(_BOM).lstrip()
            if first.startswith(b"["):
                yield from _array(packed, file, source, advance)
            elif first.startswith(b"{") and _is_document(first):
                yield from _document(packed, source, advance)
            elif not first.startswith(b"{") and _is_header(first):
                yield from _csv(packed, file, source, advance)
            else:
                yield from _json_lines(packed, file, source, advance)
    except (OSError, EOFError) as exc:
        if not is_of_system(exc):
            yield BadLine(source.name, 0, f"the compressed file is damaged ({exc})")
            return
        raise FileUnusable(f"{source.name} can't be read: {getattr(exc, 'strerror', None) or exc}") from exc


def _is_header(start: bytes) -> bool:
    """Whether a file begins with names of columns."""
    header = start.partition(b"\n")[0].decode(errors="replace").strip()
    names = header.replace('"', "").split(_delimiter(header))
    return len(names) > 1 and all(map(_COLUMN.fullmatch, names))


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _json_lines(lines: BinaryIO, raw: BinaryIO, source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    for line in lines_of(lines, raw, source.name, advance):
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            fields = read_object(line.text)
        except ValueError as exc:
            yield BadLine(source.name, line.number, str(exc))
            continue
        yield from _unwrapped(fields, line.number)


def _unwrapped(fields: dict[str, Any], number: int) -> Iterator[Record]:
    for wrapper in _WRAPPERS:
        rows = fields.get(wrapper)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            yield from (Record(number, row) for row in rows)
            return
    yield Record(number, fields)


def _is_document(start: bytes) -> bool:
    """Whether an object goes on after its first line."""
    line, ended, rest = start.partition(b"\n")
    if not ended or not rest.strip():
        return False
    try:
        json.loads(line)
    except ValueError:
        return line.rstrip() in {b"{", b"{ "} or not rest.lstrip().startswith(b"{")
    return False


def _document(file: BinaryIO, source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    """One object over many lines, such as a trace that was downloaded."""
    content = file.read(LONGEST + 1)
    advance(source.size)
    if len(content) > LONGEST:
        yield BadLine(source.name, 1, f"is one object longer than {LONGEST // 2**20} MB: write an object a line")
        return
    try:
        fields = read_object(content.decode("utf-8-sig"))
    except ValueError as exc:
        yield BadLine(source.name, 1, str(exc))
        return
    yield from _unwrapped(fields, 1)


def _array(file: BinaryIO, raw: BinaryIO, source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    """The objects of an array, one after the other; after one that is no JSON, nothing more can be told apart."""
    with _decoded(file, errors="replace") as text:
        yield from _items(text, raw, source, advance)


def _items(text: TextIO, raw: BinaryIO, source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    decode = json.JSONDecoder().raw_decode
    buffer, at, number, told = "", 0, 1, 0
    begun = False
    while True:
        gap = _BETWEEN.match(buffer, at)
        assert gap is not None  # noqa: S101 - it matches nothing too
        number += buffer.count("\n", at, gap.end())
        at = gap.end()
        if not begun and buffer[at : at + 1] == "[":
            begun, at = True, at + 1
            continue
        if buffer[at : at + 1] == "]":
            return
        try:
            value, end = decode(buffer, at) if at < len(buffer) else (None, -1)
        except (ValueError, RecursionError) as exc:
            value, end, wrong = None, -1, str(exc)
        else:
            wrong = "the array breaks off here"
        # A value that ends where the buffer does may go on.
        if end < 0 or end == len(buffer):
            more = text.read(max(_CHUNK, len(buffer) - at)) if len(buffer) - at <= LONGEST else ""
            if not more:
                yield BadLine(source.name, number, f"is not JSON, nor is what follows read: {wrong}")
                return
            buffer, at = buffer[at:] + more, 0
            if raw.seekable():
                advance(raw.tell() - told)
                told = raw.tell()
            continue
        yield Record(number, value) if isinstance(value, dict) else BadLine(source.name, number, "is no object {…}")
        number += buffer.count("\n", at, end)
        at = end


def _csv(file: BinaryIO, raw: BinaryIO, source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    """Rows under a header. A row that is not UTF-8, or of another length than the header, is a bad line."""
    with _decoded(file, errors="surrogateescape") as text:
        yield from _rows(text, raw, source, advance)


def _rows(text: TextIO, raw: BinaryIO, source: Source, advance: Advance) -> Iterator[Record | BadLine]:
    header = text.readline()
    delimiter = _delimiter(header)
    names = next(csv.reader([header], delimiter=delimiter), [])
    csv.field_size_limit(LONGEST)  # the process's; nothing else here reads CSV
    rows = csv.reader(text, delimiter=delimiter)
    told = 0
    while True:
        number = rows.line_num + 2
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as exc:
            yield BadLine(source.name, number, f"is no CSV: {exc}")
        else:
            if len(row) == len(names):
                yield Record(number, dict(zip(names, row, strict=True)))
            elif row:
                yield BadLine(source.name, number, f"has {len(row)} columns, and the header {len(names)}")
        if raw.seekable():
            advance(raw.tell() - told)
            told = raw.tell()


@contextmanager
def _decoded(file: BinaryIO, errors: str) -> Iterator[TextIO]:
    """The file as text, which stays open afterwards."""
    text = io.TextIOWrapper(file, "utf-8-sig", errors=errors, newline="")
    try:
        yield text
    finally:
        text.detach()


def _parquet(file: BinaryIO, source: Source, advance: Advance) -> Iterator[Record]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise FileUnusable(f"{source.name} is Parquet, which needs pyarrow: pip install 'cacheguard[logs]'") from None
    if not file.seekable():
        raise FileUnusable(f"{source.name} is Parquet, which is read from its end: name the file")
    try:
        table = parquet.ParquetFile(file)
        number, rows = 0, max(1, table.metadata.num_rows)
        for batch in table.iter_batches(_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield Record(number, row)
            advance(round(source.size * number / rows) - round(source.size * (number - batch.num_rows) / rows))
    except pa.ArrowInvalid as exc:
        raise FileUnusable(f"{source.name} is no Parquet that can be read: {exc}") from exc
