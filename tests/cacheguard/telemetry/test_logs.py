from __future__ import annotations

import io
import json
import logging
from contextlib import contextmanager

import pytest
import structlog

from cacheguard.errors import ConfigError
from cacheguard.telemetry import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@contextmanager
def logging_to(stream, level="info"):
    root, events = (logging.root.handlers[:], logging.root.level), structlog.get_config()
    logs.configure(level, stream)
    try:
        yield structlog.get_logger()
    finally:
        structlog.configure(**events)
        logging.root.handlers[:], logging.root.level = root


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_ours_and_a_librarys_events_are_json_alike():
    with logging_to(out := io.StringIO()) as log:
        log.info("answer", tier="strong")
        logging.getLogger("uvicorn.error").warning("port %d", 80)
    ours, theirs = lines(out)
    assert (ours["event"], ours["tier"], ours["level"]) == ("answer", "strong", "info")
    assert (theirs["event"], theirs["level"]) == ("port 80", "warning")
    assert "timestamp" in ours
    assert "timestamp" in theirs


def test_no_text_of_an_exception_is_logged():
    with logging_to(out := io.StringIO()) as log:
        try:
            raise ValueError("a secret")
        except ValueError as error:
            log.exception("ours")
            log.warning("given", exc_info=error)
            logging.getLogger("uvicorn.error").exception("theirs")
            logging.getLogger("asyncio").warning("lost task\nexception=%r", error)
            logging.getLogger("uvicorn.error").warning("Traceback (most recent call last):\n  x\nValueError: a secret")
    assert "secret" not in out.getvalue()
    said = lines(out)
    assert [line["event"] for line in said] == ["ours", "given", "theirs", "lost task", "ValueError"]
    assert {line.get("error") for line in said[:3]} == {"ValueError"}
    assert said[0]["through"].startswith("test_logs.py:")


def test_what_is_below_the_level_and_what_http_clients_say_is_left_out():
    with logging_to(out := io.StringIO(), "warning") as log:
        log.info("quiet")
    assert out.getvalue() == ""
    with logging_to(out, "debug"):
        logging.getLogger("httpcore.http11").debug("send headers Authorization: Bearer sk-secret")
        logging.getLogger("httpx").info("GET http://user:secret@host/")
        logging.getLogger("aiohttp.client").debug("http://user:secret@proxy/")
    assert out.getvalue() == ""


def test_a_terminal_gets_lines_for_people():
    with logging_to(out := Terminal()) as log:
        log.warning("answer", tier="strong")
    assert "answer" in out.getvalue()
    assert "{" not in out.getvalue()


def test_an_unknown_level_is_refused():
    with pytest.raises(ConfigError, match=r"no log level 'loud'.*known: debug, info, warning, error"):
        logs.configure("loud", io.StringIO())
