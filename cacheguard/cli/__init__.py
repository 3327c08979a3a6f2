"""The `cacheguard` program: one file per group of commands; each parses, calls and prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cacheguard.errors import CacheGuardError, ConfigError, ModelMismatch, RequestError
from embeddings.base import EmbeddingError
from index.base import IndexFailed

if TYPE_CHECKING:
    from cacheguard.settings import Loaded

FAILURE = 1
USAGE = 2

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="F", help="Settings file; else $CACHEGUARD_CONFIG, else ./cacheguard.yaml."),
]


class CommandFailed(CacheGuardError):
    """A command can't do its work. The message is one line and names the way out."""


def main() -> None:
    """Run the program. Errors are one line on stderr: exit 2 for usage and configuration, 1 for a failure."""
    try:
        sys.exit(make_program()(prog_name="cacheguard", standalone_mode=False))
    except typer.TyperException as error:
        _give_up(error.format_message(), USAGE)
    except (ConfigError, ModelMismatch, RequestError) as error:
        _give_up(str(error), USAGE)
    except (CacheGuardError, EmbeddingError, IndexFailed, OSError) as error:
        _give_up(str(error), FAILURE)


def make_program() -> typer.Typer:
    """All commands. Their modules import what is heavy only when they run, so that --help answers at once."""
    from cacheguard.cli import ask, config, demo, doctor, entries, score, second_look, serve, simulate, tune, warm

    program = typer.Typer(
        help="Answers from a cache of validated answers where one fits, else from a cascade of language models.\n\n"
        "Example: [bold]cacheguard demo[/bold]",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        callback=_log_warnings,
    )
    program.command()(serve.serve)
    program.command()(demo.demo)
    program.command()(warm.warm)
    program.command()(tune.tune)
    program.command()(second_look.second_look)
    program.command()(score.score)
    program.command()(ask.ask)
    program.add_typer(entries.commands, name="entries")
    program.command()(entries.invalidate)
    program.command()(simulate.simulate)
    program.add_typer(config.commands, name="config")
    program.command()(doctor.doctor)
    return program


def load_settings(config: Path | None, **flags: str | int | None) -> Loaded:
    """The settings that a command runs with. flags: keys of `server` that the command line sets. Raises ConfigError."""
    from cacheguard.settings import load

    said = {name: value for name, value in flags.items() if value is not None}
    return load(config, os.environ, Path.cwd(), flags=said)


def log_level(otherwise: str) -> str:
    """What $CACHEGUARD_LOG says, or `otherwise`."""
    from cacheguard.telemetry import logs

    return os.environ.get(logs.VARIABLE) or otherwise


def _log_warnings() -> None:
    """Commands print; of the log, only what went wrong belongs on a terminal."""
    from cacheguard.telemetry import logs

    logs.configure(log_level("warning"), sys.stderr)


def _give_up(message: str, status: int) -> NoReturn:
    if message:  # a group without its command has printed its help instead
        print(f"cacheguard: {message}", file=sys.stderr)
    sys.exit(status)
