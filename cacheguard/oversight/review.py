"""Review: people say of hits and near-misses whether the answer fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cacheguard.errors import UnknownCase
from cacheguard.oversight.verdicts import PERSON, Pair

if TYPE_CHECKING:
    from cacheguard.oversight.verdicts import Verdicts
    from cacheguard.stores.base import Known, Served, Store


class Waiting(NamedTuple):
    """What was served or came near, and what of the cache it was."""

    served: Served
    known: Known


class Review:
    """The queue of a route: what nobody has judged yet. Near-misses and hits alike, of all processes."""

    def __init__(self, store: Store, verdicts: Verdicts) -> None:
        self._store = store
        self._verdicts = verdicts

    async def waiting(self, route: str, limit: int) -> list[Waiting]:
        """Newest first."""
        unjudged = await self._store.unjudged(route, limit)
        known = {one.phrasing.id: one for one in await self._store.known([one.phrasing_id for one in unjudged])}
        return [Waiting(one, known[one.phrasing_id]) for one in unjudged if one.phrasing_id in known]

    async def judge(self, id_: str, *, is_right: bool, note: str = "") -> None:
        """A person's verdict. Raises UnknownCase for what is forgotten, or not in the cache any more."""
        served = await self._store.served(id_)
        known = await self._store.known([served.phrasing_id]) if served else []
        if served is None or not known or known[0].answer.id != served.answer_id:
            raise UnknownCase(f"nothing waits for review under '{id_}': it is not one's id, or is gone by now")
        similarity = None if served.is_near_miss else served.similarity
        pair = Pair(served.key, served.text, known[0], similarity)
        await self._verdicts.say(pair, PERSON, is_right=is_right, note=note)
