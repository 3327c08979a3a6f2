"""Which route a request takes, and what the route says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from cacheguard.errors import UnknownRoute
from cacheguard.matching.guards.personal import is_personal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cacheguard.cascade.plan import Plan
    from cacheguard.matching.decide import Rule
    from cacheguard.matching.freshness import Terms
    from cacheguard.question import Context, Question

DEFAULT = "default"


class Mode(StrEnum):
    """What a route does with the cache."""

    READ_WRITE = "read-write"
    READ_ONLY = "read-only"
    WRITE_ONLY = "write-only"
    OFF = "off"

    @property
    def reads(self) -> bool:
        return self in {Mode.READ_WRITE, Mode.READ_ONLY}

    @property
    def writes(self) -> bool:
        return self in {Mode.READ_WRITE, Mode.WRITE_ONLY}


@dataclass(frozen=True, slots=True)
class Route:
    """models: patterns of request models that take it. plan: how its tiers are asked.

    heeds_personal: what one person asks about their own data is not kept.
    """

    name: str
    models: tuple[str, ...]
    plan: Plan
    mode: Mode
    terms: Terms
    rule: Rule
    context: Context
    refresh_ahead_hits: int | None = None
    heeds_personal: bool = True

    def bypass_reason(self, question: Question) -> str | None:
        """Why a question on this route passes the cache by, or None: nobody else may get, or share, what it is told."""
        if self.mode is Mode.OFF:
            return "off"
        return "personal" if self.heeds_personal and is_personal(question) else None


class Routes:
    """All routes by name."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_name = {route.name: route for route in routes}

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_name.values())

    def named(self, name: str) -> Route:
        """Raises UnknownRoute."""
        route = self._by_name.get(name)
        if route is None:
            raise UnknownRoute(f"there is no route '{name}'; known: {', '.join(self._by_name)}")
        return route

    def choose(self, name: str | None, model: str) -> Route:
        """By name where the request says one, else by the model's first fitting pattern or route name, else `default`.

        Raises UnknownRoute.
        """
        if name is not None:
            return self.named(name)
        for route in self:
            if any(fnmatchcase(model, pattern) for pattern in route.models):
                return route
        if model in self._by_name:
            return self._by_name[model]
        if DEFAULT in self._by_name:
            return self._by_name[DEFAULT]
        raise UnknownRoute(
            f"no route takes model '{model}' and there is no route '{DEFAULT}'; known: {', '.join(self._by_name)}"
        )
