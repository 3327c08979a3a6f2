"""What a log gives: questions, what was said before them, and the answers that they got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Exchange(NamedTuple):
    """A question and its answer.

    body: the request, in the shape of OpenAI's chat completions: its messages, and what else bears on the answer.
    answer_id, tenant, route, model: as the log names them, "" where it doesn't. at: Unix seconds. took_s: how long the
    answer took. is_right: what somebody said of it.
    """

    body: Mapping[str, Any]
    answer: str
    answer_id: str = ""
    tenant: str = ""
    route: str = ""
    model: str = ""
    at: float | None = None
    is_right: bool | None = None
    cost_usd: float = 0.0
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that is as it should be, but holds no answer that could be given again. reason: for people, counted."""

    reason: str


Said: TypeAlias = Exchange | LeftOut


class Record(NamedTuple):
    """One object of a file. number: of the line on which it begins, or of the row."""

    number: int
    fields: Mapping[str, Any]


class Logged(NamedTuple):
    """What was said, in line `number` of `file`."""

    file: str
    number: int
    said: Said


class Reader(Protocol):
    """Knows the records of one product. One reader reads all files of a warming, in their order."""

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """Whether this is one of its records, whole or not."""
        ...

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        """What a record holds. Raises ValueError, which says in words for a person what is wrong with it."""
        ...
