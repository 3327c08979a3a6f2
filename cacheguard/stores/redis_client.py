"""Connections to a Redis, and its errors in words that name the way out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis import exceptions as theirs
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from cacheguard.errors import StoreAway, StoreError, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Collection

    from cacheguard.stores.redis_place import RedisPlace

Client: TypeAlias = "Redis | RedisCluster"

_MISSED_S: Final = 0.1
# What says that nobody is there, or nobody who can answer now.
GONE: Final = (
    theirs.ConnectionError,  # also while a server reads what it kept (LOADING)
    theirs.TimeoutError,
    theirs.ClusterDownError,
    theirs.ReadOnlyError,  # a master that became a replica
    theirs.MasterDownError,
    theirs.TryAgainError,
    theirs.RedisClusterException,  # none of its nodes can be reached, or none has a slot
    OSError,
)
# Whatever a client raises.
THEIRS: Final = (theirs.RedisError, theirs.RedisClusterException, OSError)
_COMPLAINTS: Final = (
    (
        (theirs.AuthenticationError, theirs.AuthorizationError, theirs.NoPermissionError),
        (
            "{place} refuses the user ({said}): correct user and password in store.url, and let its ACL allow"
            " ~{{cacheguard:* +@all -@dangerous +info"
        ),
    ),
    (
        (theirs.OutOfMemoryError,),
        (
            "{place} is full ({said}): raise maxmemory, or remove what is old by `cacheguard invalidate --older-than`;"
            " what was kept is safe, and reads go on"
        ),
    ),
    ((theirs.MovedError,), "{place} is part of a cluster: say redis+cluster:// in store.url"),
    (GONE, "can't reach {place} ({said}): start it, or correct store.url"),
)


def connect(place: RedisPlace, patience_s: float, *, retries: int = 1) -> Client:
    """A client, which connects when it is first used. patience_s: for one answer, and for one connection."""
    options: dict[str, Any] = {
        "username": place.user or None,
        "password": place.password or None,
        "protocol": 3,
        "socket_timeout": patience_s,
        "socket_connect_timeout": patience_s,
        # Once more, at once: a connection that lay idle may have been closed by whoever stands between.
        "retry": Retry(NoBackoff(), retries),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "client_name": "cacheguard",
    }
    if place.is_encrypted:
        options |= {"ssl": True, **dict(place.tls)}
    if place.kind == "cluster":
        nodes = [ClusterNode(host.name, host.port) for host in place.hosts]
        return RedisCluster(startup_nodes=nodes, **options)
    options["db"] = place.db
    if place.kind == "sentinel":
        asked = {name: value for name, value in options.items() if name.startswith(("socket", "ssl"))}
        hosts = [tuple(host) for host in place.hosts]
        sentinels = Sentinel(hosts, sentinel_kwargs=asked, **options)  # type: ignore[no-untyped-call]
        master: Redis = sentinels.master_for(place.service)
        return master
    (host,) = place.hosts
    return Redis(host=host.name, port=host.port, **options)


async def disconnect(client: Client) -> None:
    """Close all that it opened: its pool leaves those to sentinels open."""
    if isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()
    await client.aclose()


async def info(client: Client, section: str) -> list[dict[str, Any]]:
    """What each server says of itself."""
    if isinstance(client, RedisCluster):
        return [await client.info(section, target_nodes=node) for node in client.get_primaries()]
    return [await client.info(section)]


async def ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks, which use a client, and wait until they have ended: one that just connects misses the first."""
    waited_for = {task for task in tasks if not task.done()}
    while waited_for:
        for task in waited_for:
            task.cancel()
        _, waited_for = await asyncio.wait(waited_for, timeout=_MISSED_S)


def our_error(place: RedisPlace, exc: Exception) -> StoreError:
    """What a Redis or the way to it said, as StoreUnusable or StoreError."""
    said = str(exc).partition("\n")[0]
    if isinstance(exc, UnicodeEncodeError):
        return StoreError("text with a lone surrogate is not Unicode and can't be kept: mend it first")
    if "Cluster mode is not enabled" in said:
        return StoreUnusable(f"{place} is no cluster: say redis:// in store.url")
    for kinds, complaint in _COMPLAINTS:
        if isinstance(exc, kinds):
            unusable = StoreAway if isinstance(exc, GONE) else StoreUnusable
            return unusable(complaint.format(place=place, said=said))
    if said.startswith("MISCONF"):
        return StoreUnusable(f"{place} can't save and so takes no writes ({said}): make room on its disk")
    if said.startswith("OTHERSCOPE"):
        return StoreError("an answer of this id belongs to another scope: give a new one a new id")
    return StoreError(f"{place} refused the request: {said}")
