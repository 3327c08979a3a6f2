"""What clients say of answers: a wrong one is withdrawn at once and becomes a labelled example."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cacheguard.completion_id import phrasing_of
from cacheguard.errors import UnknownCompletion
from cacheguard.stores.base import Label

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheguard.stores.base import Known, Store


class _Given(NamedTuple):
    """A question (key: folded) and the phrasing through which it got its answer."""

    key: str
    text: str
    known: Known
    similarity: float


class Feedback:
    """Takes verdicts. now: Unix seconds."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def take(self, tenant: str, completion_id: str, *, is_right: bool, note: str = "") -> None:
        """Label the pair; when it is wrong, that question never gets that answer again.

        Raises UnknownCompletion for ids of other tenants, of answers that were not kept, and of forgotten ones.
        """
        given = await self._given(completion_id)
        if given is None or given.known.answer.tenant != tenant:
            raise UnknownCompletion(f"no answer is known under '{completion_id}': it was not kept, or is gone by now")
        phrasing, answer = given.known
        label = Label(
            scope=answer.scope,
            route=answer.route,
            key=given.key,
            text=given.text,
            answer_id=answer.id,
            right=is_right,
            by="feedback",
            created_at=self._now(),
            note=note,
            similarity=given.similarity,
        )
        await self._store.add_labels([label])
        if not is_right and given.key == phrasing.key:
            await self._store.remove_phrasing(phrasing.id)

    async def _given(self, completion_id: str) -> _Given | None:
        phrasing_id = phrasing_of(completion_id)
        if phrasing_id is not None:
            known = await self._known(phrasing_id)
            return known and _Given(known.phrasing.key, known.phrasing.text, known, 1.0)
        served = await self._store.served(completion_id)
        if served is None:
            return None
        known = await self._known(served.phrasing_id)
        return known and _Given(served.key, served.text, known, served.similarity)

    async def _known(self, phrasing_id: int) -> Known | None:
        known = await self._store.known([phrasing_id])
        return known[0] if known else None
