"""Keeps groups of questions in the store, batch by batch. Nothing that is newer than the log is changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Final

from cacheguard.stores.base import NewPhrasing
from cacheguard.types import Answer, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.place import Place
    from cacheguard.stores.base import Known, Store
    from cacheguard.types import Provenance
    from cacheguard.warming.report import Report
    from cacheguard.warming.settling import Settled

TIER: Final = "log"
# Questions kept at a time, as one change of the store.
BATCH: Final = 256
# Answers without an id of their own are named by their text; no log's own ids look like this.
_BY_TEXT: Final = "text:sha256:"


@dataclass(frozen=True, slots=True)
class Member:
    """A question of a group, with the group's answer and who gave it. key: the prompt folded. vector: None: exact
    matches only.
    """

    scope: str
    key: str
    prompt: str
    settled: Settled
    provenance: Provenance
    vector: NDArray[np.float32] | None

    @property
    def source_id(self) -> str:
        return self.settled.id or _BY_TEXT + sha256(self.settled.text.encode()).hexdigest()[:32]


class Filling:
    """Keeps what the cache does not have yet. now: Unix seconds, when the answers count as written."""

    def __init__(self, place: Place, store: Store, report: Report, now: float) -> None:
        self._place = place
        self._store = store
        self._report = report
        self._now = now
        self._answers: dict[tuple[str, str], Answer] = {}  # by scope and source_id: those of this batch
        self._counted: tuple[str, str] | None = None

    async def fill(self, members: Sequence[Member], *, dry_run: bool) -> None:
        """A batch; the members of one group follow each other, over batches too."""
        first = _named(members[0]) if members else None
        self._answers = {named: answer for named, answer in self._answers.items() if named == first}
        wanted = [one for one in members if await self._is_wanted(one)]
        self._found_answers(wanted)
        self._report.kept += len(wanted)
        self._report.exact_only += sum(one.vector is None for one in wanted)
        if not dry_run:
            await self._keep(wanted)

    async def take_back(self, questions: Iterator[tuple[str, str]]) -> None:
        """Remove questions, by scope and key, that an earlier log answered and whose answers contradict each other."""
        for scope, key in questions:
            known = await self._store.exact(scope, key)
            if known and known.phrasing.origin is Origin.LOG and known.answer.provenance.tier == TIER:
                await self._store.remove_phrasing(known.phrasing.id)

    async def _is_wanted(self, one: Member) -> bool:
        scope, key = one.scope, one.key
        known = await self._store.exact(scope, key)
        if known and known.answer.source_id == one.source_id and (_is_fresher(known) or _says(known, one)):
            self._answers[_named(one)] = known.answer
            self._report.unchanged += 1
            return False
        if known and _is_fresher(known):
            self._report.fresher += 1
            return False
        if self._id_of(one) in await self._store.barred(scope, key):
            self._report.withdrawn += 1
            return False
        return True

    def _found_answers(self, members: Sequence[Member]) -> None:
        """Make the answers that the cache lacks, or has with a text that is older than the log's."""
        for one in members:
            named = _named(one)
            if named not in self._answers:
                self._answers[named] = self._new(one)
                self._report.answers += 1

    async def _keep(self, members: Sequence[Member]) -> None:
        # At once, so that the store makes them one change.
        keeping = []
        for named, group in groupby(members, key=_named):
            phrasings = [NewPhrasing(one.key, one.prompt, Origin.LOG, self._now, one.vector) for one in group]
            keeping.append(self._store.keep(self._answers[named], phrasings))
        await asyncio.gather(*keeping)

    def _new(self, one: Member) -> Answer:
        scope, tenant, route = one.scope, self._place.tenant, self._place.route.name
        created_at = min(self._now, one.settled.at or self._now)
        return Answer(
            self._id_of(one),
            scope,
            tenant,
            route,
            one.settled.text,
            one.provenance,
            created_at,
            self._now,
            source_id=one.source_id,
        )

    def _id_of(self, one: Member) -> str:
        """The same at every warming, so that what someone called wrong does not come back."""
        return f"ans_{sha256(f'{one.scope} {one.source_id}'.encode()).hexdigest()[:20]}"


def _named(one: Member) -> tuple[str, str]:
    return one.scope, one.source_id


def _is_fresher(known: Known) -> bool:
    """What a tier wrote is newer than the log that it writes."""
    return known.answer.provenance.tier != TIER


def _says(known: Known, one: Member) -> bool:
    return known.answer.text == one.settled.text
