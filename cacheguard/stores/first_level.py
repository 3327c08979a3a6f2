"""Rows that were read lately, kept in memory in front of a store: a look-up costs a microsecond instead of forty.

What the store's news tell of is read again, so that a refreshed, removed or withdrawn answer is never given out of
this memory, whichever process wrote it. A new answer that is kept through it is at hand at once.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from cacheguard.errors import StoreError
from cacheguard.stores.base import Known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheguard.stores.base import NewPhrasing, Touched
    from cacheguard.types import Answer

# Phrasings: with texts of 100 and answers of 500 characters, some 60 MB.
_KEPT: Final = 50_000
# A miss looks twice, before the tiers are asked and after.
_ABSENT: Final = 10_000


class Rows(Protocol):
    """What of a store is read for every question, and written for a new one."""

    async def exact(self, scope: str, key: str) -> Known | None: ...

    async def known(self, phrasing_ids: Sequence[int]) -> list[Known]: ...

    def news(self) -> Sequence[Touched] | None: ...

    async def keep(self, answer: Answer, phrasings: Sequence[NewPhrasing]) -> list[int]: ...


class FirstLevel:
    """The rows of a store, as it gives them. kept: how many phrasings at most; of the others, the newest stay.

    Belongs to one event loop.
    """

    def __init__(self, store: Rows, *, kept: int = _KEPT) -> None:
        self._store = store
        self._kept = kept
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._exact: dict[tuple[str, str], int] = {}  # only pairs that the store gave as exact matches
        self._owned: defaultdict[str, set[int]] = defaultdict(set)  # answer id → phrasing ids
        self._absent: OrderedDict[tuple[str, str], None] = OrderedDict()  # asked for lately, and not there
        self._heard = 0  # news

    def __len__(self) -> int:
        return len(self._known)

    def at_hand(self, scope: str, key: str) -> Known | None:
        """As exact, of what is in memory; None: ask the store. Raises StoreError."""
        self._hear()
        id_ = self._exact.get((scope, key))
        return None if id_ is None else self._known[id_]

    async def exact(self, scope: str, key: str) -> Known | None:
        """As of a store."""
        if (found := self.at_hand(scope, key)) or (scope, key) in self._absent:
            return found
        heard = self._heard
        found = await self._store.exact(scope, key)
        if not self._is_current(heard):
            return found
        if found is not None:
            self._keep(found)
            self._exact[scope, key] = found.phrasing.id
        else:
            self._absent[scope, key] = None
            if len(self._absent) > _ABSENT:
                self._absent.popitem(last=False)
        return found

    async def known(self, phrasing_ids: Sequence[int]) -> list[Known]:
        """As of a store."""
        self._hear()
        at_hand = [known for id_ in phrasing_ids if (known := self._known.get(id_))]
        if len(at_hand) == len(phrasing_ids):
            return at_hand
        missing = [id_ for id_ in phrasing_ids if id_ not in self._known]
        heard = self._heard
        read = await self._store.known(missing)
        if not self._is_current(heard):
            return await self._store.known(phrasing_ids)
        by_id = {known.phrasing.id: known for known in read}
        found = [known for id_ in phrasing_ids if (known := self._known.get(id_) or by_id.get(id_))]
        for known in read:
            self._keep(known)
        return found

    async def keep_new(self, answer: Answer, phrasing: NewPhrasing) -> Known:
        """Keep an answer that the store has not, as of a store."""
        heard = self._heard
        [id_] = await self._store.keep(answer, [phrasing])
        known = Known(phrasing.kept(id_, answer), answer)
        with suppress(StoreError):  # it is kept, and whoever reads next meets what is wrong
            self._hear()
            if self._heard == heard + 1:  # news of the write itself, and of none after it
                self._keep(known)
        return known

    def _is_current(self, heard: int) -> bool:
        """Whether nothing was written between two looks at the news: what was read between them is as good as new."""
        self._hear()
        return heard == self._heard

    def _hear(self) -> None:
        touched = self._store.news()
        if touched is None:
            self._heard += 2  # or more
            self._known.clear()
            self._exact.clear()
            self._absent.clear()
            self._owned.clear()
        else:
            self._heard += len(touched)
            for one in touched:
                self._exact.pop((one.scope, one.key), None)
                self._absent.pop((one.scope, one.key), None)
                self._drop(one.phrasing_id)
                for id_ in tuple(self._owned.get(one.answer_id, ())):
                    self._drop(id_)

    def _keep(self, known: Known) -> None:
        id_ = known.phrasing.id
        self._drop(id_)  # what is read anew becomes the newest
        self._known[id_] = known
        self._owned[known.answer.id].add(id_)
        if len(self._known) > self._kept:
            self._drop(next(iter(self._known)))

    def _drop(self, id_: int) -> None:
        known = self._known.pop(id_, None)
        if known is None:
            return
        self._exact.pop((known.phrasing.scope, known.phrasing.key), None)
        owned = self._owned[known.answer.id]
        owned.discard(id_)
        if not owned:
            del self._owned[known.answer.id]
