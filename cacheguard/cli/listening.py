"""A port of ours, and uvicorn behind it."""

from __future__ import annotations

import errno
import math
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from cacheguard.cli import CommandFailed
from cacheguard.http.at_once import AtOnce

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp

BACKLOG = 2048
# Longer than clients' pools keep idle connections (httpx 5 s, most proxies 60 s), so that it is they who close
# them: a request that meets our close on its way is an error to the client.
KEEP_ALIVE_S = 75
# A worker that doesn't answer its supervisor so long is replaced. With uvicorn's 5 s, two that started on a busy
# machine of two cores were replaced before they had read their imports (8 s).
SILENT_WORKER_S = 60
# As shells say it: 128 and the signal's number.
INTERRUPTED = 128 + signal.SIGINT


def bind(host: str, port: int) -> socket.socket:
    """A socket that has the port but doesn't listen yet; port 0 takes a free one. Raises CommandFailed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise _cannot_listen(host, port, exc) from exc
    return listener


def listen(listener: socket.socket) -> None:
    """Take connections from now on; they wait until a server accepts them. Raises CommandFailed."""
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(BACKLOG)
    except OSError as exc:  # two who start at once may both have got so far
        raise _cannot_listen(host, port, exc) from exc


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server, which can be told to give up, and whom a second Ctrl-C ends at once."""

    failure: BaseException | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            os._exit(INTERRUPTED)  # what was kept is safe, and nothing else may be waited for
        super().handle_exit(sig, frame)

    def give_up(self, error: BaseException) -> None:
        self.failure = error
        self.should_exit = True


def config_of(app: ASGIApp | Callable[[], ASGIApp], *, grace_s: float, workers: int = 1) -> uvicorn.Config:
    """How we run uvicorn. grace_s: what begun requests may take at the end."""
    return uvicorn.Config(
        app,
        factory=workers > 1,
        workers=workers,
        http=AtOnce,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s),
        timeout_worker_healthcheck=SILENT_WORKER_S,
    )


def run(server: Server, listener: socket.socket) -> NoReturn:
    """Serve until a signal (exit 0), or until the server is told to give up: its error is raised."""
    # uvicorn, when it has finished, raises the signal that ended it once more, for whoever was there before.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    server.run([listener])
    if server.failure is not None:
        raise server.failure
    sys.exit(0)


def run_workers(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve from several processes until a signal; those that die come back. Raises CommandFailed."""
    supervisor = Multiprocess(config, [listener])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise CommandFailed("a worker could not start, so all were stopped; the log above says why")


def _leave(_: int, __: FrameType | None) -> NoReturn:
    sys.exit(0)


def _cannot_listen(host: str, port: int, error: OSError) -> CommandFailed:
    if error.errno == errno.EADDRINUSE:
        return CommandFailed(f"port {port} on {host} is in use: stop what listens there, or choose another by --port")
    return CommandFailed(
        f"can't listen on {host}, port {port}: {error.strerror or error}; choose others by --host, --port"
    )
