"""A small desk for tools and agents: two markets, one holding, one resting stop, and a record that remembers nothing new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from agents.agent import AgentContext
from tests.unit.feeds import HOUR, START, BarFeed, bar
from tools.computed import Computed
from tools.context import Evidence, Facts
from trading_core.auth.permissions import Principal, operator
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, ChannelReport, Reading, ReadingState, Ticker, Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.snapshot import Snapshot
from trading_core.risk.limits import Limits

D = Decimal
BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"
BARS = 240
AS_OF = START + BARS * HOUR
INSTRUMENTS = {s: Instrument(s, D("0.01"), D("0.0001"), D("0.0001"), D(5)) for s in (BTC, ETH, SOL)}


def rising(count: int = BARS, start: int = 100) -> tuple[Bar, ...]:
    """Bars that climb half a unit an hour with a wobble, so that every indicator has something to say."""
    rows = []
    for index in range(count):
        close = D(start) + D(index) / 2 + D(index % 7) / 10
        rows.append(bar(index, str(close - D("0.3")), str(close + 1), str(close - 1), str(close), str(1000 + index % 13)))
    return tuple(rows)


def fill(
    side: Side = Side.BUY,
    quantity: Decimal | int | str = 1,
    price: Decimal | int | str = 100,
    *,
    symbol: str = BTC,
    fee: Decimal | int | str = 0,
    fee_asset: str = "USDT",
    trade_id: str = "t",
) -> Fill:
    return Fill(trade_id, "c", symbol, side, D(quantity), D(price), Money(D(fee), fee_asset), START)


def resting_stop(symbol: str = BTC) -> Order:
    request = OrderRequest("stop", symbol, Side.SELL, OrderType.STOP, D(2), stop_price=D(90), reduce_only=True)
    return Order(request, "paper", "i", "r", Purpose.STOP, START, OrderState.OPEN)


def snapshot(**changes: Any) -> Snapshot:
    """BTC is held and has a long history, ETH has five bars, SOL is listed and not part of the run."""
    bars = {BTC: rising(), ETH: rising(5)}
    last = bars[BTC][-1].close
    score = Reading("forum", BTC, "mood", D("0.25"), "score", AS_OF - HOUR, AS_OF - HOUR)
    known = Snapshot(
        as_of=AS_OF,
        timeframe=Timeframe("1h"),
        symbols=(BTC, ETH),
        instruments=INSTRUMENTS,
        tickers={
            BTC: Ticker(BTC, last - D("0.05"), last + D("0.05"), last, AS_OF),
            ETH: Ticker(ETH, D("101.9"), D("102.1"), D(102), AS_OF - timedelta(seconds=1)),
        },
        bars=bars,
        channels={
            f"sentiment:{BTC}": ChannelReport("sentiment", BTC, ReadingState.LIVE, "", (score,)),
            f"onchain:{BTC}": ChannelReport("onchain", BTC, ReadingState.OFF, "no key is set"),
        },
        portfolio=Portfolio.opened("paper", "USDT", D(1000)).after(fill(quantity=2, price=100), INSTRUMENTS[BTC]),
        open_orders=(resting_stop(),),
        state="active",
        drawdown=D("0.01"),
        limits={"risk_per_trade": "0.02", "drawdown": "0.1", "max_position": "0.25"},
        content_hash="a" * 64,
    )
    return replace(known, **changes)


class Memory:
    """A `RunRecord` of one decision and one order."""

    async def past_decisions(self, symbol: str, limit: int) -> list[Facts]:
        return [{"agent": "signal", "action": "hold", "symbol": symbol}][:limit]

    async def execution_quality(self, limit: int) -> list[Facts]:
        return [{"symbol": BTC, "slippage": 0.0004, "fill_ratio": 1.0}][:limit]


def context(
    known: Snapshot | None = None,
    *,
    principal: Principal | None = None,
    upstream: Mapping[str, Facts] | None = None,
    most_calls: int = 4,
) -> AgentContext:
    known = known or snapshot()
    return AgentContext(
        principal=principal or operator("tests", "paper"),
        run_id="run",
        snapshot=known,
        feed=BarFeed(tuple(INSTRUMENTS.values()), known.bars),
        limits=Limits(),
        record=Memory(),
        computed=Computed(known),
        upstream=upstream or {},
        most_calls=most_calls,
    )


def evidence(**result: object) -> tuple[Evidence, dict[str, Evidence]]:
    """One tool result and the evidence that holds it."""
    item = Evidence.of("tool", {}, result)
    return item, {item.id: item}
