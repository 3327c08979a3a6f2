"""Traces: the way of single requests through the corridor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from cacheguard.errors import UnknownTrace
from cacheguard.http.admin.shapes import limit_of

if TYPE_CHECKING:
    from cacheguard.wiring import Service


def traces_router(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/traces")
    async def traces(request: Request) -> dict[str, Any]:
        return {"traces": [trace.as_json() for trace in service.telemetry.traces.newest(limit_of(request))]}

    @router.get("/traces/{said_id:path}")
    async def trace(said_id: str) -> dict[str, Any]:
        found = service.telemetry.traces.find(said_id)
        if found is None:
            raise UnknownTrace(
                f"no trace is kept under '{said_id}': it is not one's id, is older, or another process's"
            )
        return found.as_json()

    return router
