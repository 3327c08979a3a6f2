"""`cacheguard simulate`: a provider of language models that isn't one."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer


def simulate(
    port: Annotated[int, typer.Option(metavar="P", help="Port to listen on; 0 takes a free one.")] = 8100,
    host: Annotated[str, typer.Option(metavar="H", help="Address to listen on.")] = "127.0.0.1",
    answers: Annotated[
        list[Path] | None,
        typer.Option(metavar="F.jsonl", help="Known answers, {prompt, answer} a line; may be given again."),
    ] = None,
    script: Annotated[
        Path | None, typer.Option(metavar="F.yaml", help="How it misbehaves; else it answers at once.")
    ] = None,
) -> None:
    """Run a provider that speaks OpenAI's wire format, answers from files and misbehaves on a script.

    Example: [bold]cacheguard simulate --port 8100 --answers bank.jsonl --script slow.yaml[/bold]
    """
    from cacheguard.cli.listening import Server, bind, config_of, listen, run, url_of
    from cacheguard.simulate import Script, load_answers, load_script, simulated_provider

    known = load_answers(*(answers or ()))
    app = simulated_provider(known, load_script(script) if script else Script())
    with bind(host, port) as listener:
        listen(listener)
        url = url_of(listener)
        print(
            f"simulated provider at {url}/v1, {len(known)} known answers; calls: {url}/_simulate/calls", file=sys.stderr
        )
        run(Server(config_of(app, grace_s=1)), listener)
