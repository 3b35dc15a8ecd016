"""What this process has open, as it is when somebody asks: desks, connections, venues, sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.watched import WatchedBroker
from trading_core.domain.market import ReadingState

if TYPE_CHECKING:
    from graph.runs.desks import Desks
    from trading_core.persistence.session import Database

_MILLI = 1_000


class ProcessState(Collector):
    """Gauges over what is in memory; nothing is read from anywhere."""

    def __init__(self, database: Database, desks: Desks) -> None:
        self._database, self._desks = database, desks

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the desks."""
        return ()

    def collect(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily("algotrendy_database_connections", "Connections to the ledger.", labels=("state",))
        pool = self._database.connections
        connections.add_metric(("in_use",), pool.in_use)
        connections.add_metric(("idle",), pool.idle)
        yield connections
        yield GaugeMetricFamily(
            "algotrendy_database_connections_kept", "Connections that are kept open at most.", value=pool.kept
        )
        yield from self._of_desks()

    def _of_desks(self) -> Iterator[Metric]:
        held = GaugeMetricFamily("algotrendy_desk_held", "1 for each account that this process runs.", labels=("account",))
        latency = GaugeMetricFamily(
            "algotrendy_venue_call_latency_seconds",
            "Time of a venue's newest calls that this share of them did not exceed.",
            labels=("account", "venue", "call", "percentile"),
        )
        breaker = GaugeMetricFamily(
            "algotrendy_venue_breaker_state", "1 for the state of the venue's breaker.", labels=("account", "venue", "state")
        )
        channels = GaugeMetricFamily(
            "algotrendy_channel_state", "1 for the state that a source is in.", labels=("account", "source", "kind", "state")
        )
        for account_id in self._desks.accounts:
            system = self._desks.get(account_id)
            if system is None:
                continue
            held.add_metric((account_id,), 1)
            broker = system.broker
            if isinstance(broker, WatchedBroker):
                for call, took in broker.latencies.all().items():
                    for name, value in (("p50", took.p50), ("p90", took.p90), ("p99", took.p99)):
                        latency.add_metric((account_id, broker.venue, call.value, name), value / _MILLI)
                for state in BreakerState:
                    is_in = float(broker.breaker.state is state)
                    breaker.add_metric((account_id, broker.venue, state.value), is_in)
            for status in system.hub.statuses() if system.hub is not None else ():
                for reading in ReadingState:
                    is_in = float(status.state is reading)
                    channels.add_metric((account_id, status.source, status.kind.value, reading.value), is_in)
        yield from (held, latency, breaker, channels)
