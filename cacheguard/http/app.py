"""The ASGI app: endpoints, limits, errors, and the service that lives as long as the app."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Route

import cacheguard
from cacheguard.errors import CacheGuardError, Overloaded
from cacheguard.http.admin import admin_router
from cacheguard.http.body import VERDICT, parse, read_body
from cacheguard.http.chat import Chat
from cacheguard.http.doors import CHAT, Doors
from cacheguard.http.errors import error_response, failed, no_such_endpoint
from cacheguard.http.request_id import RequestId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import ASGIApp

    from cacheguard.wiring import Service

# In collections of the middle generation; Python's own is 10.
FULL_COLLECTION_EVERY = 1000
_MB = 1_000_000


def make_app(service: Service, on_failed_start: Callable[[BaseException], None]) -> ASGIApp:
    """The app. It starts the service in the background, so that /readyz can tell, and closes it at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        usual = gc.get_threshold()

        def started(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            if error := task.exception():
                on_failed_start(error)
                return
            # What the start made stays: looking through its 92,000 objects at every collection took a fifth of a hit.
            gc.collect()
            gc.freeze()
            # A full collection walks through all that requests under way hold, 0.1 to 0.4 s with a thousand streams,
            # and whenever a quarter is new. Little waits for it: five of six of a stream's objects go without it.
            gc.set_threshold(*usual[:2], FULL_COLLECTION_EVERY)

        start = asyncio.create_task(service.start())
        start.add_done_callback(started)
        yield
        start.cancel()
        await asyncio.wait([start])
        await service.aclose()
        # Who goes on without the service, as tests do, shall not keep what it held.
        gc.set_threshold(*usual)
        gc.unfreeze()

    app = FastAPI(title="CacheGuard", version=cacheguard.__version__, lifespan=lifespan, openapi_url=None)
    server = service.settings.server
    max_body = int(server.max_body_mb * _MB)

    async def on_error(request: Request, error: Exception) -> Response:
        match error:
            case CacheGuardError():
                service.telemetry.failed(error.code or error.type)
                return error_response(error)
            case HTTPException():
                return no_such_endpoint(request, error)
            case _:
                service.telemetry.failed(CacheGuardError.type)
                return failed()

    for kind in (CacheGuardError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)
    chat = Chat(service, max_body, server.max_in_flight)
    app.router.routes.append(Route(CHAT, chat, methods=["POST"]))  # tells other methods that they are not allowed
    _add_rest(app, service, max_body)
    app.include_router(admin_router(service, max_body))
    app.add_middleware(RequestId)
    return Doors(chat, app)


def _add_rest(app: FastAPI, service: Service, max_body: int) -> None:
    begun = int(time.time())

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        service.tenants.of(request.headers.get("authorization"))
        routes = [
            {"id": route.name, "object": "model", "created": begun, "owned_by": "cacheguard"}
            for route in service.routes
        ]
        return {"object": "list", "data": routes}

    @app.post("/v1/feedback", status_code=202)
    async def feedback(request: Request) -> dict[str, str]:
        tenant = service.tenants.of(request.headers.get("authorization"))
        said = parse(VERDICT, await read_body(request.receive, max_body))
        if not service.is_ready:
            raise Overloaded("the service is starting; try again soon", retry_after_s=1)
        is_right, note = said["verdict"] == "right", said.get("note", "")
        await service.overseers.feedback.take(tenant, said["id"], is_right=is_right, note=note)
        return {"status": "accepted"}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        ready = service.is_ready
        return JSONResponse({"status": "ready" if ready else "loading"}, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)
