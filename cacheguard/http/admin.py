"""GET and POST /admin/api/...: what those who run the service see and do."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request

from cacheguard.cascade.breaker import State, Vote
from cacheguard.errors import RequestError, UnknownTier, UnknownTrace
from cacheguard.settings import ModelTier

if TYPE_CHECKING:
    from cacheguard.cascade.keys import Blocked
    from cacheguard.cascade.tier import Tier
    from cacheguard.wiring import Service


_A_NUMBER = re.compile("[0-9]{1,9}")


def admin_router(service: Service) -> APIRouter:
    """All of it asks for an administrator's key, once there are any keys."""

    async def for_admins(request: Request) -> None:
        service.tenants.admit_admin(request.headers.get("authorization"))

    router = APIRouter(prefix="/admin/api", dependencies=[Depends(for_admins)])

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

    @router.get("/traces")
    async def traces(request: Request) -> dict[str, Any]:
        limit = request.query_params.get("limit", "100")
        if not _A_NUMBER.fullmatch(limit):
            raise RequestError("limit takes a whole number, such as 100", param="limit")
        return {"traces": [trace.as_json() for trace in service.telemetry.traces.newest(int(limit))]}

    @router.get("/traces/{said_id:path}")
    async def trace(said_id: str) -> dict[str, Any]:
        found = service.telemetry.traces.find(said_id)
        if found is None:
            raise UnknownTrace(
                f"no trace is kept under '{said_id}': it is not one's id, is older, or another process's"
            )
        return found.as_json()

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
