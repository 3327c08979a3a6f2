"""Tiers: what they ask, how well they are, and that somebody has seen to one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from cacheguard.cascade.breaker import State, Vote
from cacheguard.errors import UnknownTier
from cacheguard.settings import ModelTier

if TYPE_CHECKING:
    from cacheguard.cascade.keys import Blocked
    from cacheguard.cascade.tier import Tier
    from cacheguard.wiring import Service


def tiers_router(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/tiers")
    async def tiers() -> dict[str, Any]:
        return {"tiers": [show_tier(service, tier) for tier in service.tiers.values()]}

    @router.post("/tiers/{name}/reset")
    async def reset(name: str) -> dict[str, Any]:
        tier = service.tiers.get(name)
        if tier is None:
            raise UnknownTier(f"there is no tier '{name}'; known: {', '.join(service.tiers)}")
        tier.health.forget()
        return show_tier(service, tier)

    return router


def show_tier(service: Service, tier: Tier) -> dict[str, Any]:
    """What it asks, and how well it is. Times are UTC; those that are over are null."""
    configured = service.settings.tiers[tier.name]
    now = service.clock()
    vitals = tier.health.vitals(now)
    return {
        "name": tier.name,
        "provider": configured.provider if isinstance(configured, ModelTier) else None,
        "model": tier.model if isinstance(configured, ModelTier) else None,
        "state": vitals.state,
        "reason": vitals.reason or None,
        "retry_at": _utc(vitals.retry_at, now),
        "retry_in_s": max(0.0, round(vitals.retry_at - now, 1)),
        "blocks": [_show_block(blocked, tier, now) for blocked in vitals.blocked],
        "last_minute": {"calls": vitals.calls.total(), **{vote: vitals.calls[vote] for vote in Vote}},
        "schemas": {state: vitals.schemas[state] for state in State},
    }


def _show_block(blocked: Blocked, tier: Tier, now: float) -> dict[str, Any]:
    """key: counted from 1, where there are several."""
    number = {"key": blocked.key + 1} if len(tier.health.keys) > 1 else {}
    return {"reason": blocked.reason, "until": _utc(blocked.until, now), **number}


def _utc(at: float, now: float) -> str | None:
    """at, now: on the cascade's clock."""
    return datetime.fromtimestamp(time.time() + at - now, UTC).isoformat(timespec="seconds") if at > now else None
