"""Sessions over years of real prices: nothing breaks, no order passes a limit, and every cent is accounted for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from data_channels.market.history import HistoryFeed
from graph.config import SessionConfig
from graph.report import export, report
from graph.session import trade
from graph.system import ACCOUNT, TradingSystem
from trading_core.domain.clock import to_ms
from trading_core.domain.market import Timeframe
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Fill, Order, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunState
from trading_core.risk.limits import Limits

CENT = Decimal("0.01")
NINE = tuple(f"{base}/USDT" for base in ("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "TRX", "BCH"))


async def _session(
    data: Path, home: Path, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime, **limits: object
) -> str:
    settings = SessionConfig.parse(
        {
            "market": "history",
            "data": str(data / "ohlcv"),
            "symbols": tuple(symbols),
            "timeframe": timeframe,
            "start": start,
            "end": end,
            "limits": {"approval_above_notional": None, **limits},
        }
    )
    async with TradingSystem.open(settings, home) as system:
        async for result in trade(system):
            assert result.state is RunState.DONE, result.error
        told = await report(system)
        assert told.balances_agree, "ledger and exchange agree to the last digit"
        async with system.database.reading() as uow:
            orders = await uow.orders.all(ACCOUNT)
            fills = await uow.fills.of_account(ACCOUNT)
            intents = {order.intent_id: await uow.intents.get(order.intent_id) for order in orders}
        assert isinstance(system.feed, HistoryFeed)
        _books_add_up(system, fills, told.equity)
        _entries_stay_inside(system, orders, fills, settings.limits.desk)
        _stops_are_honoured(system.feed, orders, fills)
        assert all(
            intent is not None and intent.stop_price is not None
            for intent in intents.values()
            if intent and intent.purpose is Purpose.ENTRY
        )
        assert orders
        return json.dumps(await export(system), sort_keys=True)


def _books_add_up(system: TradingSystem, fills: Sequence[Fill], equity: Decimal) -> None:
    """Recompute everything from the fills alone, in another way than the ledger does."""
    config, instruments = system.config, system.desk.instruments
    folded = Portfolio.opened(ACCOUNT, config.currency, config.deposit).after_all(fills, instruments)
    cash = config.deposit
    held: dict[str, Decimal] = {}
    for fill in fills:
        sign = 1 if fill.side is Side.BUY else -1
        cash -= sign * fill.quantity * fill.price
        held[fill.symbol] = held.get(fill.symbol, ZERO) + sign * fill.quantity
        if fill.fee.asset == config.currency:
            cash -= fill.fee.amount
        else:
            held[fill.symbol] -= fill.fee.amount
    assert folded.cash == cash
    assert cash >= 0
    assert all(quantity >= 0 for quantity in held.values())
    assert {s: p.quantity for s, p in folded.positions.items()} == held
    told = cash + sum((held[h.symbol] * h.price for h in _holdings(system, held)), ZERO)
    assert abs(told - equity) < CENT
    invested = sum((position.cost for position in folded.positions.values()), ZERO)
    # What came in, less what the holdings cost, plus what sales brought, is the cash: fees are inside cost and proceeds.
    assert abs(config.deposit - invested + folded.realised - cash) < CENT


def _holdings(system: TradingSystem, held: dict[str, Decimal]) -> list[_Held]:
    assert isinstance(system.feed, HistoryFeed)
    found = []
    for symbol in held:
        ticker = system.feed.series(symbol).ticker(system.clock.now())
        assert ticker is not None
        found.append(_Held(symbol, ticker.last))
    return found


class _Held:
    def __init__(self, symbol: str, price: Decimal) -> None:
        self.symbol, self.price = symbol, price


def _entries_stay_inside(system: TradingSystem, orders: Sequence[Order], fills: Sequence[Fill], limits: Limits) -> None:
    """At every entry, valued at the bars known then: position, exposure, cash reserve and order size within the limits."""
    assert isinstance(system.feed, HistoryFeed)
    portfolio = Portfolio.opened(ACCOUNT, system.config.currency, system.config.deposit)
    entries = {order.client_order_id: order for order in orders if order.side is Side.BUY}
    for fill in fills:
        portfolio = portfolio.after(fill, system.desk.instruments[fill.symbol])
        order = entries.get(fill.client_order_id)
        if order is None:
            continue
        tickers = {symbol: system.feed.series(symbol).ticker(order.created_at) for symbol in portfolio.held()}
        prices = {symbol: ticker.last for symbol, ticker in tickers.items() if ticker is not None}
        equity = portfolio.equity(prices)
        values = {symbol: position.value(prices[symbol]) for symbol, position in portfolio.held().items()}
        assert order.request.limit_price is not None
        assert fill.price <= order.request.limit_price, "never more than was approved"
        assert order.request.quantity * order.request.limit_price <= limits.max_order_notional
        slack = Decimal("1.0001")  # equity is taken after the fee here and before it by the gate
        assert values[fill.symbol] <= equity * limits.max_position * slack
        assert sum(values.values(), ZERO) <= equity * limits.max_exposure * slack
        assert portfolio.cash >= equity * limits.cash_reserve / slack


def _stops_are_honoured(feed: HistoryFeed, orders: Sequence[Order], fills: Sequence[Fill]) -> None:
    """A stop is never filled better than its price, and at a gap no better than the open; none sleeps through its price."""
    by_order = {order.client_order_id: order for order in orders if order.request.type is OrderType.STOP}
    for fill in fills:
        order = by_order.get(fill.client_order_id)
        if order is None or order.request.stop_price is None:
            continue
        assert fill.price <= order.request.stop_price
        # A stop that is touched within a bar is stamped with that bar's end; one that opens through it, with the open.
        around = feed.series(fill.symbol).between(fill.at - feed.timeframe.length, fill.at + feed.timeframe.length)
        touched = [bar for bar in around if bar.opened_at < fill.at and bar.low <= order.request.stop_price]
        opened = [bar for bar in around if bar.opened_at == fill.at]
        if opened and not touched and opened[0].open < order.request.stop_price:
            assert fill.price <= opened[0].open, "through a gap it is filled at the open or worse"
    for order in by_order.values():
        if order.filled or order.request.stop_price is None:
            continue
        ended = order.updated_at or order.created_at
        lived = feed.series(order.symbol).between(order.created_at + feed.timeframe.length, ended)
        assert all(bar.low > order.request.stop_price for bar in lived), "a stop that was touched was filled"


def _cut(years: Path, folder: Path, start: datetime, end: datetime) -> None:
    """The hours around a crash out of files of many years, which take seconds to read."""
    folder.mkdir()
    for file in years.glob("*_1h.csv.gz"):
        header, *rows = gzip.decompress(file.read_bytes()).decode().splitlines()
        kept = [row for row in rows if to_ms(start) <= int(row.partition(",")[0]) < to_ms(end)]
        (folder / file.name).write_bytes(gzip.compress("\n".join([header, *kept]).encode(), 1))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2021, 5, 10, tzinfo=UTC), datetime(2021, 5, 12, 12, tzinfo=UTC)),
        pytest.param(datetime(2021, 5, 10, tzinfo=UTC), datetime(2021, 5, 25, tzinfo=UTC), marks=pytest.mark.slow),
        pytest.param(datetime(2022, 11, 1, tzinfo=UTC), datetime(2022, 11, 15, tzinfo=UTC), marks=pytest.mark.slow),
    ],
    ids=lambda value: f"{value:%Y-%m-%d}",
)
async def test_hourly_crashes(shared_data: Path, tmp_path: Path, start: datetime, end: datetime) -> None:
    _cut(shared_data / "ohlcv", tmp_path / "ohlcv", start - timedelta(days=60), end + timedelta(days=1))
    first = await _session(tmp_path, tmp_path / "one", ("BTC/USDT", "ETH/USDT"), "1h", start, end)
    again = await _session(tmp_path, tmp_path / "two", ("BTC/USDT", "ETH/USDT"), "1h", start, end)
    assert first == again, "the same command gives the same bytes"


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"drawdown": "0.9", "daily_loss": "0.5"}], ids=["default", "loss limits wide open"])
async def test_nine_symbols_over_eight_years(shared_data: Path, tmp_path: Path, limits: dict[str, object]) -> None:
    start, end = datetime(2018, 1, 1, tzinfo=UTC), datetime(2025, 9, 30, tzinfo=UTC)
    await _session(shared_data, tmp_path, NINE, "1d", start, end, **limits)


def test_the_years_hold_a_real_gap(shared_data: Path) -> None:
    feed = HistoryFeed.load(shared_data / "ohlcv", timeframe=Timeframe("1h"), symbols=("BTC/USDT",))
    assert max(gap.missing for gap in feed.gaps("BTC/USDT")) >= 32
