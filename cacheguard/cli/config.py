"""`cacheguard config`: settings files, their schema, and what they come to."""

from __future__ import annotations

import json

import typer

from cacheguard.cli import ConfigFile, load_settings

commands = typer.Typer(
    no_args_is_help=True,
    help="Settings: check a file, print its schema or what it comes to.\n\n"
    "Example: [bold]cacheguard config check[/bold]",
)


@commands.command()
def check(config: ConfigFile = None) -> None:
    """Say whether the service would start with these settings, and what it would note. Exit 2 if not.

    Example: [bold]cacheguard config check --config cacheguard.yaml[/bold]
    """
    loaded = load_settings(config)
    print(f"{loaded.source}: fine")
    for note in loaded.notes:
        print(f"  {note}")


@commands.command()
def schema() -> None:
    """Print the JSON Schema of a settings file, for editors.

    Example: [bold]cacheguard config schema > cacheguard.schema.json[/bold]
    """
    from cacheguard.settings import json_schema

    print(json.dumps(json_schema(), indent=2))


@commands.command()
def show(config: ConfigFile = None) -> None:
    """Print the settings with every default filled in and every secret masked.

    Example: [bold]cacheguard config show[/bold]
    """
    from cacheguard.settings import effective_yaml

    print(effective_yaml(load_settings(config).settings), end="")
