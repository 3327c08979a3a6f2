"""`cacheguard serve`: runs the service."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cacheguard.cli import ConfigFile, load_settings, log_level

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from cacheguard.settings import Settings


def serve(
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(metavar="P", help="Port to listen on; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes; each loads the model.")] = None,
    level: Annotated[
        str | None,
        typer.Option("--log-level", metavar="L", help="debug, info, warning or error; else $CACHEGUARD_LOG."),
    ] = None,
) -> None:
    """Run the service; without a settings file, on the embedded defaults.

    Example: [bold]cacheguard serve --port 8080[/bold]
    """
    from cacheguard.cli.introduction import introduce, look_ahead
    from cacheguard.cli.listening import bind, listen, url_of
    from cacheguard.telemetry import logs

    level = level or log_level("info")
    logs.configure(level, sys.stderr)
    loaded = load_settings(config, host=host, port=port, workers=workers)
    settings = loaded.settings
    with bind(settings.server.host, settings.server.port) as listener:
        found = asyncio.run(look_ahead(settings))
        listen(listener)
        for line in introduce(loaded, found, url_of(listener)):
            print(line, file=sys.stderr)
        if settings.server.workers > 1:
            _serve_by_workers(settings, level, listener)
        else:
            _serve_alone(settings, listener)


def _serve_alone(settings: Settings, listener: socket.socket) -> None:
    from cacheguard.cli.listening import Server, config_of, run
    from cacheguard.http.app import make_app
    from cacheguard.wiring import Service

    def give_up(error: BaseException) -> None:
        server.give_up(error)

    app = make_app(Service(settings), give_up)
    server = Server(config_of(app, grace_s=settings.server.shutdown_grace_s))
    run(server, listener)


def _serve_by_workers(settings: Settings, level: str, listener: socket.socket) -> None:
    from cacheguard.cli.listening import config_of, run_workers

    server = settings.server
    config = config_of(Worker(settings, level), grace_s=server.shutdown_grace_s, workers=server.workers)
    run_workers(config, listener)


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes a worker's app, in its process: it goes there pickled, the settings with it."""

    settings: Settings
    level: str

    def __call__(self) -> ASGIApp:
        from cacheguard.http.app import make_app
        from cacheguard.telemetry import logs
        from cacheguard.wiring import Service

        logs.configure(self.level, sys.stderr)
        return make_app(Service(self.settings), _end_worker)


def _end_worker(error: BaseException) -> NoReturn:
    from uvicorn.config import STARTUP_FAILURE

    print(f"cacheguard: {error}", file=sys.stderr, flush=True)
    # By this status the supervisor knows that starting the worker again would not help. An exception would be lost
    # in the callback that this is.
    os._exit(STARTUP_FAILURE)
