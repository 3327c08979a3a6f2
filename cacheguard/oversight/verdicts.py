"""Verdicts: each becomes a label; a wrong pair is withdrawn at once, and an approved near-miss becomes a phrasing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cacheguard.question import fold
from cacheguard.stores.base import Label, NewPhrasing
from cacheguard.types import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheguard.oversight.promises import Promises
    from cacheguard.stores.base import Known, Store
    from embeddings.base import Embedder

FEEDBACK: Final = "feedback"
JUDGE: Final = "judge"
PERSON: Final = "person"
# Who looks at near-misses, and where a phrasing comes from that they approved.
_APPROVES: Final = {JUDGE: Origin.JUDGE, PERSON: Origin.PERSON}


@dataclass(frozen=True, slots=True)
class Pair:
    """A question (key: folded) and the answer that it got through a phrasing, or that came near.

    similarity: at which it was served; None: it was not.
    """

    key: str
    text: str
    known: Known
    similarity: float | None


class Verdicts:
    """Takes them. now: Unix seconds."""

    def __init__(self, store: Store, embedder: Embedder, promises: Promises, now: Callable[[], float]) -> None:
        self._store = store
        self._embedder = embedder
        self._promises = promises
        self._now = now

    async def say(self, pair: Pair, by: str, *, is_right: bool, note: str = "") -> None:
        """Label the pair. When it is wrong, that question never gets that answer again.

        A judge does not take back what somebody else called wrong.
        """
        phrasing, answer = pair.known
        if by == JUDGE and is_right and answer.id in await self._store.barred(answer.scope, pair.key):
            return
        label = Label(
            scope=answer.scope,
            route=answer.route,
            key=pair.key,
            text=pair.text,
            answer_id=answer.id,
            right=is_right,
            by=by,
            created_at=self._now(),
            note=note,
            similarity=pair.similarity,
        )
        if is_right and pair.similarity is None and by in _APPROVES:
            await self._add_phrasing(answer.id, pair.key, pair.text, _APPROVES[by])
        await self._store.add_labels([label])
        if not is_right and pair.key == phrasing.key:
            await self._store.remove_phrasing(phrasing.id)
        await self._promises.look(answer.route)

    async def approve(self, known: Known, text: str) -> None:
        """A person gives an answer another phrasing."""
        await self.say(Pair(fold(text), text, known, None), PERSON, is_right=True)

    async def _add_phrasing(self, answer_id: str, key: str, text: str, origin: Origin) -> None:
        embedded = await self._embedder.embed([text])
        vector = None if embedded.cut[0] else embedded.vectors[0]
        await self._store.add_phrasings(answer_id, [NewPhrasing(key, text, origin, self._now(), vector)])
