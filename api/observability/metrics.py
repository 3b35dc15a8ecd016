"""The metrics of one process, in a registry of their own.

    metrics = Metrics()
    async with metrics.watching(database=…, log=…, desks=…):
        text, content_type = await metrics.exposition(accept)

Names and labels: docs/observability.md. A label has few values, all known beforehand: never a symbol, an id of a run or order, a
user, or a text that a model or a person wrote.
"""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from api.observability.following import following_log
from api.observability.ledger_metrics import LedgerCollector
from api.observability.process_metrics import ProcessState
from api.observability.run_metrics import RunMetrics

if TYPE_CHECKING:
    from graph.runs.desks import Desks
    from graph.runs.event_log import EventLog
    from trading_core.persistence.session import Database

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
UNMATCHED = "unmatched"


class Metrics:
    """Everything that this process counts. Nothing in it is shared with another instance."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.runs = RunMetrics(self.registry)
        self._ledger: LedgerCollector | None = None
        self._requests = Counter(
            "algotrendy_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._took = Histogram(
            "algotrendy_http_request_duration_seconds",
            "From a request's first byte to the last one of its answer. Streams are not in it.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._followers = Gauge(
            "algotrendy_stream_followers", "Clients that follow events just now.", ("transport",), registry=self.registry
        )
        for transport in ("sse", "websocket"):
            self._followers.labels(transport)
        build = Gauge(
            "algotrendy_build_info", "Always 1; what runs is in the labels.", ("version", "python"), registry=self.registry
        )
        build.labels(version("algotrendy"), platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def observe_request(self, route: str | None, method: str, status: int, seconds: float, *, streamed: bool = False) -> None:
        """Count an answered request.

        Args:
            route: the template, such as `/api/v1/accounts/{account}`, never the path itself; None where none matched.
            status: of the answer.
            seconds: that it took.
            streamed: whether it stayed open to tell events: how long a client listens says nothing of how fast the desk is.
        """
        name, verb = route or UNMATCHED, method if method in _METHODS else "other"
        self._requests.labels(verb, name, str(status)).inc()
        if not streamed:
            self._took.labels(verb, name).observe(seconds)

    @contextmanager
    def following(self, transport: str) -> Iterator[None]:
        """Count a client that follows events, for as long as it does.

        Args:
            transport: `sse` or `websocket`.
        """
        gauge = self._followers.labels(transport)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    @asynccontextmanager
    async def watching(self, *, database: Database, log: EventLog, desks: Desks) -> AsyncIterator[None]:
        """Count what the desks of this process do, and read what the ledger says when asked, until the block ends."""
        async with following_log(self.runs, database=database, log=log, desks=desks) as counted:
            self._ledger = LedgerCollector(database, counted)
            collectors = self._ledger, ProcessState(database, desks)
            for collector in collectors:
                self.registry.register(collector)
            try:
                yield
            finally:
                self._ledger = None
                for collector in collectors:
                    self.registry.unregister(collector)

    async def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, and the content type of that.

        Args:
            accept: what the scraper takes: Prometheus' own form, or OpenMetrics when it names that.
        """
        if self._ledger is not None:
            await self._ledger.refresh()
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
