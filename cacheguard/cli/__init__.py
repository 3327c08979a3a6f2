"""The `cacheguard` program: one file per group of commands; each parses, calls and prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from cacheguard.errors import CacheGuardError, ConfigError, ModelMismatch
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


def main() -> None:
    """Run the program. Errors are one line on stderr: exit 2 for usage and configuration, 1 for a failure."""
    try:
        sys.exit(make_program()(standalone_mode=False))
    except click.ClickException as error:
        _give_up(error.format_message(), USAGE)
    except (ConfigError, ModelMismatch) as error:
        _give_up(str(error), USAGE)
    except (CacheGuardError, EmbeddingError, IndexFailed, OSError) as error:
        _give_up(str(error), FAILURE)
    except (KeyboardInterrupt, click.Abort):
        _give_up("stopped", FAILURE)


def make_program() -> typer.Typer:
    """All commands. Their modules import what is heavy only when they run, so that --help answers at once."""
    from cacheguard.cli import ask, config, demo, doctor, entries, score, serve, simulate, warm

    program = typer.Typer(
        help="Answers from a cache of validated answers where one fits, else from a cascade of language models.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    for module in (serve, demo, warm, score, ask, simulate, doctor):
        program.command()(module.__dict__[module.__name__.rpartition(".")[2]])
    program.add_typer(config.commands, name="config")
    program.add_typer(entries.commands, name="entries")
    program.command()(entries.invalidate)
    return program


def load_settings(config: Path | None, **flags: str | int | None) -> Loaded:
    """The settings that a command runs with. flags: keys of `server` that the command line sets. Raises ConfigError."""
    from cacheguard.settings import load

    said = {name: value for name, value in flags.items() if value is not None}
    return load(config, os.environ, Path.cwd(), flags=said)


def _give_up(message: str, status: int) -> None:
    print(f"cacheguard: {message}", file=sys.stderr)
    sys.exit(status)
