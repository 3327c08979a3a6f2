"""What holds and finds answers: model, store and index."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cacheguard.cascade.turns import Alone
from cacheguard.stores.memory import MemoryStore
from cacheguard.stores.redis import RedisStore
from cacheguard.stores.redis_client import connect
from cacheguard.stores.redis_place import Host, read_place
from cacheguard.stores.sqlite import SqliteStore
from embeddings.opening import open_embedder
from embeddings.remote import RemoteEndpoint
from index.partitions import Partitions
from index.redis import Kept
from index.servers import Cluster, Single
from index.shared import SharedPartitions

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.cascade.turns import Turns
    from cacheguard.stores.base import Store
    from cacheguard.telemetry.events import Telemetry
    from embeddings.base import Embedder
    from index.base import PartitionedIndex
    from index.servers import Servers

# For one answer of a Redis with vector sets: one that takes longer is taken for away.
_PATIENCE_S: Final = 1.0


async def open_model(settings: configured.Settings) -> Embedder:
    """The embedder that the settings name. Raises EmbeddingError."""
    embedding = settings.embedding
    remote = RemoteEndpoint(embedding.base_url, embedding.api_key.get_secret_value())
    return await open_embedder(embedding.model, precision=embedding.precision, remote=remote)


async def open_store(settings: configured.Settings, fingerprint: str, *, reembedding: bool = False) -> Store:
    """The store that the settings name, ready for the model with this fingerprint. Raises StoreError."""
    store = _make_store(settings)
    await store.open(fingerprint, reembedding=reembedding)
    return store


def _make_store(settings: configured.Settings) -> Store:
    if place := settings.store.redis:
        return RedisStore(place)
    path = settings.store.sqlite_path
    return SqliteStore(path) if path else MemoryStore()


def make_turns(store: Store) -> Turns:
    """How processes that share the store share their calls too."""
    return store.turns if isinstance(store, RedisStore) else Alone()


def watch_store(store: Store, telemetry: Telemetry) -> None:
    """Show whether a store on another machine is there."""
    if isinstance(store, RedisStore):
        telemetry.watch_store(store)


def open_index(settings: configured.Settings, store: Store, embedder: Embedder) -> PartitionedIndex:
    """The index over what the store holds."""
    spec = embedder.spec
    if settings.index.backend == "redis":
        return SharedPartitions(
            store,
            reach_vector_sets(settings),
            dimension=spec.dimension,
            fingerprint=spec.fingerprint,
            kept=Kept[settings.index.numbers.upper()],
            shards=settings.index.shards,
        )
    return Partitions(
        store,
        dimension=spec.dimension,
        fingerprint=spec.fingerprint,
        folder=settings.index.folder if settings.store.is_lasting else None,
        max_mb=settings.index.max_mb,
    )


def reach_vector_sets(settings: configured.Settings) -> Servers:
    """The Redis that the settings name for vector sets; connections are made when it is first asked."""
    place = read_place(settings.index.url or settings.store.url)

    def node(host: str, port: int) -> Any:
        return connect(replace(place, kind="single", hosts=(Host(host, port),)), _PATIENCE_S, retries=0)

    if place.kind == "cluster":
        return Cluster(node, place.hosts)
    client: Any = connect(place, _PATIENCE_S, retries=0)
    return Single(client)
