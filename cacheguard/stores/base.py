"""What a store holds and promises. The store is the truth; every index is derived from it.

A store never decides: it keeps answers, their phrasings and vectors, and labels, and gives them back.
Every implementation passes `tests/contracts/test_stores.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cacheguard.types import Phrasing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cacheguard.types import Answer, Origin


@dataclass(frozen=True, slots=True)
class NewPhrasing:
    """A phrasing about to be kept. vector: float32 (dimension,), unit length; None: exact matches only."""

    key: str
    text: str
    origin: Origin
    created_at: float
    vector: NDArray[np.float32] | None = None

    def kept(self, phrasing_id: int, answer: Answer) -> Phrasing:
        """This phrasing under the id that the store gave it."""
        return Phrasing(phrasing_id, answer.id, answer.scope, self.key, self.text, self.origin, self.created_at)


class Known(NamedTuple):
    """A phrasing together with the answer that it belongs to."""

    phrasing: Phrasing
    answer: Answer


class Change(NamedTuple):
    """One step of the store's history of phrasings, for indexes that follow it."""

    seq: int
    scope: str
    phrasing_id: int
    removed: bool


class Touched(NamedTuple):
    """What a write changed: what was read of it before may be old now. Empty fields: nothing of that kind.

    answer_id: it was replaced or removed. scope, key: the phrasing of this folded text came, moved or went, or was
    labelled. phrasing_id: the same of a phrasing, 0 for a label.
    """

    answer_id: str = ""
    scope: str = ""
    key: str = ""
    phrasing_id: int = 0


