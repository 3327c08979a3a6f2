"""Embeds sorted questions and keeps them, batch by batch."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from cacheguard.stores.base import NewPhrasing
from cacheguard.types import Answer, Origin, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cacheguard.place import Place
    from cacheguard.stores.base import Store
    from cacheguard.warming.grouping import Sorted
    from cacheguard.warming.report import Report
    from embeddings.base import Embedder

TIER: Final = "log"
# Questions embedded and kept at a time: sixteen runs of the model, half a second on two cores to lose when stopped.
_BATCH: Final = 256


class Filling:
    """Keeps what the cache does not have yet. now: Unix seconds, when the answers count as written."""

    def __init__(self, place: Place, store: Store, embedder: Embedder, report: Report, now: float) -> None:
        self._scope = place.asked("?").scope  # the same for every question, as none has turns before it
        self._provenance = Provenance(TIER, validators=tuple(one.name for one in place.route.plan.validators))
        self._store = store
        self._embedder = embedder
        self._report = report
        self._now = now
        self._answers: dict[str, Answer] = {}  # by source_id: those of this batch

    async def fill(self, questions: Iterable[Sorted], advance: Callable[[int], None]) -> None:
        """questions: those of one answer follow each other."""
        rows = iter(questions)
        while batch := list(islice(rows, _BATCH)):
            first = batch[0].source_id  # the batch before may have ended within its phrasings
            self._answers = {id_: answer for id_, answer in self._answers.items() if id_ == first}
            wanted = [one for one in batch if await self._is_wanted(one)]
            self._found_answers(wanted)
            self._report.kept += len(wanted)
            if not self._report.dry_run:
                await self._keep(wanted)
            advance(len(batch))

    async def take_back(self, keys: Iterable[str]) -> None:
        """Remove questions that an earlier log answered and that turned out to have two answers."""
        for key in keys:
            known = await self._store.exact(self._scope.key, key)
            if known and known.phrasing.origin is Origin.LOG and known.answer.provenance.tier == TIER:
                await self._store.remove_phrasing(known.phrasing.id)

    async def _is_wanted(self, one: Sorted) -> bool:
        known = await self._store.exact(self._scope.key, one.key)
        if known and known.answer.source_id == one.source_id and _stands(known.answer, one):
            self._answers[one.source_id] = known.answer
            self._report.unchanged += 1
            return False
        if self._id_of(one.source_id) in await self._store.barred(self._scope.key, one.key):
            self._report.withdrawn += 1
            return False
        return True

    def _found_answers(self, questions: list[Sorted]) -> None:
        """Make the answers that the cache lacks, or has with a text that is older than the log's."""
        for one in questions:
            if one.source_id not in self._answers:
                self._answers[one.source_id] = self._new(one)
                self._report.answers += 1

    async def _keep(self, questions: list[Sorted]) -> None:
        embedded = await self._embedder.embed([one.prompt for one in questions])
        self._report.exact_only += sum(embedded.cut)
        phrasings = {
            one.key: NewPhrasing(one.key, one.prompt, Origin.LOG, self._now, None if cut else vector)
            for one, vector, cut in zip(questions, embedded.vectors, embedded.cut, strict=True)
        }
        # At once, so that the store makes them one change.
        groups = [(id_, list(group)) for id_, group in groupby(questions, key=attrgetter("source_id"))]
        keeping = (self._store.keep(self._answers[id_], [phrasings[one.key] for one in group]) for id_, group in groups)
        await asyncio.gather(*keeping)

    def _new(self, one: Sorted) -> Answer:
        id_, scope, now = self._id_of(one.source_id), self._scope, self._now
        return Answer(
            id_, scope.key, scope.tenant, scope.route, one.answer, self._provenance, now, now, source_id=one.source_id
        )

    def _id_of(self, source_id: str) -> str:
        """The same at every warming, so that what someone called wrong does not come back."""
        return f"ans_{sha256(f'{self._scope.key} {source_id}'.encode()).hexdigest()[:20]}"


def _stands(answer: Answer, one: Sorted) -> bool:
    """Whether the log has nothing newer: what a tier wrote since is newer than the log."""
    return answer.text == one.answer or answer.provenance.tier != TIER
