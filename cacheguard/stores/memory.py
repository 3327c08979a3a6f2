"""A store in this process's memory: for tests, trials and caches that may be lost."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import defaultdict, deque
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import numpy as np

from cacheguard.errors import ModelMismatch, RuleChanged, StoreError
from cacheguard.stores.base import (
    Change,
    Counts,
    Filter,
    Known,
    Label,
    NewPhrasing,
    Served,
    StoredRule,
    Touched,
    Vectors,
)
from cacheguard.types import Answer, Phrasing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cacheguard.stores.base import SpendingKey

_SERVED_KEPT: Final = 100_000


class MemoryStore:
    """A Store in plain dicts, gone with the process. It outlives aclose(): open() finds it as it was."""

    def __init__(self, *, history: int = 100_000) -> None:
        """history: how many changes are kept for indexes that follow; one that lags further loads again."""
        self.identity = uuid4().hex
        self._fingerprint = ""
        self._answers: dict[str, Answer] = {}
        self._sources: dict[tuple[str, str], str] = {}  # (scope, source_id) → answer id
        self._phrasings: dict[int, Phrasing] = {}
        self._ids: dict[tuple[str, str], int] = {}  # (scope, key) → phrasing id
        self._owned: dict[str, set[int]] = {}  # answer id → phrasing ids
        self._vectors: dict[int, tuple[str, NDArray[np.float32]]] = {}  # with their model's fingerprint
        self._changes: deque[Change] = deque(maxlen=history)
        self._touched: deque[Touched] = deque(maxlen=history)
        self._labels: list[Label] = []
        self._said: defaultdict[tuple[str, str], list[Label]] = defaultdict(list)  # the same by (scope, key)
        self._served: dict[str, Served] = {}
        self._spent: defaultdict[SpendingKey, float] = defaultdict(float)
        self._rules: defaultdict[str, list[StoredRule]] = defaultdict(list)
        self._last_id = 0

    async def open(self, fingerprint: str, *, reembedding: bool = False) -> None:
        others = {made_by for made_by, _ in self._vectors.values()} - {fingerprint}
        if others and not reembedding:
            raise ModelMismatch(
                f"the vectors were made by another model ({others.pop()}, now {fingerprint}):"
                " run `cacheguard entries re-embed`, or set the former model again"
            )
        self._fingerprint = fingerprint

    async def aclose(self) -> None:
        """Nothing is held outside the process."""

    async def exact(self, scope: str, key: str) -> Known | None:
        id_ = self._ids.get((scope, key))
        if id_ is None or self._phrasings[id_].answer_id in await self.barred(scope, key):
            return None
        return self._known(id_)

    async def known(self, phrasing_ids: Sequence[int]) -> list[Known]:
        return [self._known(id_) for id_ in phrasing_ids if id_ in self._phrasings]

    async def keep(self, answer: Answer, phrasings: Sequence[NewPhrasing]) -> list[int]:
        kept = self._put_answer(answer)
        ids = [self._put_phrasing(kept, new) for new in phrasings]
        self._drop_if_bare(kept.id)
        return ids

    async def add_phrasings(self, answer_id: str, phrasings: Sequence[NewPhrasing]) -> list[int]:
        answer = self._answers.get(answer_id)
        return [] if answer is None else [self._put_phrasing(answer, new) for new in phrasings]

    async def remove(self, which: Filter) -> int:
        going = [answer for answer in self._answers.values() if which.means(answer)]
        for answer in going:
            for id_ in sorted(self._owned[answer.id]):
                self._drop_phrasing(id_)
        return len(going)

    async def remove_phrasing(self, phrasing_id: int) -> bool:
        if phrasing_id not in self._phrasings:
            return False
        self._drop_phrasing(phrasing_id)
        return True

    async def answers(self, which: Filter) -> AsyncIterator[tuple[Answer, list[Phrasing]]]:
        fitting = [answer for answer in self._answers.values() if which.means(answer)]
        for answer in sorted(fitting, key=lambda answer: (answer.created_at, answer.id)):
            if ids := sorted(self._owned.get(answer.id, ())):  # it may be removed in the meantime
                yield self._answers[answer.id], [self._phrasings[id_] for id_ in ids]

    async def vectors(self, scope: str, ids: Sequence[int] | None = None) -> Vectors:
        asked = self._vectors if ids is None else self._vectors.keys() & set(ids)
        chosen = [
            id_
            for id_ in sorted(asked)
            if self._phrasings[id_].scope == scope and self._vectors[id_][0] == self._fingerprint
        ]
        if not chosen:
            return Vectors(np.empty(0, np.int64), np.empty((0, 0), np.float32))
        return Vectors(np.array(chosen, np.int64), np.stack([self._vectors[id_][1] for id_ in chosen]))

    async def changes(self, after: int, limit: int = 10_000) -> list[Change] | None:
        latest = await self.latest_change()
        if not latest - len(self._changes) <= after <= latest:
            return None
        return [change for change in self._changes if change.seq > after][:limit]

    async def latest_change(self) -> int:
        return self._changes[-1].seq if self._changes else 0

    async def changed(self, within_s: float) -> None:
        await asyncio.sleep(within_s)  # nobody tells: whoever waits shall look

    def news(self) -> list[Touched] | None:
        touched = list(self._touched) if len(self._touched) < (self._touched.maxlen or 0) else None
        self._touched.clear()
        return touched

    async def add_labels(self, labels: Sequence[Label]) -> None:
        for label in labels:
            self._touched.append(Touched(scope=label.scope, key=label.key))
            for said in (self._labels, self._said[label.scope, label.key]):
                insort(said, label, key=attrgetter("created_at"))

    async def labels(self, route: str, newest: int | None = None) -> list[Label]:
        return [label for label in self._labels if label.route == route][-newest if newest else None :]

    async def barred(self, scope: str, key: str) -> frozenset[str]:
        newest = {label.answer_id: label.right for label in self._said.get((scope, key), ())}
        return frozenset(answer_id for answer_id, right in newest.items() if not right)

    async def add_served(self, served: Served) -> None:
        self._served[served.completion_id] = served
        if len(self._served) > _SERVED_KEPT:
            del self._served[next(iter(self._served))]

    async def served(self, completion_id: str) -> Served | None:
        return self._served.get(completion_id)

    async def unjudged(self, route: str, limit: int) -> list[Served]:
        newest: dict[tuple[str, str, str], Served] = {}
        for one in reversed(self._served.values()):
            if one.route == route and self._is_unjudged(one):
                newest.setdefault((one.scope, one.key, one.answer_id), one)
        return list(newest.values())[:limit]

    async def hit_times(self, route: str, limit: int) -> list[float]:
        hits = [one.at for one in self._served.values() if one.route == route and not one.is_near_miss]
        return sorted(hits[-limit:])

    async def outdated(self, limit: int) -> list[Phrasing]:
        stale = [id_ for id_, (made_by, _) in self._vectors.items() if made_by != self._fingerprint]
        return [self._phrasings[id_] for id_ in stale[:limit]]

    async def put_vectors(self, phrasing_ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
        for id_, vector in zip(phrasing_ids, vectors, strict=True):
            if id_ in self._vectors:
                self._put_vector(self._phrasings[id_], vector)

    async def add_spending(self, spent: Mapping[SpendingKey, float]) -> dict[SpendingKey, float]:
        for key, usd in spent.items():
            self._spent[key] += usd
        return {key: self._spent[key] for key in spent}

    async def add_rule(
        self, route: str, body: str, *, by: str, created_at: float, after: int | None = None
    ) -> StoredRule:
        if after not in (None, len(self._rules[route])):
            raise RuleChanged(f"route '{route}' has version {len(self._rules[route])} of its rule by now, not {after}")
        rule = StoredRule(route, len(self._rules[route]) + 1, body, by, created_at)
        self._rules[route].append(rule)
        return rule

    async def rules(self, route: str) -> list[StoredRule]:
        return list(self._rules[route])

    async def rules_in_force(self) -> list[StoredRule]:
        return [rules[-1] for rules in self._rules.values() if rules]

    async def remarks(self) -> list[str]:
        return []

    async def counts(self) -> Counts:
        return Counts(
            answers=len(self._answers),
            phrasings=len(self._phrasings),
            vectors=len(self._vectors),
            labels=len(self._labels),
            scopes=len({answer.scope for answer in self._answers.values()}),
        )

    def _known(self, id_: int) -> Known:
        phrasing = self._phrasings[id_]
        return Known(phrasing, self._answers[phrasing.answer_id])

    def _is_unjudged(self, one: Served) -> bool:
        phrasing = self._phrasings.get(one.phrasing_id)
        said = {label.answer_id for label in self._said.get((one.scope, one.key), ())}
        return phrasing is not None and phrasing.answer_id == one.answer_id and one.answer_id not in said

    def _put_answer(self, answer: Answer) -> Answer:
        known = self._answers.get(answer.id)
        if known is not None and known.scope != answer.scope:
            raise StoreError(f"answer {answer.id} belongs to another scope: give a new one a new id")
        if known is None and answer.source_id:
            known = self._answers.get(self._sources.get((answer.scope, answer.source_id), ""))
        if known is not None:
            answer = replace(
                known,
                text=answer.text,
                provenance=answer.provenance,
                refreshed_at=answer.refreshed_at,
                ttl_s=answer.ttl_s,
                tags=answer.tags,
            )
        self._answers[answer.id] = answer
        self._touched.append(Touched(answer.id))
        self._owned.setdefault(answer.id, set())
        if answer.source_id:
            self._sources[answer.scope, answer.source_id] = answer.id
        return answer

    def _put_phrasing(self, answer: Answer, new: NewPhrasing) -> int:
        place = (answer.scope, new.key)
        id_ = self._ids.get(place)
        former = None if id_ is None else self._phrasings[id_].answer_id
        if id_ is None:
            id_ = self._last_id = self._last_id + 1
        phrasing = Phrasing(id_, answer.id, answer.scope, new.key, new.text, new.origin, new.created_at)
        self._ids[place] = id_
        self._phrasings[id_] = phrasing
        self._touched.append(Touched("", *place, id_))
        self._owned[answer.id].add(id_)
        if former is not None and former != answer.id:
            self._owned[former].discard(id_)
            self._drop_if_bare(former)
        if new.vector is None:
            self._drop_vector(phrasing)
        else:
            self._put_vector(phrasing, new.vector)
        return id_

    def _put_vector(self, phrasing: Phrasing, vector: NDArray[np.float32]) -> None:
        self._vectors[phrasing.id] = (self._fingerprint, np.array(vector, np.float32))
        self._note(phrasing, removed=False)

    def _drop_vector(self, phrasing: Phrasing) -> None:
        if self._vectors.pop(phrasing.id, None) is not None:
            self._note(phrasing, removed=True)

    def _drop_phrasing(self, id_: int) -> None:
        phrasing = self._phrasings.pop(id_)
        self._touched.append(Touched("", phrasing.scope, phrasing.key, id_))
        del self._ids[phrasing.scope, phrasing.key]
        self._drop_vector(phrasing)
        self._owned[phrasing.answer_id].discard(id_)
        self._drop_if_bare(phrasing.answer_id)

    def _drop_if_bare(self, answer_id: str) -> None:
        if not self._owned[answer_id]:
            del self._owned[answer_id]
            answer = self._answers.pop(answer_id)
            self._sources.pop((answer.scope, answer.source_id), None)

    def _note(self, phrasing: Phrasing, *, removed: bool) -> None:
        seq = self._changes[-1].seq + 1 if self._changes else 1
        self._changes.append(Change(seq, phrasing.scope, phrasing.id, removed))
