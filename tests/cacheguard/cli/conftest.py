"""Commands in this process: starting one anew for each takes longer than what it does."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from programs import KEYS

from cacheguard import cli


class Ended(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """A function that runs `cacheguard` with these arguments in `tmp_path`, but leaves this process's log alone."""
    monkeypatch.setattr(cli, "_log_warnings", lambda: None)
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)

    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["cacheguard", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return command
