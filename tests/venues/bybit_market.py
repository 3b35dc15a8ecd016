"""Bybit's public data: filters, ticker, book, tape and candles of the engine, in its own rows.

Source: https://bybit-exchange.github.io/docs/v5/market/instrument, and `tickers`, `orderbook`, `recent-trade`, `kline` beside it.
"""

from __future__ import annotations

from tests.venues.bars import Bar, bars
from tests.venues.bybit_orders import FIRST_TRADE, BybitError, Row, text
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Market, Print, Side

DAY_MS = 86_400_000
INTERVALS = {name: int(name) * 60_000 for name in ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720")} | {"D": DAY_MS}
Levels = list[list[str]]


def market_id(market: Market) -> str:
    return market.base + market.quote


def instrument_row(market: Market) -> Row:
    """As `instruments-info` shows it."""
    return {
        "symbol": market_id(market),
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "lotSizeFilter": {
            "basePrecision": text(market.lot),
            "quotePrecision": "0.00000001",
            "minOrderQty": text(market.min_quantity),
            "maxOrderQty": text(market.max_quantity),
            "minOrderAmt": text(market.min_notional),
            "maxOrderAmt": text(market.max_notional),
        },
        "priceFilter": {"tickSize": text(market.tick)},
    }


def day_row(exchange: Exchange, market: Market, now_ms: int) -> Row:
    """The rolling 24 hours, as the stream of tickers shows them: without the book."""
    prints = [done for done in exchange.tape[market.symbol] if done.at_ms > now_ms - DAY_MS]
    prices = [done.price for done in prints] or [ZERO]
    return {
        "symbol": market_id(market),
        "lastPrice": text(prices[-1]),
        "highPrice24h": text(max(prices)),
        "lowPrice24h": text(min(prices)),
        "prevPrice24h": text(prices[0]),
        "volume24h": text(sum((done.quantity for done in prints), ZERO)),
        "turnover24h": text(sum((done.quantity * done.price for done in prints), ZERO)),
        "price24hPcnt": text(round((prices[-1] - prices[0]) / prices[0], 4) if prices[0] else ZERO),
        "usdIndexPrice": text(prices[-1]),
    }


def ticker_row(exchange: Exchange, market: Market, now_ms: int) -> Row:
    """As `tickers` shows it; an empty side of the book is a price of zero."""
    bid, ask = (next(iter(exchange.book(market.symbol, side)), (ZERO, ZERO)) for side in (Side.BUY, Side.SELL))
    best = {
        "bid1Price": text(bid[0]),
        "bid1Size": text(bid[1]),
        "ask1Price": text(ask[0]),
        "ask1Size": text(ask[1]),
    }
    return day_row(exchange, market, now_ms) | best


def levels(exchange: Exchange, market: Market, side: Side, depth: int) -> Levels:
    return [[text(price), text(quantity)] for price, quantity in exchange.book(market.symbol, side)[:depth]]


def book(exchange: Exchange, market: Market, depth: int, now_ms: int) -> Row:
    return {
        "s": market_id(market),
        "b": levels(exchange, market, Side.BUY, depth),
        "a": levels(exchange, market, Side.SELL, depth),
        "ts": now_ms,
        "u": len(exchange.orders),
        "seq": len(exchange.orders),
        "cts": now_ms,
    }


def print_id(done: Print) -> str:
    return str(FIRST_TRADE + 2 * done.number)


def tape_rows(exchange: Exchange, market: Market, limit: int) -> list[Row]:
    """Youngest first."""
    done = [row for row in exchange.tape[market.symbol] if row.quantity][-limit:]
    return [
        {
            "execId": print_id(row),
            "symbol": market_id(market),
            "price": text(row.price),
            "size": text(row.quantity),
            "side": row.taker.value.capitalize(),
            "time": str(row.at_ms),
            "isBlockTrade": False,
        }
        for row in reversed(done)
    ]


def candles(
    exchange: Exchange, market: Market, interval: str, now_ms: int, start: int | None, end: int | None, limit: int
) -> list[list[str]]:
    """Start, open, high, low, close, volume and turnover; youngest first."""
    if interval not in INTERVALS:
        raise BybitError(10001, "Invalid period!")
    return [_candle(bar) for bar in reversed(bars(exchange.tape[market.symbol], INTERVALS[interval], now_ms, start, end, limit))]


def _candle(bar: Bar) -> list[str]:
    prices = (text(price) for price in (bar.open, bar.high, bar.low, bar.close))
    return [str(bar.opened_ms), *prices, text(bar.volume()), text(bar.cost())]
