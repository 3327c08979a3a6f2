"""The log: an event a line on stderr, JSON for machines, laid out for people on a terminal.

What a library logs goes the same way. Texts of exceptions are left out everywhere: they may quote a prompt.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

from cacheguard.errors import ConfigError
from cacheguard.json_text import to_json

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

VARIABLE = "CACHEGUARD_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# Below a warning, HTTP clients tell addresses and header fields, keys among them, and FAISS how it was loaded.
TALKATIVE = ("aiohttp", "httpx", "httpcore", "faiss")
_FRAMES = 8


def configure(level: str, stream: TextIO) -> None:
    """Log to `stream` from now on. An event costs some 6 µs as JSON. Raises ConfigError for a level that is none."""
    number = LEVELS.get(level.lower())
    if number is None:
        raise ConfigError(f"there is no log level {level!r} (--log-level or ${VARIABLE}); known: {', '.join(LEVELS)}")
    is_terminal = stream.isatty()
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False) if is_terminal else stamped
    common: list[Processor] = [structlog.processors.add_log_level, stamp, without_text]
    renderer: Processor = structlog.dev.ConsoleRenderer() if is_terminal else as_json
    structlog.configure(
        processors=[*common, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, first_line], processors=[strip, renderer], keep_exc_info=False
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def without_text(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """An exception's type and the places that it came through, innermost last, in place of its text."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["error"] = type(error).__name__
        event["through"] = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return event


def first_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Of a library's message the first line: asyncio shows a lost task's exception in the second; of a traceback,
    which uvicorn logs as a message where an app can't start, the exception's type.
    """
    lines = str(event["event"]).strip().splitlines() or [""]
    event["event"] = lines[-1].partition(":")[0] if lines[0].startswith("Traceback") else lines[0]
    return event


def stamped(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC)  # which orjson writes faster than datetime does itself
    return event


def as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return to_json(event, default=str).decode()
