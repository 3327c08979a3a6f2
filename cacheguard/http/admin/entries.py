"""Answers: more phrasings for one, two made one, one made two, and what is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from cacheguard.http.admin.shapes import INTO, SPLIT, TEXT, utc
from cacheguard.http.body import parse, read_body

if TYPE_CHECKING:
    from cacheguard.oversight.entries import Entry
    from cacheguard.wiring import Service


def entries_router(service: Service, max_body: int) -> APIRouter:
    router = APIRouter(prefix="/entries")

    @router.get("/{id_}")
    async def show(id_: str) -> dict[str, Any]:
        return _show(await service.overseers.entries.get(id_))

    @router.post("/{id_}/phrasings")
    async def add_phrasing(id_: str, request: Request) -> dict[str, Any]:
        said = parse(TEXT, await read_body(request.receive, max_body))
        return _show(await service.overseers.entries.add_phrasing(id_, said["text"]))

    @router.post("/{id_}/merge")
    async def merge(id_: str, request: Request) -> dict[str, Any]:
        said = parse(INTO, await read_body(request.receive, max_body))
        return _show(await service.overseers.entries.merge(id_, said["into"]))

    @router.post("/{id_}/split")
    async def split(id_: str, request: Request) -> dict[str, Any]:
        said = parse(SPLIT, await read_body(request.receive, max_body))
        return _show(await service.overseers.entries.split(id_, said["phrasings"], said.get("text")))

    @router.delete("/{id_}", status_code=204)
    async def remove(id_: str) -> Response:
        await service.overseers.entries.remove(id_)
        return Response(status_code=204)

    @router.delete("/{id_}/phrasings/{number}", status_code=204)
    async def remove_phrasing(id_: str, number: str) -> Response:
        await service.overseers.entries.remove_phrasing(id_, number)
        return Response(status_code=204)

    return router


def _show(entry: Entry) -> dict[str, Any]:
    answer, phrasings = entry
    return {
        "id": answer.id,
        "tenant": answer.tenant,
        "route": answer.route,
        "text": answer.text,
        "tier": answer.provenance.tier,
        "model": answer.provenance.model,
        "tags": answer.tags,
        "created": utc(answer.created_at),
        "refreshed": utc(answer.refreshed_at),
        "phrasings": [
            {"id": one.id, "text": one.text, "origin": one.origin, "created": utc(one.created_at)} for one in phrasings
        ],
    }
