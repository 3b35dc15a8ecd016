"""What is on record, as gauges. They say the same in every process over one ledger: take `max by (account)`, not `sum`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.orders import OrderState
from trading_core.persistence.figures import AccountFigures
from trading_core.persistence.records import OPEN_STATES, RunKind
from trading_core.persistence.session import Database
from trading_core.risk.state import TradingState

FRESH_SECONDS = 5.0
"""How long one reading of the ledger is used again, however many scrape."""

MOST_BEHIND = 1_000

_log = logging.getLogger("algotrendy.metrics")


@dataclass(frozen=True, slots=True)
class Counted:
    """Up to which position of the event log the events of these accounts are counted."""

    accounts: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class _Reading:
    accounts: tuple[AccountFigures, ...]
    position: int
    behind: int | None
    read_at: float


class LedgerCollector(Collector):
    """Gauges over the ledger. A registry collects without waiting, so that `refresh` is called before.

    Args:
        database: the ledger.
        counted: how far this process has counted; None where it counts nothing.
        monotonic: seconds that never step back.
    """

    def __init__(
        self, database: Database, counted: Callable[[], Counted | None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._counted, self._monotonic = database, counted, monotonic
        self._reading: _Reading | None = None
        self._lock = asyncio.Lock()
        self._failures = 0

    async def refresh(self) -> None:
        """Read the ledger, unless that was done a moment ago. A ledger that cannot be read leaves no gauges behind."""
        async with self._lock:
            now = self._monotonic()
            if self._reading is not None and now - self._reading.read_at < FRESH_SECONDS:
                return
            try:
                async with self._database.reading() as uow:
                    accounts = await uow.figures.of_accounts()
                    position, behind = await uow.events.last_position(), None
                    if (counted := self._counted()) is not None:
                        behind = len(await uow.events.after(counted.position, counted.accounts, MOST_BEHIND))
                self._reading = _Reading(accounts, position, behind, now)
            except AlgoTrendyError as error:  # an old number would look like a desk that stands still
                self._reading = None
                self._failures += 1
                _log.warning("the ledger could not be read for metrics: %s", error)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the accounts."""
        return ()

    def collect(self) -> Iterator[Metric]:
        failed = CounterMetricFamily("algotrendy_ledger_read_failures", "Scrapes for which the ledger could not be read.")
        failed.add_metric((), self._failures)
        yield failed
        if self._reading is not None:
            yield from _of_log(self._reading.position, self._reading.behind)
            yield from _of_accounts(self._reading.accounts)


def _of_log(position: int, behind: int | None) -> Iterator[Metric]:
    yield GaugeMetricFamily("algotrendy_event_log_position", "Position of the newest event on record.", value=position)
    if behind is not None:
        help_ = f"Events of its own accounts that this process has yet to follow, {MOST_BEHIND} at most."
        yield GaugeMetricFamily("algotrendy_event_log_lag_events", help_, value=behind)


def _of_accounts(accounts: tuple[AccountFigures, ...]) -> Iterator[Metric]:
    runs = _gauge("runs_open", "Runs that are not ended.", "kind", "state")
    orders = _gauge("orders", "Orders on record.", "state")
    approvals = _gauge("approvals_pending", "Intents that wait for an operator.")
    states = _gauge("trading_state", "1 for the state that the account is in.", "state")
    cycles = _gauge("last_cycle_timestamp_seconds", "When the last cycle that got done had ended, Unix time.")
    equity = _gauge("account_equity", "What the account was worth at the end of its last run.", "currency")
    exposure = _gauge("account_exposure", "Worth of what the account held beside its currency then.", "currency")
    worth_at = _gauge("account_worth_timestamp_seconds", "The instant that equity and exposure are of, Unix time.")
    for each in accounts:
        name = each.account_id
        for kind in RunKind:
            for run_state in OPEN_STATES:
                runs.add_metric((name, kind.value, run_state.value), each.open_runs.get((kind, run_state), 0))
        for order_state in OrderState:
            orders.add_metric((name, order_state.value), each.orders.get(order_state, 0))
        approvals.add_metric((name,), each.approvals_pending)
        for state in TradingState if each.trading_state else ():
            states.add_metric((name, state.value), float(each.trading_state == state.value))
        if each.last_cycle_at is not None:
            cycles.add_metric((name,), each.last_cycle_at.timestamp())
        if each.equity is not None and each.cash is not None and each.worth_at is not None:
            equity.add_metric((name, each.currency), float(each.equity))
            exposure.add_metric((name, each.currency), float(each.equity - each.cash))
            worth_at.add_metric((name,), each.worth_at.timestamp())
    yield from (runs, orders, approvals, states, cycles, equity, exposure, worth_at)


def _gauge(name: str, help_: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"algotrendy_{name}", help_, labels=("account", *labels))
