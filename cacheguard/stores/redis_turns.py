"""Turns of processes that share a Redis: a lease for each question that is asked, which a dead process lets run out."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from cacheguard.errors import StoreError
from cacheguard.stores.redis_rows import digest, shard_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cacheguard.stores.redis_shards import Shards

# What the others wait for a process that died. One that lives takes its turn anew before it is over: with 3 s, on a
# machine of two cores with 30 processes at work, 45 of 900 turns ran out.
LASTS_S: Final = 5.0
# For what was written before the turn to come by the feed, which takes a millisecond.
_NEWS_S: Final = 0.1


class RedisTurns:
    """As Turns of the cascade. shards: those that are open now."""

    def __init__(self, shards: Callable[[], Shards]) -> None:
        self._shards = shards

    @asynccontextmanager
    async def turn(self, scope: str, key: str, patience_s: float) -> AsyncIterator[float]:
        began = time.monotonic()
        shards = self._shards()
        wanted = _Turn(shards, scope, key)
        is_ours = False
        with suppress(StoreError):  # away, and counted where the answer can't be kept
            is_ours = await wanted.enter(patience_s)
        going_on = asyncio.create_task(wanted.go_on()) if is_ours else None
        try:
            yield time.monotonic() - began
        finally:
            if going_on is not None:
                going_on.cancel()
                wanted.give()


class _Turn:
    """This process's wish to ask one question."""

    def __init__(self, shards: Shards, scope: str, key: str) -> None:
        self._shards = shards
        self._shard = shard_of(scope, len(shards))
        self._name = (scope, digest(key))
        self._whose = secrets.token_hex(8)

    async def enter(self, patience_s: float) -> bool:
        """True: the turn is ours. False: another's was given back, or takes too long. Raises StoreError."""
        until = time.monotonic() + patience_s
        with self._shards.feed.turn_over(self._name) as over:  # from before the question, so that no end is missed
            while (left_s := until - time.monotonic()) > 0:
                lasts_ms, newest = await self._take()
                if not lasts_ms:
                    await self._shards.feed.heard(self._shard, newest, _NEWS_S)
                    return True
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, lasts_ms / 1000)):
                        await over.wait()
                        return False
        return False

    async def go_on(self) -> None:
        """Keep the turn until this is cancelled."""
        while True:
            await asyncio.sleep(LASTS_S / 3)
            with suppress(StoreError):
                await self._take()

    def give(self) -> None:
        """Give it back, soon; nobody waits for that."""
        self._shards.late.put(self._shard, "give_turn", *self._name, self._whose)

    async def _take(self) -> Any:
        return await self._shards.read(self._shard, "take_turn", *self._name, self._whose, int(LASTS_S * 1000))
