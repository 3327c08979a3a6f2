"""The nouns that every room of the corridor knows: answers, phrasings, requests, completions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """Where a phrasing came from."""

    MISS = "miss"
    LOG = "log"
    JUDGE = "judge"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who wrote an answer and who vouches for it.

    tier, model: names as configured (a warmed answer's tier is "log"). cost_usd: what writing it cost.
    validators: the checks that it passed. approved_by: a judge or person, "" where nobody looked.
    """

    tier: str
    model: str = ""
    cost_usd: float = 0.0
    validators: tuple[str, ...] = ()
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A validated answer. Immutable but for refresh, which replaces text, provenance and `refreshed_at`.

    scope: key of the partition that may read it. source_id: the id that its log gave it, "" where none.
    created_at, refreshed_at: Unix seconds. ttl_s: overrides the route's ttl where it is not None.
    """

    id: str
    scope: str
    tenant: str
    route: str
    text: str
    provenance: Provenance
    created_at: float
    refreshed_at: float
    ttl_s: float | None = None
    tags: tuple[str, ...] = ()
    source_id: str = ""


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A prompt that is known to be answered by one answer. id: positive, given by the store, never reused."""

    id: int
    answer_id: str
    scope: str
    key: str
    text: str
    origin: Origin
    created_at: float


def new_answer_id() -> str:
    """80 random bits as hex behind `ans_`: unique across replicas without asking anyone."""
    return f"ans_{secrets.token_hex(10)}"
