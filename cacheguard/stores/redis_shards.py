"""An open Redis: its shards, the lines to them, and the feed that they make together."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cacheguard.errors import ModelMismatch, StoreUnusable
from cacheguard.stores.redis_backlog import Backlog
from cacheguard.stores.redis_client import THEIRS, connect, disconnect, info, our_error
from cacheguard.stores.redis_feed import WAIT_S, Feed, Standing
from cacheguard.stores.redis_line import Line
from cacheguard.stores.redis_recent import Recent
from cacheguard.stores.redis_rows import MOST_SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from cacheguard.stores.redis_client import Client
    from cacheguard.stores.redis_place import RedisPlace

# The first that has all of this is 7.0, of which no test is run.
OLDEST: Final = 8
# Of how keys are laid out and what they hold; another one is another program's.
LAYOUT: Final = 1
# For one answer of a Redis, which takes a millisecond: whoever takes longer counts as gone. Below the 3 s that a
# request waits for its cache, and above what a busy machine may hold up this process.
PATIENCE_S: Final = 2.0


class Shards:
    """A cluster's scopes are spread over 16 shards, each with a tag of its own; elsewhere all is one.

    Every write tells the feed; the scripts' own arguments follow the model's fingerprint and the length of the feed.
    """

    def __init__(
        self, place: RedisPlace, fingerprint: str, history: int, on_back: Callable[[], None], most_late: int
    ) -> None:
        """on_back: called when a shard can be used again. most_late: writes that wait for it."""
        self._place = place
        self._fingerprint = fingerprint
        self._history = history
        self._on_back = on_back
        self._clients: list[Client] = [connect(place, PATIENCE_S), connect(place, PATIENCE_S + WAIT_S)]
        self._tags = tags(place)
        self._lines = [
            Line(self._clients[0], place, tag, partial(self._back, shard)) for shard, tag in enumerate(self._tags)
        ]
        # What reads much at once has a line of its own, or look-ups would wait behind it.
        self._scans = Line(self._clients[0], place, self._tags[0], self._on_back)
        self.late = Backlog(self.write, most_late)
        self._recent = Recent()
        self.feed = Feed(
            self._clients[1], place, history, self._look, on_back=self._write_again, on_others=self._recent.forget
        )

    def __len__(self) -> int:
        return len(self._tags)

    async def enter(self, *, reembedding: bool) -> Self:
        """Raises StoreUnusable, ModelMismatch; what was opened is then closed."""
        try:
            await self._connect()
            standings = [await self._look(shard) for shard in range(len(self))]
            if not reembedding:
                await self._check_model()
            await self.feed.open([f"{tag}:feed" for shard, tag in enumerate(self._tags)], standings)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        await self.late.aclose()
        await self.feed.aclose()
        for line in (*self._lines, self._scans):
            await line.aclose()
        for client in self._clients:
            await disconnect(client)

    @property
    def is_away(self) -> bool:
        return any(line.is_away for line in self._lines)

    async def remarks(self) -> list[str]:
        """As of RedisStore. Raises StoreError."""
        try:
            servers = await info(self._clients[0], "default")
        except THEIRS as exc:
            raise our_error(self._place, exc) from exc
        return [remark for server in servers for remark in _remarks(server)]

    async def read(self, shard: int, script: str, *arguments: Any) -> Any:
        """What a script gives that looks something up. Raises StoreError."""
        return await self._lines[shard].run(script, *arguments)

    async def scan(self, shard: int, script: str, *arguments: Any) -> Any:
        """The same of one that reads much."""
        return await self._scans.run_on(self._tags[shard], script, *arguments)

    async def scan_everywhere(self, script: str, *arguments: Any) -> list[Any]:
        """What it gives on each shard."""
        return await asyncio.gather(*(self.scan(shard, script, *arguments) for shard in range(len(self))))

    async def write(self, shard: int, script: str, *arguments: Any) -> Any:
        """What a script gives that writes; its news are told by then. Raises StoreError."""
        result, entry, events = await self._lines[shard].run(script, self._fingerprint, self._history, *arguments)
        if entry:
            self.feed.wrote(shard, entry, events)
            if script != "give_turn":
                self._recent.add(shard, script, arguments)
        return result

    async def write_everywhere(self, script: str, *arguments: Any) -> list[Any]:
        """What it gives on each shard."""
        return await asyncio.gather(*(self.write(shard, script, *arguments) for shard in range(len(self))))

    async def ask(self, shard: int, command: str, key: str, *arguments: Any) -> Any:
        """What a command gives. key: without the shard's tag."""
        return await self._lines[shard].ask(command, f"{self._tags[shard]}:{key}", *arguments)

    async def ask_everywhere(self, command: str, key: str, *arguments: Any) -> list[Any]:
        """What it gives on each shard."""
        return await asyncio.gather(*(self.ask(shard, command, key, *arguments) for shard in range(len(self))))

    async def is_elsewhere(self, key: str, shard: int) -> bool:
        """Whether another shard has this key."""
        others = [other for other in range(len(self)) if other != shard]
        return any(await asyncio.gather(*(self.ask(other, "EXISTS", key) for other in others)))

    async def _connect(self) -> None:
        """A cluster's client that begins with many calls at once fails most of them."""
        try:
            for client in self._clients:
                await client.initialize()
            (server, *_) = await info(self._clients[0], "cluster")
        except THEIRS as exc:
            raise our_error(self._place, exc) from exc
        if server["cluster_enabled"] and self._place.kind != "cluster":
            raise StoreUnusable(f"{self._place} is part of a cluster: say redis+cluster:// in store.url")

    async def _look(self, shard: int) -> Standing:
        version, shards, born, number, entry, barred = await self.read(shard, "enter", LAYOUT, len(self))
        if int(version) != LAYOUT:
            raise StoreUnusable(
                f"{self._place} was laid out by a newer cacheguard (layout {int(version)}, this one knows {LAYOUT}):"
                " upgrade cacheguard, or name another place in store.url"
            )
        if int(shards) != len(self):
            raise StoreUnusable(
                f"{self._place} was laid out for {int(shards)} shards, and this place has {len(self)}: move it by"
                " `cacheguard entries export` and `import`"
            )
        return Standing(int(born), int(number), entry, barred)

    def _back(self, shard: int) -> None:
        """It can be used again."""
        self._write_again(shard)
        self.late.go_on()
        self._on_back()

    def _write_again(self, shard: int) -> None:
        """After a break: what the Redis may have lost of what it had acknowledged."""
        for write in self._recent.of(shard):
            self.late.put(write.shard, write.script, *write.arguments)

    async def _check_model(self) -> None:
        for models in await self.ask_everywhere("HGETALL", "models"):
            for other in models:
                if other.decode() != self._fingerprint:
                    raise ModelMismatch(
                        f"the vectors in {self._place} were made by another model ({other.decode()}, now"
                        f" {self._fingerprint}): run `cacheguard entries re-embed`, or set the former model again"
                    )


def tags(place: RedisPlace) -> list[str]:
    """What the keys of each shard begin with. Redis Cluster places a key by what its braces hold."""
    return [f"{{cacheguard:{shard}}}" for shard in range(MOST_SHARDS if place.kind == "cluster" else 1)]


def _remarks(server: Mapping[str, Any]) -> Iterator[str]:
    """Of what INFO says of one server."""
    version, policy = server["redis_version"], server.get("maxmemory_policy", "noeviction")
    if int(version.partition(".")[0]) < OLDEST:
        yield f"it is Redis {version}: tested with {OLDEST} and newer, and vector sets begin there"
    if policy != "noeviction":
        yield f"it throws keys away when it is full ({policy}): set maxmemory-policy noeviction, or hits go missing"
    if not server.get("aof_enabled") and server.get("role") == "master":
        yield "it loses all since its last snapshot when it is killed: set appendonly yes"
