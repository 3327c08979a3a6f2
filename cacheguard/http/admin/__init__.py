"""/admin/api/...: what those who run the service see and do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, Request

from cacheguard.errors import Overloaded
from cacheguard.http.admin.entries import entries_router
from cacheguard.http.admin.review import review_router
from cacheguard.http.admin.routes import routes_router
from cacheguard.http.admin.spending import spending_router
from cacheguard.http.admin.tiers import tiers_router
from cacheguard.http.admin.traces import traces_router

if TYPE_CHECKING:
    from cacheguard.wiring import Service


def admin_router(service: Service, max_body: int) -> APIRouter:
    """All of it asks for an administrator's key, once there are any keys. max_body: bytes."""

    async def for_admins(request: Request) -> None:
        service.tenants.admit_admin(request.headers.get("authorization"))

    async def once_ready() -> None:
        if not service.is_ready:
            raise Overloaded("the service is starting; try again soon", retry_after_s=1)

    router = APIRouter(prefix="/admin/api", dependencies=[Depends(for_admins)])
    for part in (tiers_router(service), traces_router(service)):
        router.include_router(part)
    for part in (
        routes_router(service),
        spending_router(service),
        review_router(service, max_body),
        entries_router(service, max_body),
    ):
        router.include_router(part, dependencies=[Depends(once_ready)])
    return router
