"""What holds and finds answers: model, store and index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.cascade.turns import Alone
from cacheguard.stores.memory import MemoryStore
from cacheguard.stores.redis import RedisStore
from cacheguard.stores.sqlite import SqliteStore
from embeddings.opening import open_embedder
from embeddings.remote import RemoteEndpoint
from index.partitions import Partitions

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.cascade.turns import Turns
    from cacheguard.stores.base import Store
    from cacheguard.telemetry.events import Telemetry
    from embeddings.base import Embedder


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


def open_index(settings: configured.Settings, store: Store, embedder: Embedder) -> Partitions:
    """The index over what the store holds."""
    spec = embedder.spec
    return Partitions(
        store,
        dimension=spec.dimension,
        fingerprint=spec.fingerprint,
        folder=settings.index.folder if settings.store.is_lasting else None,
        max_mb=settings.index.max_mb,
    )
