"""Every setting, as one tree.

What is wrong with a section alone is refused there; what lies between two sections, by a validator of the later
one here, so that a single pass finds the problems of all.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from cacheguard.settings.providers import Provider
from cacheguard.settings.routes import Route
from cacheguard.settings.service import Auth, Embedding, Index, Server, Store
from cacheguard.settings.suiting import check_judges, check_strategies, check_templates, check_tiers
from cacheguard.settings.tiers import ModelTier, TemplateTier, Tier
from cacheguard.settings.values import Name, Section, refuse, refuse_unknown

DEFAULT_ROUTE = "default"


class Settings(Section):
    server: Server = Server()
    """Where and how the service listens."""
    auth: Annotated[Auth, Field(validate_default=True)] = Auth()
    """Who may ask."""
    store: Store = Store()
    """Where answers are kept."""
    index: Index = Index()
    """How neighbours are found."""
    embedding: Embedding = Embedding()
    """What makes vectors of questions."""
    providers: dict[Name, Provider] = Field(default_factory=dict)
    """Model servers, by name."""
    tiers: Annotated[dict[Name, Tier], Field(min_length=1)]
    """What may answer a question, by name."""
    routes: dict[Name, Route] = Field(default_factory=dict, validate_default=True)
    """Kinds of requests, by name. The route `default` takes what fits no other; where it is missing, it
    is added and asks every tier in the order of `tiers`, templates last."""

    @field_validator("auth")
    @classmethod
    def _open_only_on_purpose(cls, auth: Auth, info: ValidationInfo) -> Auth:
        server: Server | None = info.data.get("server")
        if server and not server.is_local and auth.mode == "keys" and not auth.keys:
            raise ValueError(
                f"has no keys, but server.host {server.host!r} lets other machines in: add auth.keys, "
                "or say auth: {mode: none}"
            )
        return auth

    @field_validator("store")
    @classmethod
    def _workers_share_it(cls, store: Store, info: ValidationInfo) -> Store:
        server: Server | None = info.data.get("server")
        if server and server.workers > 1 and not store.is_lasting:
            refuse(("url",), f"can't be shared by server.workers, {server.workers}; use sqlite:///PATH or redis://HOST")
        return store

    @field_validator("index")
    @classmethod
    def _is_somewhere(cls, index: Index, info: ValidationInfo) -> Index:
        store: Store | None = info.data.get("store")
        if index.backend == "redis" and not index.url and store and store.redis is None:
            refuse(("url",), "is missing: the store is no Redis, so say which one holds the vectors, redis://HOST:PORT")
        return index

    @field_validator("tiers")
    @classmethod
    def _providers_are_known(cls, tiers: dict[str, Tier], info: ValidationInfo) -> dict[str, Tier]:
        known = info.data.get("providers")
        if known is not None:
            models = [(name, tier) for name, tier in tiers.items() if isinstance(tier, ModelTier)]
            refuse_unknown([(n, "provider") for n, tier in models if tier.provider not in known], known)
            for name, tier in models:
                if not tier.model and known[tier.provider].kind != "http":
                    refuse((name, "model"), "is missing")
        return tiers

    @field_validator("routes")
    @classmethod
    def _models_have_one_route(cls, routes: dict[str, Route]) -> dict[str, Route]:
        taken: dict[str, str] = {}
        for name, route in routes.items():
            for place, pattern in enumerate(route.models):
                if pattern in taken:
                    refuse((name, "models", place), f"is {pattern!r}, which route {taken[pattern]!r} takes")
                taken[pattern] = name
        return routes

    @field_validator("routes")
    @classmethod
    def _tiers_can_answer(cls, routes: dict[str, Route], info: ValidationInfo) -> dict[str, Route]:
        known = info.data.get("tiers")
        if known is None:
            return routes
        for check in (check_tiers, check_templates, check_strategies, check_judges):
            check(routes, known)
        if DEFAULT_ROUTE in routes:
            return routes
        templates_last = sorted(known, key=lambda name: isinstance(known[name], TemplateTier))
        return {**routes, DEFAULT_ROUTE: Route(tiers=tuple(templates_last))}
