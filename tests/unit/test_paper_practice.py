"""The paper exchange over a practice market: orders trade while a bar is still open, as its price moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data_channels.market.grid import floor_to_grid
from data_channels.market.practice import FINEST, PracticeFeed
from graph.config import SessionConfig
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.market import Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side, TimeInForce

BTC, HOUR = "BTC/USDT", Timeframe("1h")
START = datetime(2026, 1, 5, 10, 0, 30, tzinfo=UTC)
CLOSES = floor_to_grid(START, HOUR) + HOUR.length
LOT = Decimal("0.01")


async def low_of_the_hour() -> tuple[datetime, Decimal, Decimal]:
    """When the hour's low was touched, how low that was, and what the price was at first."""
    feed = PracticeFeed(3, (BTC,), HOUR, START, before=5, clock=SimulatedClock(CLOSES))
    minutes = [bar for bar in await feed.bars(BTC, FINEST, as_of=CLOSES, limit=60) if bar.opened_at > START]
    lowest = min(minutes, key=lambda bar: bar.low)
    first = await feed.ticker(BTC, as_of=START)
    assert first is not None
    return lowest.opened_at, lowest.low, first.last


def request(name: str, side: Side, kind: OrderType, quantity: Decimal = LOT, **prices: Decimal) -> OrderRequest:
    return OrderRequest(name, BTC, side, kind, quantity, time_in_force=TimeInForce.GTC, **prices)


@pytest.mark.parametrize("kind", ["stop", "limit"])
async def test_what_the_price_reaches_inside_a_bar_trades_within_a_minute(kind: str) -> None:
    config = SessionConfig.parse({"market": "practice", "symbols": (BTC,), "timeframe": "1h", "start": START})
    touched, low, first = await low_of_the_hour()
    assert START < touched < CLOSES - 2 * FINEST.length
    price = first + (low - first) * Decimal("0.95")
    price = price.quantize(Decimal("0.01"))
    clock = SimulatedClock(START)
    feed = PracticeFeed(3, (BTC,), HOUR, START, before=5, clock=clock)
    deposit, store = Money(Decimal(100_000), "USDT"), PaperStore()
    async with PaperBroker(
        feed, clock, config.matched, account_id="practice", deposit=deposit, store=store, rules=PaperRules()
    ) as broker:
        await broker.place(request("buy", Side.BUY, OrderType.MARKET))
        clock.advance_to(START + timedelta(seconds=1))
        bought = await broker.order("buy", BTC)
        assert bought is not None
        assert bought.state is OrderState.FILLED  # at once, at the price of this second
        if kind == "stop":
            order = request("it", Side.SELL, OrderType.STOP, LOT / 2, stop_price=price)  # the fee was taken off what was bought
        else:
            order = request("it", Side.BUY, OrderType.LIMIT, limit_price=price)
        await broker.place(order)
        while clock.now() < CLOSES - FINEST.length:
            clock.advance_to(clock.now() + timedelta(seconds=5))
            found = await broker.order("it", BTC)
            assert found is not None
            if found.state is OrderState.FILLED:
                break
        assert found.state is OrderState.FILLED
        assert clock.now() <= touched + 2 * FINEST.length
        assert clock.now() < CLOSES
