"""What tests share: the public question sets, and nothing that fakes a part of the service."""

from __future__ import annotations

import gzip
import json
import os
import signal
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure():
    """Programs under test can be interrupted even where the tests run in the background, which ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public question sets; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("CACHEGUARD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public question sets at {folder}: set CACHEGUARD_DATA")
    return folder


@pytest.fixture(scope="session")
def questions(data) -> list[str]:
    """5,169 real questions about vaccines, in the order of their log."""
    with gzip.open(data / "streams" / "vira.warm.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["prompt"] for line in lines]
