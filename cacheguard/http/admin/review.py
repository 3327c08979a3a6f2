"""Review: hits and near-misses that nobody has judged yet, and a person's verdict on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from cacheguard.http.admin.shapes import limit_of, utc
from cacheguard.http.body import VERDICT, parse, read_body

if TYPE_CHECKING:
    from cacheguard.oversight.review import Waiting
    from cacheguard.wiring import Service


def review_router(service: Service, max_body: int) -> APIRouter:
    router = APIRouter()

    @router.get("/review")
    async def review(request: Request) -> dict[str, Any]:
        route = service.routes.named(request.query_params.get("route", "default"))
        waiting = await service.overseers.review.waiting(route.name, limit_of(request))
        return {"review": [_show(one) for one in waiting]}

    @router.post("/review")
    async def judge(request: Request) -> dict[str, str]:
        said = parse(VERDICT, await read_body(request.receive, max_body))
        is_right, note = said["verdict"] == "right", said.get("note", "")
        await service.overseers.review.judge(said["id"], is_right=is_right, note=note)
        return {"status": "accepted"}

    return router


def _show(waiting: Waiting) -> dict[str, Any]:
    served, (phrasing, answer) = waiting
    return {
        "id": served.completion_id,
        "kind": "near-miss" if served.is_near_miss else "hit",
        "time": utc(served.at),
        "tenant": answer.tenant,
        "question": served.text,
        "known_question": phrasing.text,
        "answer": answer.text,
        "entry": answer.id,
        "similarity": round(served.similarity, 4),
        "confidence": round(served.confidence, 4),
    }
