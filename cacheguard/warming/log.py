"""What a log gives, and its readers by format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cacheguard.lines import BadLine, Line, read_lines, read_object, text_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Reader: TypeAlias = Callable[[Path, Callable[[int], None]], Iterator["Logged | BadLine"]]


@dataclass(frozen=True, slots=True)
class Logged:
    """A question and its answer, in line `number` of `file`. answer_id: as in the log, "" where it names none."""

    file: str
    number: int
    prompt: str
    answer: str
    answer_id: str = ""


def read_stream(path: Path, advance: Callable[[int], None]) -> Iterator[Logged | BadLine]:
    """`{"prompt": …, "answer": …, "answer_id": …}` a line; answer_id may be missing. Raises FileUnusable."""
    for line in read_lines(path, advance):
        yield line if isinstance(line, BadLine) else _logged(line, path.name)


READERS: Mapping[str, Reader] = {"stream": read_stream}


def _logged(line: Line, file: str) -> Logged | BadLine:
    try:
        fields = read_object(line.text)
        answer_id = text_in(fields, "answer_id") if fields.get("answer_id") else ""
        return Logged(file, line.number, text_in(fields, "prompt"), text_in(fields, "answer"), answer_id)
    except ValueError as exc:
        return BadLine(file, line.number, str(exc))
