"""The answers of all shards in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cacheguard.types import Answer, Phrasing


async def oldest_first(
    shards: Sequence[AsyncIterator[tuple[bytes, Answer, list[Phrasing]]]],
) -> AsyncIterator[tuple[Answer, list[Phrasing]]]:
    """Of what each shard gives in its own order, sorted by the bytes before it."""
    heads = [(await anext(shard, None), shard) for shard in shards]
    while waiting := [(head, shard) for head, shard in heads if head is not None]:
        first, its = min(waiting, key=lambda each: each[0][0])
        yield first[1:]
        heads = [(await anext(shard, None) if shard is its else head, shard) for head, shard in waiting]
