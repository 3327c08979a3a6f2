"""Who may spend how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheguard.cascade.spending import Ledger, Limit, Period
from cacheguard.stores.base import Account

if TYPE_CHECKING:
    from cacheguard import settings as configured


def make_ledger(settings: configured.Settings) -> Ledger:
    """For the routes, their judges, and the tenants that have a limit."""
    spenders = {
        **{Account("route", name): route.spending for name, route in settings.routes.items()},
        **{
            Account("judge", name): route.cache.judge.spending
            for name, route in settings.routes.items()
            if route.cache.judge
        },
        **{Account("tenant", name): tenant.spending for name, tenant in settings.auth.tenants.items()},
    }
    return Ledger(
        {
            account: Limit(spending.limit_usd, Period(spending.per))
            for account, spending in spenders.items()
            if spending.limit_usd is not None
        }
    )
