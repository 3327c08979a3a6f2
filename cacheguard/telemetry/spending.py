"""What was spent of each limit, read when somebody asks for the metrics: windows begin anew by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from cacheguard.cascade.spending import Standing

_WHOSE = ("kind", "name", "per")


class SpendingMetrics(Collector):
    """standings: of all accounts with a limit, now."""

    def __init__(self, standings: Callable[[], Iterable[Standing]]) -> None:
        self._standings = standings

    def describe(self) -> Iterator[Metric]:
        yield from _families()

    def collect(self) -> Iterator[Metric]:
        spent, limits = _families()
        for account, limit, _, spent_usd in self._standings():
            whose = (account.kind, account.name, limit.per)
            spent.add_metric(whose, spent_usd)
            limits.add_metric(whose, limit.usd)
        yield from (spent, limits)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily("cacheguard_spent_usd", "Spent in the limit's present window", labels=_WHOSE),
        GaugeMetricFamily("cacheguard_spending_limit_usd", "May be spent in each window", labels=_WHOSE),
    )
