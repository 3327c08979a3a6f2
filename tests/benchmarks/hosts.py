"""Simulated providers in the caller's own event loop, each on a Unix socket: they misbehave, and they go away."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import httpx
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from cacheguard.simulate import simulated_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from typing import Any

    from cacheguard.providers.calling import HttpProvider
    from cacheguard.simulate import Answers


class Host:
    """One provider. It refuses connections until it is opened."""

    def __init__(self, path: Path, answers: Answers, seed: int) -> None:
        self._path = path
        app = simulated_provider(answers, seed=seed)
        self._config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        self._config.load()
        self._state = ServerState()
        self._http = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://host")

    async def open(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(self._protocol, self._path)

    async def shut(self) -> None:
        """Drop all connections and refuse new ones."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)

    async def play(self, *rules: Mapping[str, Any]) -> None:
        """These rules from now on."""
        (await self._http.put("/_simulate/script", json={"rules": rules})).raise_for_status()

    def serve(self, provider: HttpProvider) -> None:
        """This is the host that the provider asks: its settings know addresses, but no Unix sockets."""
        connector = aiohttp.UnixConnector(str(self._path), limit=0)
        provider._host._session = aiohttp.ClientSession(connector=connector, timeout=provider._host._timeout)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self.shut()

    def _protocol(self) -> asyncio.Protocol:
        return HttpToolsProtocol(config=self._config, server_state=self._state, app_state={})


@asynccontextmanager
async def opened(*hosts: Host) -> AsyncIterator[None]:
    for host in hosts:
        await host.open()
    try:
        yield
    finally:
        for host in hosts:
            await host.aclose()
