"""What comes out of the corridor, and the Cache-Status field (RFC 9211) that tells what happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from cacheguard.cascade.outcome import NOTHING
from cacheguard.completion_id import id_of_phrasing, new_id
from cacheguard.matching.decide import Hit, Match, Miss, MissReason, Stale
from cacheguard.providers.chat_shape import write_completion

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cacheguard.cascade.outcome import Streaming, Tried
    from cacheguard.matching.decide import Decision
    from cacheguard.matching.freshness import Directives
    from cacheguard.providers.base import Completion
    from cacheguard.providers.chat_shape import ChunkText
    from cacheguard.types import Provenance


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """One member of Cache-Status. forwarded: why a tier was asked, "" on a hit. ttl_s: left of the time to live."""

    hit: bool = False
    forwarded: str = ""
    forwarded_status: int | None = None
    ttl_s: float | None = None
    stored: bool = False
    collapsed: bool = False
    detail: str = ""

    def __str__(self) -> str:
        said = ["cacheguard"]
        if self.hit:
            said.append("hit")
        if self.forwarded:
            said.append(f"fwd={self.forwarded}")
        if self.forwarded_status is not None:
            said.append(f"fwd-status={self.forwarded_status}")
        if self.ttl_s is not None:
            said.append(f"ttl={round(self.ttl_s)}")
        if self.stored:
            said.append("stored")
        if self.collapsed:
            said.append("collapsed")
        if self.detail:
            said.append(f"detail={self.detail}")
        return "; ".join(said)

    def landed(self, landed: Landed) -> CacheStatus:
        """This status once the tiers have answered; who shared another's call neither forwarded nor stored."""
        if self.collapsed or landed.is_earlier:
            return replace(self, collapsed=True)
        return replace(
            self,
            forwarded_status=None if landed.is_template else HTTPStatus.OK.value,
            stored=landed.kept is not None,
            detail="template" if landed.is_template else self.detail,
        )


@dataclass(frozen=True, slots=True)
class Landed:
    """What a call to the tiers came to, for everyone who shared it. kept: under which phrasing of which answer.

    is_earlier: another call's answer, kept a moment ago.
    """

    completion: Completion
    provenance: Provenance
    tried: Tried = NOTHING
    may_be_kept: bool = False
    kept: Match | None = None
    is_template: bool = False
    is_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way to the client.

    completion_id: what feedback refers to. content: a whole completion, or chunks as they come; these raise
    CacheGuardError where the answer breaks off. tier: who wrote it. age_s, entry, similarity, confidence: on a hit.
    """

    status: CacheStatus
    route: str
    completion_id: str
    content: Completion | AsyncGenerator[ChunkText, None]
    tier: str
    age_s: float | None = None
    entry: str = ""
    similarity: float | None = None
    confidence: float | None = None
    tried: Tried = NOTHING
    cost_usd: float = 0.0


@lru_cache(maxsize=4096)
def _written(text: str, model: str, created: float) -> Completion:
    """What is asked often is put into its form once; whoever gets it leaves it as it is."""
    return write_completion(text, model, created)


def served(found: Hit | Stale, route: str, model: str) -> Reply:
    """A reply from the cache. model: what the client asked for, told where nobody knows who wrote the answer."""
    match, fresh = found.match, found.fresh
    detail = "exact" if match.exact else "semantic"
    return Reply(
        status=CacheStatus(hit=True, ttl_s=fresh.ttl_s, detail=f"{detail}-stale" if fresh.ttl_s <= 0 else detail),
        route=route,
        completion_id=id_of_phrasing(match.phrasing.id) if match.exact else new_id(),
        content=_written(match.answer.text, match.answer.provenance.model or model, match.answer.refreshed_at),
        tier=match.answer.provenance.tier,
        age_s=fresh.age_s,
        entry=match.answer.id,
        similarity=match.similarity,
        confidence=found.judged.confidence,
    )


def landed_earlier(match: Match) -> Landed:
    """An answer that another call kept a moment ago, as if this one had shared that call."""
    answer = match.answer
    completion = write_completion(answer.text, answer.provenance.model, answer.refreshed_at)
    return Landed(completion, replace(answer.provenance, cost_usd=0.0), kept=match, is_earlier=True)


def landed_reply(status: CacheStatus, route: str, landed: Landed) -> Reply:
    """A reply from the tiers, whole."""
    kept = landed.kept
    return Reply(
        status=status.landed(landed),
        route=route,
        completion_id=id_of_phrasing(kept.phrasing.id) if kept else new_id(),
        content=landed.completion,
        tier=landed.provenance.tier,
        entry=kept.answer.id if kept else "",
        tried=landed.tried,
        cost_usd=0.0 if status.collapsed else landed.provenance.cost_usd,
    )


def streamed_reply(
    status: CacheStatus,
    route: str,
    streaming: Streaming,
    completion_id: str,
    content: AsyncGenerator[ChunkText, None],
) -> Reply:
    """A reply from a tier that has begun to speak; whether it will be stored can't be said yet."""
    return Reply(
        status=status if status.collapsed else replace(status, forwarded_status=HTTPStatus.OK.value),
        route=route,
        completion_id=completion_id,
        content=content,
        tier=streaming.tier.name,
        tried=streaming.tried,
    )


def forwarded(decision: Decision, directives: Directives) -> CacheStatus:
    """Why the tiers are asked, in RFC 9211's words (2.2): a request directive, a stale answer, or none that fits."""
    match decision:
        case _ if directives.no_cache:
            return CacheStatus(forwarded="request")
        case Stale() | Miss(reason=MissReason.EXPIRED):
            return CacheStatus(forwarded="stale")
        case Miss(reason=MissReason.CUT | MissReason.CACHE_BROKEN as reason):
            return CacheStatus(forwarded="miss", detail=reason)
        case _:
            return CacheStatus(forwarded="miss")
