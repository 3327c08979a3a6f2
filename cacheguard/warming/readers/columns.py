"""Tables whose columns say what they hold: CSV and Parquet without a product's own shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cacheguard.warming.readers.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheguard.warming.log import Said

# By our name: what else people call it.
_CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "question", "query", "input", "user"),
    "answer": ("answer", "response", "output", "completion", "reply", "assistant"),
    "answer_id": ("answer_id", "intent", "faq_id"),
    "system": ("system", "system_prompt"),
    "messages": ("messages", "history"),
    "tenant": ("tenant",),
    "route": ("route",),
    "model": ("model",),
    "at": ("at", "timestamp", "time", "created_at", "date"),
    "feedback": ("feedback", "rating", "verdict"),
    "cost_usd": ("cost_usd", "cost"),
    "took_s": ("took_s", "latency_s", "duration_s"),
}


class Table:
    """A row a question. columns: by our names, what the file calls them, where it is none of the names above."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._called = {name: (columns[name],) if name in columns else called for name, called in _CALLED.items()}
        self._stream = Stream()

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        names = self._names(fields)
        return "prompt" in names and "answer" in names

    def read(self, fields: Mapping[str, Any]) -> Iterable[Said]:
        names = self._names(fields)
        for needed in ("prompt", "answer"):
            if needed not in names:
                known = ", ".join(self._called[needed])
                raise ValueError(f"has no column for the {needed} ({known}); --columns {needed}=NAME names it")
        yield from self._stream.read({name: fields[column] for name, column in names.items()})

    def _names(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Of ours, those that there are, with the file's own."""
        lower = {column.strip().lower(): column for column in fields}
        found = {
            name: next((lower[one.lower()] for one in called if one.lower() in lower), None)
            for name, called in self._called.items()
        }
        return {name: column for name, column in found.items() if column is not None}
