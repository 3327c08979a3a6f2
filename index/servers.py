"""The way to a Redis, or to the masters of a cluster; one that is away holds nobody up. Only here redis is imported."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from redis import exceptions as theirs
from redis.crc import key_slot

from index.base import IndexFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

# A server that did not answer is asked again after so long; till then nobody waits for it.
AWAY_S: Final = 1.0
# Round trips under way with one server; a connection serves one at a time.
MOST_AT_ONCE: Final = 64

# What says that nobody is there, or nobody who can answer now.
_GONE: Final = (
    theirs.ConnectionError,  # also while a server reads what it kept
    theirs.TimeoutError,
    theirs.ClusterDownError,
    theirs.MasterDownError,
    theirs.ReadOnlyError,  # a master that became a replica
    OSError,
)

Command: TypeAlias = tuple[str | bytes | int, ...]
Address: TypeAlias = tuple[str, int]


class Standing(NamedTuple):
    """Who holds a key, and how often it was out of reach: what is known of the key holds while this stays the same."""

    name: str
    losses: int


class Servers(Protocol):
    """Where keys are."""

    def standing(self, key: str) -> Standing: ...

    async def ask(self, key: str, *commands: Command) -> list[Any]:
        """In one round trip, of keys with the hash tag of `key`. Raises IndexFailed."""
        ...

    async def aclose(self) -> None: ...


class _Moved(Exception):
    """The key is elsewhere by now."""


class Single:
    """One Redis, or whoever sentinels say is the master.

    client: speaks RESP3, decodes nothing, and tries nothing twice, so that no server is emptied and started again
    without a word.
    """

    def __init__(self, client: Redis, *, name: str = "", away_s: float = AWAY_S) -> None:
        self._client = client
        self._name = name
        self._away_s = away_s
        self._away_until = 0.0
        self._losses = 0
        self._under_way = asyncio.Semaphore(MOST_AT_ONCE)

    def standing(self, key: str) -> Standing:  # noqa: ARG002 - it holds all keys
        return Standing(self._name, self._losses)

    async def ask(self, key: str, *commands: Command) -> list[Any]:  # noqa: ARG002
        clock = asyncio.get_running_loop().time
        async with self._under_way:
            if clock() < self._away_until:
                raise IndexFailed("Redis did not answer a moment ago: it is asked again soon")
            try:
                return await self._send(commands)
            except (theirs.MovedError, theirs.AskError) as exc:
                raise _Moved from exc
            except _GONE as exc:
                self._losses += 1
                self._away_until = clock() + self._away_s
                raise IndexFailed(f"can't reach Redis ({_first_line(exc)}): start it, or correct index.url") from exc
            except theirs.RedisError as exc:
                raise IndexFailed(f"Redis refused: {_first_line(exc)}; vector sets need Redis 8 or newer") from exc

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            execute: Any = self._client.execute_command
            return [await execute(*commands[0])]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute())

    async def aclose(self) -> None:
        await self._client.aclose()


class Cluster:
    """The masters of a Redis Cluster, each for itself: redis-py's own cluster client ends what is under way with all of
    them when one of them is away.

    connect: as Single wants it. seeds: some of the nodes.
    """

    def __init__(
        self, connect: Callable[[str, int], Redis], seeds: Sequence[Address], *, away_s: float = AWAY_S
    ) -> None:
        self._connect = connect
        self._away_s = away_s
        self._seeds = tuple(seeds)
        self._nodes: dict[Address, Single] = {}
        self._starts: list[int] = []  # of ranges of slots, ascending
        self._holders: list[Address] = []
        self._looking = asyncio.Lock()
        self._looked = -away_s

    def standing(self, key: str) -> Standing:
        holder = self._holder(key)
        return Standing("", 0) if holder is None else holder.standing(key)

    async def ask(self, key: str, *commands: Command) -> list[Any]:
        losses = self.standing(key).losses
        try:
            holder = self._holder(key) or await self._look(key)
            try:
                return await holder.ask(key, *commands)
            except _Moved:
                return await (await self._look(key)).ask(key, *commands)
        except _Moved as exc:
            raise IndexFailed("the cluster is moving this key: it is asked again soon") from exc
        except IndexFailed:
            if self.standing(key).losses > losses:  # another may hold its keys soon
                await self._look_again()
            raise

    async def aclose(self) -> None:
        await asyncio.gather(*(node.aclose() for node in self._nodes.values()))

    def _holder(self, key: str) -> Single | None:
        at = bisect_right(self._starts, key_slot(key.encode())) - 1
        return self._nodes[self._holders[at]] if at >= 0 else None

    async def _look(self, key: str) -> Single:
        """Who holds the key, as the nodes say now. Raises IndexFailed."""
        async with self._looking:
            for address in dict.fromkeys((*self._nodes, *self._seeds)):
                try:
                    [ranges] = await self._node(address).ask("", ("CLUSTER", "SLOTS"))
                except IndexFailed:
                    continue
                self._read(ranges, address)
                break
        holder = self._holder(key)
        if holder is None:
            raise IndexFailed("can't reach any node of the cluster: start it, or correct index.url")
        return holder

    async def _look_again(self) -> None:
        """Unless that was done a moment ago."""
        now = asyncio.get_running_loop().time()
        if now - self._looked >= self._away_s:
            self._looked = now
            await self._look("")

    def _read(self, ranges: Sequence[Sequence[Any]], said_by: Address) -> None:
        """(first slot, last slot, (host, port, …) of the master, …), as CLUSTER SLOTS gives them."""
        held = sorted((first, (_text(master[0]) or said_by[0], int(master[1]))) for first, _, master, *_ in ranges)
        self._starts = [first for first, _ in held]
        self._holders = [address for _, address in held]
        for address in self._holders:
            self._node(address)

    def _node(self, address: Address) -> Single:
        node = self._nodes.get(address)
        if node is None:
            name = f"{address[0]}:{address[1]}"
            node = self._nodes[address] = Single(self._connect(*address), name=name, away_s=self._away_s)
        return node


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0]
