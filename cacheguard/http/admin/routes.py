"""Routes: the rule in force, what it promises, and how its hits did; and the labels that tell."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request

from cacheguard.http.admin.shapes import limit_of, utc
from cacheguard.tuning.guarantee import upper_bound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheguard.oversight.promises import Standing
    from cacheguard.routes import Route
    from cacheguard.stores.base import Label
    from cacheguard.wiring import Service

CONFIDENCE: Final = 0.95


def routes_router(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/routes")
    async def routes() -> dict[str, Any]:
        return {"routes": [await _show_route(service, route) for route in service.routes]}

    @router.get("/labels")
    async def labels(request: Request) -> dict[str, Any]:
        route = service.routes.named(request.query_params.get("route", "default"))
        newest = await service.store.labels(route.name, limit_of(request))
        return {"labels": [_show_label(label) for label in reversed(newest)]}

    return router


async def _show_route(service: Service, route: Route) -> dict[str, Any]:
    promise = service.overseers.promises[route.name]
    standing = await service.overseers.promises.standing(route.name)
    return {
        "name": route.name,
        "mode": route.mode,
        "rule": {
            "version": promise.rule.version if promise.rule else 0,
            "by": promise.rule.by if promise.rule else "settings",
            "since": utc(promise.since) if promise.since else None,
            "threshold": route.rule.threshold,
        },
        "max_wrong_hits": promise.max_wrong,
        "promise_broken": promise.is_broken,
        "hits": _show_standing(standing),
        "labels": _count(await service.store.labels(route.name)),
    }


def _show_standing(standing: Standing) -> dict[str, Any]:
    """Since the rule came in force. judged: a random sample, so that the share of wrong ones is that of all hits, which
    with 95 % confidence is at most `wrong_share_at_most`. given: all, and those that clients or people called wrong.
    """
    judged, called = standing.judged, standing.called
    return {
        "judged": judged.hits,
        "judged_wrong": judged.wrong,
        "wrong_share": round(judged.wrong / judged.hits, 4) if judged.hits else None,
        "wrong_share_at_most": round(upper_bound(judged.wrong, judged.hits, CONFIDENCE), 4),
        "given": called.hits,
        "called_wrong": called.wrong,
        "evidence": round(max(standing.by_judge.now, standing.by_others.now), 2),
    }


def _count(labels: Iterable[Label]) -> dict[str, dict[str, int]]:
    """By who said them: how many right and wrong."""
    counts = Counter((label.by, "right" if label.right else "wrong") for label in labels)
    return {by: {word: counts[by, word] for word in ("right", "wrong")} for by in sorted({by for by, _ in counts})}


def _show_label(label: Label) -> dict[str, Any]:
    return {
        "question": label.text,
        "entry": label.answer_id,
        "verdict": "right" if label.right else "wrong",
        "by": label.by,
        "time": utc(label.created_at),
        "note": label.note,
        "similarity": None if label.similarity is None else round(label.similarity, 4),
    }
