"""Real servers on loopback for tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager

import uvicorn

from cacheguard.cli.listening import config_of

# Loading a model on a busy machine takes some seconds.
START_TIMEOUT_S = 120


@contextmanager
def serve(app):
    """Run an ASGI app in a thread, under uvicorn as the commands run it, on a port of its own; the base URL.

    Raises RuntimeError if the app does not start. Leaving waits for answers under way, at most 5 s.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        server = _Server(app)
        thread = threading.Thread(target=server.run_until_stopped, args=(listener,), daemon=True)
        thread.start()
        if not server.settled.wait(START_TIMEOUT_S) or server.failure is not None:
            raise RuntimeError("the server did not start") from server.failure
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            thread.join()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it has started and stops at once rather than at its next tick."""

    def __init__(self, app):
        super().__init__(config_of(app, grace_s=5))
        self.settled = threading.Event()
        self.failure = None
        self._stopping = asyncio.Event()

    def run_until_stopped(self, listener):
        try:
            self.run(sockets=[listener])
        except BaseException as exc:  # noqa: BLE001 (uvicorn leaves by SystemExit; `serve` raises it)
            self.failure = exc
        finally:
            self.settled.set()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.settled.set()

    async def main_loop(self):
        await self.on_tick(0)
        await self._stopping.wait()

    def stop(self):
        self._loop.call_soon_threadsafe(self._stopping.set)
