"""Spending: what each account with a limit has spent in its present window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from cacheguard.http.admin.shapes import utc

if TYPE_CHECKING:
    from cacheguard.cascade.spending import Standing
    from cacheguard.wiring import Service


def spending_router(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/spending")
    async def spending() -> dict[str, Any]:
        return {"spending": [_show(standing) for standing in service.spending()]}

    return router


def _show(standing: Standing) -> dict[str, Any]:
    """kind: "route", "tenant" or "judge", which has the name of its route. left_usd: for further calls."""
    account, limit, window, spent_usd = standing
    return {
        "kind": account.kind,
        "name": account.name,
        "per": limit.per,
        "since": utc(window.since),
        "until": utc(window.until),
        "limit_usd": limit.usd,
        "spent_usd": round(spent_usd, 6),
        "left_usd": round(max(0.0, limit.usd - spent_usd), 6),
    }
