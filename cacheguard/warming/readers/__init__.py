"""One reader per format of logs. A new one: a file, and a line here."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cacheguard.warming.readers.chat import Chat
from cacheguard.warming.readers.columns import Table
from cacheguard.warming.readers.helicone import Helicone
from cacheguard.warming.readers.langfuse import Langfuse
from cacheguard.warming.readers.langsmith import LangSmith
from cacheguard.warming.readers.litellm import LiteLLM
from cacheguard.warming.readers.openai import OpenAI
from cacheguard.warming.readers.otel import OpenTelemetry
from cacheguard.warming.readers.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheguard.warming.log import Reader

TABLE = "csv"
FORMATS = ("stream", "openai", "chat", "litellm", "langfuse", "langsmith", "helicone", "otel", TABLE)


@contextmanager
def readers(columns: Mapping[str, str]) -> Iterator[Mapping[str, Reader]]:
    """A reader of each format, by its name, in the order in which they are asked whether they know a record.

    Those that ask for more come first. columns: of tables, by our names.
    """
    with closing(OpenAI()) as openai:
        yield {
            "otel": OpenTelemetry(),
            "litellm": LiteLLM(),
            "langsmith": LangSmith(),
            "langfuse": Langfuse(),
            "helicone": Helicone(),
            "stream": Stream(),
            "openai": openai,
            "chat": Chat(),
            TABLE: Table(columns),
        }
