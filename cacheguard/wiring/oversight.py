"""Who looks at decisions, and what follows from verdicts."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from cacheguard.border import Border
from cacheguard.oversight.entries import Entries
from cacheguard.oversight.feedback import Feedback
from cacheguard.oversight.promises import Promise, Promises
from cacheguard.oversight.review import Review
from cacheguard.oversight.sampling import Oversight, Sample
from cacheguard.oversight.verdicts import Verdicts
from cacheguard.rules import InForce

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cacheguard import settings as configured
    from cacheguard.cascade.cascade import Cascade
    from cacheguard.cascade.spending import Ledger
    from cacheguard.routes import Route, Routes
    from cacheguard.stores.base import Store
    from cacheguard.telemetry.events import Telemetry
    from cacheguard.upstream import Upstream
    from embeddings.base import Embedder


class Overseers(NamedTuple):
    """All that hear or say verdicts, over one store."""

    oversight: Oversight
    feedback: Feedback
    review: Review
    entries: Entries
    promises: Promises


def make_overseers(
    settings: configured.Settings,
    routes: Routes,
    *,
    store: Store,
    embedder: Embedder,
    cascade: Cascade,
    ledger: Ledger,
    upstream: Upstream,
    telemetry: Telemetry,
    now: Callable[[], float],
) -> Overseers:
    """Of a service that has begun: judges wait for work at once."""
    border = Border(telemetry)
    by_name = {route.name: _promise(settings, route) for route in routes}
    telemetry.watch_promises(by_name)
    promises = Promises(by_name, store, telemetry, border, now)
    verdicts = Verdicts(store, embedder, promises, now)
    oversight = Oversight(
        _samples(settings, cascade),
        store=store,
        cascade=cascade,
        ledger=ledger,
        upstream=upstream,
        promises=promises,
        verdicts=verdicts,
        counter=telemetry,
        border=border,
        random=Random(),
        now=now,
    )
    entries = Entries(store, verdicts, now)
    return Overseers(oversight, Feedback(store, verdicts), Review(store, verdicts), entries, promises)


def _promise(settings: configured.Settings, route: Route) -> Promise:
    rule = route.rule if isinstance(route.rule, InForce) else None
    return Promise(settings.routes[route.name].cache.max_wrong_hits, rule)


def _samples(settings: configured.Settings, cascade: Cascade) -> Mapping[str, Sample]:
    judges = {name: route.cache.judge for name, route in settings.routes.items()}
    return {
        name: Sample(cascade.tiers[judge.tier], judge.hits, judge.near_misses)
        for name, judge in judges.items()
        if judge is not None
    }
