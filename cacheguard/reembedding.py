"""The way to another model: every vector is made anew, batch by batch."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Final

from cacheguard.stores.base import NewPhrasing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cacheguard.stores.base import Store
    from embeddings.base import Embedder

_BATCH: Final = 256


async def reembed(store: Store, embedder: Embedder, advance: Callable[[int], None], *, now: float) -> int:
    """Replace what other models made; how many vectors that were. A run that is stopped goes on when started again.

    Rules that were tuned give way to those of the settings. store: opened for this embedder with `reembedding`.
    """
    done = 0
    while outdated := await store.outdated(_BATCH):
        embedded = await embedder.embed([phrasing.text for phrasing in outdated])
        ids = [phrasing.id for phrasing in outdated]
        whole = [not cut for cut in embedded.cut]
        await store.put_vectors(list(compress(ids, whole)), embedded.vectors[whole])
        await _drop_vectors(store, list(compress(ids, embedded.cut)))
        done += len(outdated)
        advance(len(outdated))
    await _drop_rules(store, now)
    return done


async def _drop_rules(store: Store, now: float) -> None:
    """What was tuned on another model's vectors holds for those alone."""
    for rule in await store.rules_in_force():
        if rule.body:
            await store.add_rule(rule.route, "", by="re-embed", created_at=now)


async def _drop_vectors(store: Store, phrasing_ids: Sequence[int]) -> None:
    """Leave these phrasings, which this model can't read to their ends, to exact matches."""
    for phrasing, answer in await store.known(phrasing_ids):
        await store.keep(answer, [NewPhrasing(phrasing.key, phrasing.text, phrasing.origin, phrasing.created_at)])
