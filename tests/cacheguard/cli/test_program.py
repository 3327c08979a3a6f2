"""What holds for every command."""

from __future__ import annotations

import pytest
from programs import run
from typer.main import get_command

from cacheguard.cli import make_program


def commands(command, *names):
    """All commands and groups by their full names."""
    yield " ".join(names), command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, *names, name)


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(make_program()), "cacheguard")))
def test_the_help_of_every_command_has_an_example_of_it(name, command):
    assert f"[bold]{name}" in command.help or name in {"cacheguard", "cacheguard config", "cacheguard entries"}
    assert "Example: [bold]cacheguard " in command.help


def test_help_is_printed_and_is_no_error(tmp_path):
    done = run(tmp_path, "serve", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example: cacheguard serve --port 8080" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("config",)])
def test_a_group_alone_prints_its_help(tmp_path, arguments):
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (2, "")
    assert "Usage: cacheguard" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["srve"], "No such command 'srve'"),
        (["serve", "--prot", "1"], "No such option: --prot"),
        (["serve", "--port", "high"], "'--port'"),
        (["ask"], "Missing argument 'TEXT'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(tmp_path, arguments, complaint):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("cacheguard: ")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
