"""Files become what was said in them: each file's format is told by its records."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from cacheguard.errors import FileUnusable
from cacheguard.lines import BadLine
from cacheguard.warming.log import Logged, Record
from cacheguard.warming.readers import FORMATS, readers
from cacheguard.warming.records import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cacheguard.warming.log import Reader
    from cacheguard.warming.sources import Source

AUTO: Final = "auto"
# Records looked at to tell a format: a log may begin with broken ones.
_LOOKED_AT: Final = 100


def read(
    sources: Sequence[Source], format_: str, columns: Mapping[str, str], advance: Callable[[int], None]
) -> Iterator[Logged | BadLine]:
    """What all files hold, in their order; the same at every reading. format_: one of FORMATS, or AUTO.

    columns: of tables, by our names. advance: told how many bytes were read. Raises FileUnusable.
    """
    with readers(columns) as known:
        for source in sources:
            rows = records(source, advance)
            first = list(islice(rows, _LOOKED_AT))
            reader = known[format_] if format_ != AUTO else _recognised(first, known, source)
            for row in chain(first, rows):
                yield from [row] if isinstance(row, BadLine) else _said(row, reader, source.name)


def _said(row: Record, reader: Reader, file: str) -> Iterator[Logged | BadLine]:
    try:
        for said in reader.read(row.fields):
            yield Logged(file, row.number, said)
    except ValueError as exc:
        yield BadLine(file, row.number, str(exc))
    except (AttributeError, KeyError, TypeError, IndexError) as exc:  # a list where the product writes an object
        yield BadLine(file, row.number, f"has not the shape that it should have ({type(exc).__name__}: {exc})")


def _recognised(rows: Sequence[Record | BadLine], known: Mapping[str, Reader], source: Source) -> Reader:
    """Of the reader that knows most of the first records; where there is none at all, any reads it."""
    wholes = [row for row in rows if isinstance(row, Record)]
    best = max(known.values(), key=lambda reader: sum(reader.recognises(row.fields) for row in wholes))
    if any(best.recognises(row.fields) for row in wholes):
        return best
    if not wholes:
        return known[FORMATS[0]]
    fields = ", ".join(map(repr, islice(wholes[0].fields, 8)))
    raise FileUnusable(
        f"the format of {source.name} can't be told by its fields {fields}: say --format, one of {', '.join(FORMATS)},"
        " or name them with --columns prompt=NAME --columns answer=NAME"
    )
