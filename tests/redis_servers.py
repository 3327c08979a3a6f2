"""Real Redis servers on loopback, alone or as a cluster, that a test may stop, kill and start again."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from index.servers import Cluster, Single

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE_S = 60
SLOTS = 16_384


class RedisServer:
    """One server and its folder. Arguments as redis-server takes them; without any, nothing is kept on disk."""

    def __init__(self, program: list[str], folder: Path, *arguments: str) -> None:
        self._program = program
        self._folder = folder
        self._arguments = arguments or ("--save", "", "--appendonly", "no")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        """On the same port and folder each time; it answers once this returns."""
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--daemonize", "no")
        log = self._folder / "redis.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen([*self._program, *own, *self._arguments], stdout=output, stderr=output)
        with self.client() as client:
            wait_for(lambda: self._process.poll() is not None or answers(client))
        if self._process.poll() is not None:
            raise AssertionError(log.read_text())

    def stop(self) -> None:
        """As an administrator does: what it keeps on disk, it keeps."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class RedisCluster:
    """Masters that share the slots evenly. masters: at least three, as a cluster wants. options: of all of them."""

    def __init__(self, program: list[str], folder: Path, masters: int = 3, options: Sequence[str] = ()) -> None:
        self.servers = []
        for number in range(masters):
            own = folder / str(number)
            own.mkdir()
            bus = ("--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")
            arguments = ("--cluster-enabled", "yes", *bus, "--save", "", "--appendonly", "no", *options)
            self.servers.append(RedisServer(program, own, *arguments))
        self._running = ExitStack()

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.servers[0].port}"

    def clear(self) -> None:
        for server in self.servers:
            with server.client() as client:
                client.flushall()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            clients = []
            for server in self.servers:
                starting.enter_context(server)
                clients.append(starting.enter_context(server.client()))
            self._join(clients)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _join(self, clients: list[redis.Redis]) -> None:
        bounds = [SLOTS * number // len(clients) for number in range(len(clients) + 1)]
        for client, first, end in zip(clients, bounds, bounds[1:], strict=False):
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        bus = clients[0].config_get("cluster-port")["cluster-port"]
        for client in clients[1:]:
            client.execute_command("CLUSTER MEET", "127.0.0.1", self.servers[0].port, bus)
        wait_for(lambda: all(self._is_whole(client) for client in clients))

    def _is_whole(self, client: redis.Redis) -> bool:
        info = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(len(self.servers))


def vector_servers(url: str, away_s: float = 0, patience_s: float = 30) -> Single | Cluster:
    """The way of an index to this Redis or cluster."""
    options = {"protocol": 3, "retry": Retry(NoBackoff(), 0), "socket_timeout": patience_s}
    where = urlsplit(url)
    if where.scheme == "redis+cluster":
        seed = (where.hostname, where.port)
        return Cluster(lambda host, port: redis.asyncio.Redis(host=host, port=port, **options), [seed], away_s=away_s)
    return Single(redis.asyncio.Redis.from_url(url, **options), away_s=away_s)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(client: redis.Redis) -> bool:
    """Whether it has read what it kept, and takes commands."""
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def wait_for(look) -> None:
    """Until `look` gives true. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > until:
            raise TimeoutError(f"no Redis within {PATIENCE_S} s")
        time.sleep(0.01)
