"""What clients say of the answers that they got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.completion_id import phrasing_of
from cacheguard.errors import UnknownCompletion
from cacheguard.oversight.verdicts import FEEDBACK, Pair

if TYPE_CHECKING:
    from cacheguard.oversight.verdicts import Verdicts
    from cacheguard.stores.base import Known, Store


class Feedback:
    """Takes verdicts of clients."""

    def __init__(self, store: Store, verdicts: Verdicts) -> None:
        self._store = store
        self._verdicts = verdicts

    async def take(self, tenant: str, completion_id: str, *, is_right: bool, note: str = "") -> None:
        """Raises UnknownCompletion for ids of other tenants, of answers that were not kept, and of forgotten ones."""
        given = await self._given(completion_id)
        if given is None or given.known.answer.tenant != tenant:
            raise UnknownCompletion(f"no answer is known under '{completion_id}': it was not kept, or is gone by now")
        await self._verdicts.say(given, FEEDBACK, is_right=is_right, note=note)

    async def _given(self, completion_id: str) -> Pair | None:
        phrasing_id = phrasing_of(completion_id)
        if phrasing_id is not None:
            known = await self._known(phrasing_id)
            return known and Pair(known.phrasing.key, known.phrasing.text, known, 1.0)
        served = await self._store.served(completion_id)
        if served is None or served.is_near_miss:
            return None
        known = await self._known(served.phrasing_id)
        return known and Pair(served.key, served.text, known, served.similarity)

    async def _known(self, phrasing_id: int) -> Known | None:
        known = await self._store.known([phrasing_id])
        return known[0] if known else None
