"""Regular expressions in time that grows with the text alone: Rust's, as pydantic brings them.

Patterns come from requests and settings, texts from models: with Python's own, one of them could stop the service.
"""

from __future__ import annotations

from pydantic_core import SchemaError, SchemaValidator, core_schema


class Regex:
    """A pattern, found anywhere in a text. Raises ValueError for what is none, or looks around or back."""

    def __init__(self, pattern: str) -> None:
        try:
            self._finds = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
        except SchemaError as exc:
            *_, why = str(exc).splitlines()
            raise ValueError(why.strip().removeprefix("error: ")) from None

    def is_in(self, text: str) -> bool:
        return self._finds.isinstance_python(text)
