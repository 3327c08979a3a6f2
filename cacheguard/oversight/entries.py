"""Answers in a person's hands: more phrasings for one, two made one, one made two, and what is to go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cacheguard.errors import RequestError, UnknownEntry
from cacheguard.stores.base import Filter, Known, NewPhrasing
from cacheguard.types import new_answer_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cacheguard.oversight.verdicts import Verdicts
    from cacheguard.stores.base import Store
    from cacheguard.types import Answer, Phrasing


class Entry(NamedTuple):
    """An answer with its phrasings."""

    answer: Answer
    phrasings: list[Phrasing]


class Entries:
    """All of a store. now: Unix seconds. Every way raises UnknownEntry for an answer that there is not."""

    def __init__(self, store: Store, verdicts: Verdicts, now: Callable[[], float]) -> None:
        self._store = store
        self._verdicts = verdicts
        self._now = now

    async def get(self, id_: str) -> Entry:
        async for answer, phrasings in self._store.answers(Filter(ids=(id_,))):
            return Entry(answer, phrasings)
        raise UnknownEntry(f"there is no answer '{id_}'")

    async def add_phrasing(self, id_: str, text: str) -> Entry:
        """From now on the answer to this question too, even if somebody called that wrong before."""
        answer, [first, *_] = await self.get(id_)
        await self._verdicts.approve(Known(first, answer), text)
        return await self.get(id_)

    async def merge(self, id_: str, into: str) -> Entry:
        """All phrasings of one answer for another of the same partition; the first is gone then. That other."""
        answer, phrasings = await self.get(id_)
        other, _ = await self.get(into)
        if answer.id == other.id or answer.scope != other.scope:
            raise RequestError(
                f"'{into}' must be another answer for the same tenant, route and conditions as '{id_}'", param="into"
            )
        if not await self._store.add_phrasings(other.id, await self._again(answer.scope, phrasings)):
            raise UnknownEntry(f"there is no answer '{into}'")
        return await self.get(into)

    async def split(self, id_: str, phrasings: Collection[int], text: str | None = None) -> Entry:
        """Some phrasings of an answer, by number, for a new one. text: of the new one; None: as it was."""
        answer, its = await self.get(id_)
        leaving = [one for one in its if one.id in set(phrasings)]
        if len(leaving) != len(set(phrasings)) or not 0 < len(leaving) < len(its):
            own = ", ".join(str(one.id) for one in its)
            raise RequestError(f"name some of the answer's phrasings, but not all: {own}", param="phrasings")
        now = self._now()
        new = replace(
            answer,
            id=new_answer_id(),
            text=answer.text if text is None else text,
            created_at=now,
            refreshed_at=answer.refreshed_at if text is None else now,
            source_id="",
        )
        await self._store.keep(new, await self._again(answer.scope, leaving))
        return await self.get(new.id)

    async def remove(self, id_: str) -> None:
        if not await self._store.remove(Filter(ids=(id_,))):
            raise UnknownEntry(f"there is no answer '{id_}'")

    async def remove_phrasing(self, id_: str, number: str) -> None:
        """With the answer, if it was its last."""
        _, phrasings = await self.get(id_)
        phrasing = next((one for one in phrasings if str(one.id) == number), None)
        if phrasing is None:
            raise UnknownEntry(f"answer '{id_}' has no phrasing '{number}'")
        await self._store.remove_phrasing(phrasing.id)

    async def _again(self, scope: str, phrasings: Sequence[Phrasing]) -> list[NewPhrasing]:
        """To be kept under another answer, with their vectors."""
        found = await self._store.vectors(scope, [one.id for one in phrasings])
        vectors = dict(zip(found.ids.tolist(), found.vectors, strict=True))
        return [NewPhrasing(one.key, one.text, one.origin, one.created_at, vectors.get(one.id)) for one in phrasings]