class Vectors(NamedTuple):
    """Phrasing ids, int64 (n,), and their vectors, float32 (n, dimension), row by row."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Label:
    """A judgement: is `answer_id` right for the question `text` (folded: `key`) in `scope`?

    by: "feedback", "judge", "person" or a file's name. similarity: cosine at which it was served, or None.
    """

    scope: str
    route: str
    key: str
    text: str
    answer_id: str
    right: bool
    by: str
    created_at: float
    note: str = ""
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A semantic hit as it was given, so that a verdict finds question and answer again; or an answer that came near.

    completion_id: of a near-miss, an id of its own. route: "" where a tier gave the answer, so that none decided.
    """

    completion_id: str
    scope: str
    key: str
    text: str
    answer_id: str
    phrasing_id: int
    similarity: float
    at: float
    route: str = ""
    confidence: float = 0.0
    is_near_miss: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """Which answers are meant: all of the fields that are not None must fit.

    model: as in the provenance. refreshed_before: Unix seconds.
    """

    tenant: str | None = None
    route: str | None = None
    tag: str | None = None
    model: str | None = None
    refreshed_before: float | None = None
    ids: tuple[str, ...] | None = None

    def means(self, answer: Answer) -> bool:
        """Whether the answer fits."""
        return (
            self.tenant in (None, answer.tenant)
            and self.route in (None, answer.route)
            and self.model in (None, answer.provenance.model)
            and (self.tag is None or self.tag in answer.tags)
            and (self.refreshed_before is None or answer.refreshed_at < self.refreshed_before)
            and (self.ids is None or answer.id in self.ids)
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a store holds."""

    answers: int
    phrasings: int
    vectors: int
    labels: int
    scopes: int


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A decision rule of a route. version: from 1, by route; the newest is in force.

    body: JSON, as the rule wrote it; "" puts the rule of the settings in force again.

    by: what made it, "tune" or "tightening".
    """

    route: str
    version: int
    body: str
    by: str
    created_at: float


class Account(NamedTuple):
    """Who spends. kind: "route", "tenant" or "judge", which has the name of its route."""

    kind: str
    name: str


class SpendingKey(NamedTuple):
    """An account in one window of time. per: "hour", "day" or "month". since: when it began, Unix seconds."""

    account: Account
    per: str
    since: int


class Answers(Protocol):
    """Answers and the phrasings that they own."""

    async def exact(self, scope: str, key: str) -> Known | None:
        """The phrasing of `scope` with this folded text, with its answer; None where that is barred for it."""
        ...

    async def known(self, phrasing_ids: Sequence[int]) -> list[Known]:
        """Those of the phrasings that (still) exist, in the order asked for."""
        ...

    async def keep(self, answer: Answer, phrasings: Sequence[NewPhrasing]) -> list[int]:
        """Keep the answer and its phrasings as one change, durable once this returns; the phrasings' ids.

        An answer whose id, or whose (scope, source_id) with source_id not "", exists already is refreshed
        in place (its text, provenance, refreshed_at, ttl and tags are replaced; id and created_at stay).
        A phrasing whose (scope, key) exists already moves to this answer and keeps its id; an answer that
        loses its last phrasing so is removed.
        """
        ...

    async def add_phrasings(self, answer_id: str, phrasings: Sequence[NewPhrasing]) -> list[int]:
        """Give the answer more phrasings, as `keep` does, and change nothing else of it; [] where it is gone."""
        ...

    async def remove(self, which: Filter) -> int:
        """Remove the answers that fit, with all their phrasings and vectors; how many answers went."""
        ...

    async def remove_phrasing(self, phrasing_id: int) -> bool:
        """Remove one phrasing, and its answer if it was the last. False: there was none."""
        ...

    def answers(self, which: Filter) -> AsyncIterator[tuple[Answer, list[Phrasing]]]:
        """The answers that fit, each with its phrasings, oldest first. Memory stays bounded."""
        ...


class VectorLog(Protocol):
    """The vectors, and the history that lets an index follow them without reading everything again."""

    @property
    def identity(self) -> str:
        """Made with the store, and kept: what was derived from another one is not taken for its. Once it is open."""
        ...

    async def vectors(self, scope: str, ids: Sequence[int] | None = None) -> Vectors:
        """The vectors of a scope (or those of `ids` in it), ascending by id, made by the current model."""
        ...

    async def changes(self, after: int, limit: int = 10_000) -> list[Change] | None:
        """What was added and removed after sequence number `after`, oldest first within each scope.

        None: that history was trimmed; load again from `vectors`.
        """
        ...

    async def latest_change(self) -> int:
        """The newest change's sequence number, 0 when there never was one. Cheap: it is polled."""
        ...

    async def changed(self, within_s: float) -> None:
        """Until something was added or removed since the last call, where the store is told so, or the time is over."""
        ...


class News(Protocol):
    """What lets rows be kept in memory: being told which of them were written since."""

    def news(self) -> Sequence[Touched] | None:
        """What was written since the last call, by this process at once, by another within milliseconds.

        None: too much, or unknown; trust nothing that was read before. Asked before every look-up, by one caller.
        Raises StoreError.
        """
        ...


class Labels(Protocol):
    """What people and judges said of answers."""

    async def add_labels(self, labels: Sequence[Label]) -> None: ...

    async def labels(self, route: str, newest: int | None = None) -> list[Label]:
        """A route's labels, oldest first. newest: so many of the newest."""
        ...

    async def barred(self, scope: str, key: str) -> frozenset[str]:
        """Ids of the answers that someone called wrong for exactly this question, and not right since."""
        ...

    async def add_served(self, served: Served) -> None:
        """Remember it for a verdict. Best effort: may return before it is durable; old ones are dropped."""
        ...

    async def served(self, completion_id: str) -> Served | None: ...

    async def unjudged(self, route: str, limit: int) -> list[Served]:
        """What was served or came near, is still in the cache, and has no label, newest first; each pair once."""
        ...

    async def hit_times(self, route: str, limit: int) -> list[float]:
        """When the newest semantic hits of a route were given, ascending."""
        ...


class Reembedding(Protocol):
    """Changing the model: vectors of the former one are replaced batch by batch; a killed run goes on later."""

    async def outdated(self, limit: int) -> list[Phrasing]:
        """Some phrasings whose vectors another model made; [] when all are done."""
        ...

    async def put_vectors(self, phrasing_ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Replace the vectors of these phrasings, float32 (n, dimension), by the current model's."""
        ...


class Spending(Protocol):
    """What was spent, over all processes that share the store, and over their restarts."""

    async def add_spending(self, spent: Mapping[SpendingKey, float]) -> dict[SpendingKey, float]:
        """Add US dollars, which may be negative where less was spent than said; the sums of the same keys.

        As one change, and made even where the caller stops waiting for it. Raises StoreError: nothing was added.
        """
        ...


class StoredRules(Protocol):
    """The decision rules of routes, all that ever were in force."""

    async def add_rule(
        self, route: str, body: str, *, by: str, created_at: float, after: int | None = None
    ) -> StoredRule:
        """Put a rule in force, for all processes that share the store.

        after: the version that it follows, 0 for the first. Raises RuleChanged where that is not the newest any more.
        """
        ...

    async def rules(self, route: str) -> list[StoredRule]:
        """A route's, oldest first."""
        ...

    async def rules_in_force(self) -> list[StoredRule]:
        """The newest of each route that has any. Cheap: it is polled."""
        ...


class Store(Answers, News, VectorLog, Labels, Reembedding, Spending, StoredRules, Protocol):
    """Everything that a store does."""

    async def open(self, fingerprint: str, *, reembedding: bool = False) -> None:
        """Make ready; vectors are read and written as those of the model with this fingerprint.

        Raises ModelMismatch when some vectors were made by another model, unless `reembedding`;
        StoreUnusable when the place can't be read or written.
        """
        ...

    async def counts(self) -> Counts: ...

    async def remarks(self) -> list[str]:
        """What is unwise about the place, each with the way out."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of files and connections."""
        ...
