"""A paper exchange on a simulated clock, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tests.unit.feeds import HOUR, START, BarFeed
from trading_core.brokers.base import OrderReport
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.market import Bar, Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, OrderRequest, OrderType, Side, TimeInForce

BTC, ETH = "BTC/USDT", "ETH/USDT"
LATENCY = timedelta(milliseconds=250)
DEPOSIT = Money(Decimal(100_000), "USDT")
# No impact and no luck: prices that can be worked out by hand.
PLAIN = PaperRules(impact_coefficient=Decimal(0), jitter=Decimal(0))


def instrument(symbol: str = BTC, fee_currency: FeeCurrency = FeeCurrency.RECEIVED) -> Instrument:
    d = Decimal
    return Instrument(symbol, d("0.01"), d("0.001"), d("0.001"), d(1), None, None, d("0.001"), d("0.002"), fee_currency)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def request(
    order_id: str,
    side: Side = Side.BUY,
    kind: OrderType = OrderType.MARKET,
    quantity: str = "1",
    *,
    limit: str | None = None,
    stop: str | None = None,
    tif: TimeInForce = TimeInForce.GTC,
    symbol: str = BTC,
    reduce_only: bool = False,
) -> OrderRequest:
    return OrderRequest(
        order_id,
        symbol,
        side,
        kind,
        Decimal(quantity),
        None if limit is None else Decimal(limit),
        None if stop is None else Decimal(stop),
        tif,
        reduce_only,
    )


@dataclass
class Exchange:
    broker: PaperBroker
    clock: SimulatedClock
    feed: BarFeed

    def go(self, hours: float) -> None:
        """Move the clock to `hours` after START."""
        self.clock.advance_to(at(hours))

    async def fills(self) -> Sequence[Fill]:
        return await self.broker.fills(since=START)

    async def report(self, order_id: str, symbol: str = BTC) -> OrderReport:
        found = await self.broker.order(order_id, symbol)
        assert found is not None
        return found

    async def free(self, asset: str) -> Decimal:
        return (await self.broker.balances())[asset].free


@asynccontextmanager
async def exchange(
    bars: Sequence[Bar],
    *,
    rules: PaperRules = PLAIN,
    start: float = 1,
    half_spread: str = "0",
    path: Path | None = None,
    deposit: Money = DEPOSIT,
    fee_currency: FeeCurrency = FeeCurrency.RECEIVED,
) -> AsyncIterator[Exchange]:
    """An exchange for BTC/USDT that opens one hour after START, when the first bar has closed."""
    feed = BarFeed([instrument(BTC, fee_currency)], {BTC: bars}, half_spread=half_spread)
    clock = SimulatedClock(at(start))
    store = PaperStore(path)
    broker = PaperBroker(feed, clock, Timeframe("1h"), account_id="paper-1", deposit=deposit, store=store, rules=rules)
    async with broker:
        yield Exchange(broker, clock, feed)
