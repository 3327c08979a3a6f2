"""What may be spent: a request's own budget, and limits of routes and tenants in windows of the calendar.

The cost of a call is reserved before it and settled after it. Time is an argument, in Unix seconds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, NamedTuple, assert_never

from cacheguard.stores.base import Account, SpendingKey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from cacheguard.stores.base import Spending


class Window(NamedTuple):
    """Where it begins, and where the next one does: Unix seconds."""

    since: int
    until: int


class Period(StrEnum):
    """A stretch of the calendar, in UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def window(self, now: float) -> Window:
        """The one that holds `now`."""
        hour = datetime.fromtimestamp(now, UTC).replace(minute=0, second=0, microsecond=0)
        match self:
            case Period.HOUR:
                begin, end = hour, hour + timedelta(hours=1)
            case Period.DAY:
                begin = hour.replace(hour=0)
                end = begin + timedelta(days=1)
            case Period.MONTH:
                begin = hour.replace(day=1, hour=0)
                end = (begin + timedelta(days=31)).replace(day=1)
            case _:
                assert_never(self)
        return Window(int(begin.timestamp()), int(end.timestamp()))


# A clock that goes back comes to earlier windows again.
REMEMBERED_S = 7 * 86400.0
_HOW_OFTEN = {Period.HOUR: "hourly", Period.DAY: "daily", Period.MONTH: "monthly"}


@dataclass(frozen=True, slots=True)
class Limit:
    """US dollars in each window of a period."""

    usd: float
    per: Period


class Standing(NamedTuple):
    """Of an account in its present window. spent_usd: as last heard of others, and what is reserved here included."""

    account: Account
    limit: Limit
    window: Window
    spent_usd: float


@dataclass(slots=True)
class _Spent:
    """US dollars in one window. own: by this process, what it reserves included. told: of own, what the store knows."""

    own: float = 0.0
    told: float = 0.0
    others: float = 0.0
    under_way: int = 0

    @property
    def usd(self) -> float:
        return self.own + self.others

    @property
    def is_told(self) -> bool:
        return not self.under_way and self.own == self.told


class _Wall(NamedTuple):
    """A limit and what was spent of it. resets_at: when its window ends."""

    most_usd: float
    spent: _Spent
    why: str
    resets_at: float = inf

    def stops(self, usd: float) -> bool:
        return usd > 0 and self.spent.usd + usd > self.most_usd

    def opens_at(self, usd: float) -> float:
        """When there may be room again; never for what is more than the whole limit."""
        return self.resets_at if usd <= self.most_usd else inf


class Ledger:
    """What accounts with a limit have spent: by this process, and by those that share its store, as last heard.

    What is reserved is told to the store as spent, and corrected when it is settled: the others know of it, and a
    process that dies has paid for the calls that it had under way.
    """

    def __init__(self, limits: Mapping[Account, Limit]) -> None:
        self._limits = limits
        self._windows: defaultdict[SpendingKey, _Spent] = defaultdict(_Spent)

    def purse(self, tenant: str, route: str, most_usd: float | None, now: float) -> Purse:
        """For one request, which spends in the windows that it came in. most_usd: its own budget; None: no limit."""
        accounts = (Account("tenant", tenant), Account("route", route))
        return Purse(self, accounts, inf if most_usd is None else most_usd, now)

    def purse_of(self, account: Account, now: float) -> Purse:
        """For calls that answer no request."""
        return Purse(self, (account,), inf, now)

    def walls(self, accounts: Collection[Account], now: float) -> Iterator[_Wall]:
        """Of those accounts that have a limit."""
        for account in accounts:
            if limit := self._limits.get(account):
                window = limit.per.window(now)
                spent = self._windows[SpendingKey(account, limit.per, window.since)]
                why = f"the {_HOW_OFTEN[limit.per]} spending limit of {account.kind} '{account.name}'"
                yield _Wall(limit.usd, spent, why, window.until)

    def standings(self, now: float) -> Iterator[Standing]:
        """Of all accounts with a limit."""
        for account, limit in self._limits.items():
            window = limit.per.window(now)
            spent = self._windows.get(SpendingKey(account, limit.per, window.since))
            yield Standing(account, limit, window, spent.usd if spent else 0.0)

    async def exchange(self, store: Spending, now: float) -> None:
        """Tell the store what was spent here since the last time, and hear what was in all. Raises StoreError."""
        current = {SpendingKey(who, limit.per, limit.per.window(now).since) for who, limit in self._limits.items()}
        untold = {key for key, spent in self._windows.items() if not spent.is_told}
        news = {key: self._windows[key].own - self._windows[key].told for key in current | untold}
        if not news:
            return
        for key in news:
            self._windows[key].told = self._windows[key].own
        try:
            sums = await store.add_spending(news)
        except Exception:
            for key, usd in news.items():
                self._windows[key].told -= usd
            raise
        for key, usd in sums.items():
            self._windows[key].others = usd - self._windows[key].told
        for key in [key for key, spent in self._windows.items() if spent.is_told and key not in current]:
            if key.since < now - REMEMBERED_S:
                del self._windows[key]


class Purse:
    """What one request may spend.

    why: the limit that was last in the way. resets_in_s: counted from when the request came; None: never.
    """

    def __init__(self, ledger: Ledger, accounts: Collection[Account], most_usd: float, now: float) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._own = _Wall(most_usd, _Spent(), "the request's cost budget")
        self._now = now
        self.why = ""
        self.resets_in_s: float | None = None

    def reserve(self, usd: float) -> Reservation | None:
        """Set aside what a call may cost, before it; None: a limit would be passed. What costs nothing is granted."""
        walls = [self._own, *self._ledger.walls(self._accounts, self._now)]
        if in_the_way := [wall for wall in walls if wall.stops(usd)]:
            last = max(in_the_way, key=lambda wall: wall.opens_at(usd))
            wait_s = last.opens_at(usd) - self._now
            self.why, self.resets_in_s = last.why, None if wait_s == inf else wait_s
            return None
        return Reservation(usd, [wall.spent for wall in walls])


class Reservation:
    """Money set aside for one call. Whoever made the call settles it, whatever came of it."""

    def __init__(self, usd: float, spent: Collection[_Spent]) -> None:
        self._usd = usd
        self._spent = spent
        self._is_settled = False
        for each in spent:
            each.own += usd
            each.under_way += 1

    def settle(self, usd: float) -> None:
        """What the call did cost, which may be more. What is said first counts."""
        if self._is_settled:
            return
        self._is_settled = True
        for each in self._spent:
            each.own += usd - self._usd
            each.under_way -= 1
