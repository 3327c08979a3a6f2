"""The shared store: a Redis, alone, behind sentinels or as a cluster, for any number of processes on any machines.

All keys of a scope bear one tag, so that a question and a write touch one slot, and each write is one script: it is
made whole or not at all. Nothing here expires by itself, and a Redis that throws keys away to make room
(maxmemory-policy other than noeviction) would take phrasings from their answers.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from cacheguard.errors import RuleChanged, StoreAway, StoreError
from cacheguard.stores.base import Counts, StoredRule
from cacheguard.stores.redis_backlog import Backlog
from cacheguard.stores.redis_order import oldest_first
from cacheguard.stores.redis_rows import (
    MOST_SHARDS,
    answer_fields,
    digest,
    filter_fields,
    in_turns,
    known_of,
    label_fields,
    label_of,
    phrasing_fields,
    phrasing_of,
    rule_of,
    served_fields,
    served_of,
    shard_of,
    vector_bytes,
    vectors_of,
    whole_of,
)
from cacheguard.stores.redis_shards import Shards
from cacheguard.stores.redis_turns import RedisTurns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.stores.base import Change, Filter, Known, Label, NewPhrasing, Served, SpendingKey, Touched, Vectors
    from cacheguard.stores.redis_place import RedisPlace
    from cacheguard.types import Answer, Phrasing

# What one script reads or writes at a time; others wait for it.
_VECTORS_BATCH: Final = 1_000
_ANSWERS_BATCH: Final = 100
_LABELS_BATCH: Final = 500
# By route and shard.
_SERVED_KEPT: Final = 20_000
# Served hits that wait to be noted, and answers that wait for a Redis to be back: some 50 MB. More are dropped.
_MOST_POSTED: Final = 10_000
_MOST_LATE: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Opened:
    """What an open store holds. posted: what was served."""

    shards: Shards
    fingerprint: str
    posted: Backlog


class RedisStore:
    """A Store in a Redis, laid out on first use."""

    def __init__(self, place: RedisPlace, *, history: int = 20_000) -> None:
        """history: how many writes of a shard are kept for those who follow; one that lags further loads again."""
        self._place = place
        self._history = history
        self._opened: _Opened | None = None
        self._name = secrets.token_hex(8)
        self.turns = RedisTurns(lambda: self._shards)

    async def open(self, fingerprint: str, *, reembedding: bool = False) -> None:
        shards = Shards(self._place, fingerprint, self._history, self._go_on, _MOST_LATE)
        await shards.enter(reembedding=reembedding)
        self._opened = _Opened(shards, fingerprint, Backlog(shards.read, _MOST_POSTED))

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.posted.aclose()
            await opened.shards.aclose()

    @property
    def is_away(self) -> bool:
        """Whether a shard is."""
        return self._shards.is_away

    async def remarks(self) -> list[str]:
        return await self._shards.remarks()

    @property
    def waiting_writes(self) -> int:
        """Answers that came while nobody was there, and what is to be written again."""
        return len(self._shards.late)

    @property
    def dropped_writes(self) -> int:
        """How many of them found no room."""
        return self._shards.late.dropped

    @property
    def identity(self) -> str:
        return self._shards.feed.identity

    async def exact(self, scope: str, key: str) -> Known | None:
        found = await self._shards.read(self._of(scope), "exact", scope, digest(key))
        if not found:
            return None
        id_, row, answer = found
        (known,) = known_of(([(id_, row)], [(row[0], answer)]))
        return known

    async def known(self, phrasing_ids: Sequence[int]) -> list[Known]:
        found = await asyncio.gather(
            *(self._shards.read(shard, "known", *ids) for shard, ids in self._by_shard(phrasing_ids))
        )
        by_id = {known.phrasing.id: known for known in chain(*map(known_of, found))}
        return [by_id[id_] for id_ in phrasing_ids if id_ in by_id]

    async def keep(self, answer: Answer, phrasings: Sequence[NewPhrasing]) -> list[int]:
        shards, shard = self._shards, self._of(answer.scope)
        fields = [*answer_fields(answer), *chain(*map(phrasing_fields, phrasings))]
        try:
            ids = None
            if not await shards.is_elsewhere(f"a:{answer.id}", shard):
                ids = await shards.write(shard, "keep", 0, *fields)
        except StoreAway:
            shards.late.put(shard, "keep", 1, *fields)
            raise
        if ids is None:
            raise StoreError(f"answer {answer.id} belongs to another scope: give a new one a new id")
        return [int(id_) for id_ in ids]

    async def add_phrasings(self, answer_id: str, phrasings: Sequence[NewPhrasing]) -> list[int]:
        fields = chain(*map(phrasing_fields, phrasings))
        made = await self._shards.write_everywhere("add_phrasings", answer_id, *fields)
        return [int(id_) for ids in made for id_ in ids or ()]

    async def remove(self, which: Filter) -> int:
        gone, fields = 0, filter_fields(which)
        if which.ids is not None:
            for ids in in_turns(which.ids, _ANSWERS_BATCH):
                gone += sum(await self._shards.write_everywhere("remove", fields, *ids))
            return gone
        for shard in range(len(self._shards)):
            after = b"-"
            while found := await self._shards.ask(
                shard, "ZRANGE", "age", after, "+", "BYLEX", "LIMIT", 0, _ANSWERS_BATCH
            ):
                after = b"(" + found[-1]
                gone += await self._shards.write(shard, "remove", fields, *(member[8:] for member in found))
        return gone

    async def remove_phrasing(self, phrasing_id: int) -> bool:
        shards = self._by_shard([phrasing_id])
        return any([await self._shards.write(shard, "remove_phrasing", phrasing_id) for shard, _ in shards])

    async def answers(self, which: Filter) -> AsyncIterator[tuple[Answer, list[Phrasing]]]:
        if which.ids is not None:
            found = chain(*await self._shards.scan_everywhere("some_answers", *which.ids))
            for _, answer, phrasings in sorted(map(whole_of, found), key=itemgetter(0)):
                if which.means(answer):
                    yield answer, phrasings
            return
        async for answer, phrasings in oldest_first([self._of_shard(shard) for shard in range(len(self._shards))]):
            if which.means(answer):
                yield answer, phrasings

    async def vectors(self, scope: str, ids: Sequence[int] | None = None) -> Vectors:
        shard, found = self._of(scope), []
        if ids is not None:
            for some in in_turns(ids, _VECTORS_BATCH):
                numbers = [int(id_) for id_ in some]
                found.append(await self._shards.scan(shard, "some_vectors", self._model, scope, *numbers))
            return vectors_of(found)
        last = 0
        while True:
            batch = await self._shards.scan(shard, "vectors", self._model, scope, last, _VECTORS_BATCH)
            if not batch[0]:
                return vectors_of(found)
            found.append(batch)
            last = int(batch[0][-1])

    async def changes(self, after: int, limit: int = 10_000) -> list[Change] | None:
        return await self._shards.feed.changes(after, limit)

    async def latest_change(self) -> int:
        return await self._shards.feed.latest()

    async def changed(self, within_s: float) -> None:
        await self._shards.feed.changed(within_s)

    def news(self) -> list[Touched] | None:
        return self._shards.feed.news()

    async def add_labels(self, labels: Sequence[Label]) -> None:
        came = time.time_ns()
        by_shard: defaultdict[int, list[Any]] = defaultdict(list)
        for nth, label in enumerate(labels):
            by_shard[self._of(label.scope)].append(label_fields(label, came + nth))
        for shard, rows in by_shard.items():
            for some in in_turns(rows, _LABELS_BATCH):
                await self._shards.write(shard, "add_labels", *chain(*some))

    async def labels(self, route: str, newest: int | None = None) -> list[Label]:
        bounds = ("+", "-", "BYLEX", "REV", "LIMIT", 0, -1 if newest is None else newest)
        found = sorted(chain(*await self._shards.ask_everywhere("ZRANGE", f"l:{route}", *bounds)))
        return [label_of(whole) for whole in found[-newest if newest else None :]]

    async def barred(self, scope: str, key: str) -> frozenset[str]:
        return self._shards.feed.barred(scope, key)

    async def add_served(self, served: Served) -> None:
        self._live.posted.put(self._of(served.scope), "add_served", _SERVED_KEPT, *served_fields(served))

    async def served(self, completion_id: str) -> Served | None:
        await self._live.posted.flushed()
        found = await self._shards.ask_everywhere("HGET", "served", completion_id)
        return next((served_of(whole) for whole in found if whole), None)

    async def unjudged(self, route: str, limit: int) -> list[Served]:
        found = chain(*await self._shards.scan_everywhere("unjudged", route, limit))
        newest = sorted(found, key=lambda each: float(each[0]), reverse=True)
        return [served_of(whole) for _, whole in newest[:limit]]

    async def hit_times(self, route: str, limit: int) -> list[float]:
        found = await self._shards.ask_everywhere("ZRANGE", f"hits:{route}", -limit, -1, "WITHSCORES")
        return sorted(at for _, at in chain(*found))[-limit:]

    async def outdated(self, limit: int) -> list[Phrasing]:
        found = await self._shards.scan_everywhere("outdated", self._model, limit)
        return [phrasing_of(*row) for row in chain(*found)][:limit]

    async def put_vectors(self, phrasing_ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
        row_of = dict(zip(map(int, phrasing_ids), map(vector_bytes, vectors), strict=True))
        for shard, ids in self._by_shard(row_of):
            await self._shards.write(shard, "put_vectors", *chain(*((id_, row_of[id_]) for id_ in ids)))

    async def add_spending(self, spent: Mapping[SpendingKey, float]) -> dict[SpendingKey, float]:
        if not spent:
            return {}
        named = [(json.dumps([*key.account, key.per, key.since]), repr(float(usd))) for key, usd in spent.items()]
        sums = await self._shards.read(0, "add_spending", secrets.token_hex(12), *chain(*named))
        return {key: float(usd) for key, usd in zip(spent, sums, strict=True)}

    async def add_rule(
        self, route: str, body: str, *, by: str, created_at: float, after: int | None = None
    ) -> StoredRule:
        fields = (route, "" if after is None else after, body, by, repr(created_at))
        version = int(await self._shards.read(0, "add_rule", *fields))
        if version < 0:
            raise RuleChanged(f"route '{route}' has version {-1 - version} of its rule by now, not {after}")
        return StoredRule(route, version, body, by, created_at)

    async def rules(self, route: str) -> list[StoredRule]:
        return [rule_of(whole) for whole in await self._shards.ask(0, "LRANGE", f"rules:{route}", 0, -1)]

    async def rules_in_force(self) -> list[StoredRule]:
        return [rule_of(whole) for whole in await self._shards.ask(0, "HVALS", "rules")]

    async def share_hints(self, said: str, lasting_s: float) -> list[str]:
        """What other processes say, of which each says one thing at a time. said: "" for nothing. Raises StoreError."""
        others = await self._shards.read(0, "hints", self._name, said, int(lasting_s * 1000))
        return [other.decode() for other in others]

    async def counts(self) -> Counts:
        everywhere = self._shards.ask_everywhere
        return Counts(
            answers=sum(await everywhere("ZCARD", "age")),
            phrasings=sum(int(each or 0) for each in await everywhere("HGET", "meta", "phrasings")),
            vectors=sum(int(each) for each in chain(*await everywhere("HVALS", "models"))),
            labels=sum(int(each or 0) for each in await everywhere("HGET", "meta", "labels")),
            scopes=sum(await everywhere("HLEN", "scopes")),
        )

    @property
    def _live(self) -> _Opened:
        if self._opened is None:
            raise StoreError(f"the store in {self._place} is closed: open() it first")
        return self._opened

    @property
    def _shards(self) -> Shards:
        return self._live.shards

    @property
    def _model(self) -> str:
        return self._live.fingerprint

    def _of(self, scope: str) -> int:
        return shard_of(scope, len(self._shards))

    def _by_shard(self, phrasing_ids: Iterable[int]) -> list[tuple[int, list[int]]]:
        """Ids carry their shard; those of other stores may carry none of ours."""
        by_shard: defaultdict[int, list[int]] = defaultdict(list)
        for id_ in map(int, phrasing_ids):
            by_shard[id_ % MOST_SHARDS].append(id_)
        return [(shard, ids) for shard, ids in by_shard.items() if shard < len(self._shards)]

    def _go_on(self) -> None:
        """A shard is back."""
        if self._opened is not None:
            self._opened.posted.go_on()

    async def _of_shard(self, shard: int) -> AsyncIterator[tuple[bytes, Answer, list[Phrasing]]]:
        """All answers of a shard, oldest first."""
        after = b"-"
        while found := await self._shards.scan(shard, "answers", after, _ANSWERS_BATCH):
            for each in found:
                yield whole_of(each)
            after = b"(" + found[-1][0]
