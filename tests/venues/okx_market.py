"""OKX's public data: instruments, tickers, books, tape and candles of the engine, in its own rows.

Source: https://www.okx.com/docs-v5/en/ (order book trading: market data; public data: get instruments).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Market, Print, Side
from tests.venues.okx_orders import Row, bad, instrument_id, text

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
BARS = {
    **{f"{count}m": count * MINUTE_MS for count in (1, 3, 5, 15, 30)},
    **{f"{count}H": count * HOUR_MS for count in (1, 2, 4)},
    **{f"{count}Hutc": count * HOUR_MS for count in (6, 12)},
    "1Dutc": DAY_MS,
}
"""Lengths by name; those without `utc` from six hours on begin at midnight of Hong Kong, and are not served here."""


def instrument_row(market: Market) -> Row:
    most, dearest = text(market.max_quantity), text(market.max_notional)
    empty = ("alias", "auctionEndTime", "ctMult", "ctType", "ctVal", "ctValCcy", "expTime", "instFamily", "lever", "optType")
    return dict.fromkeys((*empty, "settleCcy", "stk", "uly"), "") | {
        "baseCcy": market.base,
        "category": "1",
        "instId": instrument_id(market),
        "instType": "SPOT",
        "listTime": "1548133413000",
        "lotSz": text(market.lot),
        "maxIcebergSz": most,
        "maxLmtAmt": dearest,
        "maxLmtSz": most,
        "maxMktAmt": dearest,
        "maxMktSz": dearest,
        "maxStopSz": dearest,
        "maxTriggerSz": most,
        "maxTwapSz": most,
        "minSz": text(market.min_quantity),
        "quoteCcy": market.quote,
        "ruleType": "normal",
        "state": "live",
        "tickSz": text(market.tick),
    }


def best(exchange: Exchange, market: Market, side: Side) -> tuple[Decimal | None, Decimal | None]:
    """Price and quantity; None where nobody offers."""
    return next(iter(exchange.book(market.symbol, side)), (None, None))


def ticker_row(exchange: Exchange, market: Market, now_ms: int) -> Row:
    """The rolling 24 hours; zeros where nothing was printed."""
    prints = [done for done in exchange.tape[market.symbol] if done.at_ms > now_ms - DAY_MS]
    prices = [done.price for done in prints] or [ZERO]
    (bid, bid_size), (ask, ask_size) = (best(exchange, market, side) for side in (Side.BUY, Side.SELL))
    return {
        "instType": "SPOT",
        "instId": instrument_id(market),
        "last": text(prices[-1]),
        "lastSz": text(prints[-1].quantity if prints else ZERO),
        "askPx": text(ask),
        "askSz": text(ask_size),
        "bidPx": text(bid),
        "bidSz": text(bid_size),
        "open24h": text(prices[0]),
        "high24h": text(max(prices)),
        "low24h": text(min(prices)),
        "volCcy24h": text(sum((done.quantity * done.price for done in prints), ZERO)),
        "vol24h": text(sum((done.quantity for done in prints), ZERO)),
        "sodUtc0": text(prices[0]),
        "sodUtc8": text(prices[0]),
        "ts": str(now_ms),
    }


def levels(exchange: Exchange, market: Market, side: Side, most: int) -> list[list[str]]:
    """Price, quantity, a zero that means nothing any more, and the number of orders, best first."""
    return [[text(price), text(quantity), "0", "1"] for price, quantity in exchange.book(market.symbol, side)[:most]]


def book(exchange: Exchange, market: Market, now_ms: int, most: int) -> Row:
    asks, bids = (levels(exchange, market, side, most) for side in (Side.SELL, Side.BUY))
    return {"asks": asks, "bids": bids, "ts": str(now_ms), "seqId": len(exchange.orders)}


def trade_row(done: Print, market: Market) -> Row:
    return {
        "instId": instrument_id(market),
        "side": done.taker.value,
        "sz": text(done.quantity),
        "px": text(done.price),
        "tradeId": str(done.number),
        "ts": str(done.at_ms),
    }


def candles(
    exchange: Exchange, market: Market, bar: str, now_ms: int, older_than: int | None, newer_than: int | None, limit: int
) -> list[list[str]]:
    """Candles of the tape, newest first, the first still open; one without a print repeats the close with no volume."""
    if bar not in BARS:
        raise bad("bar")
    width, tape = BARS[bar], exchange.tape[market.symbol]
    if not tape:
        return []
    begin, end = tape[0].at_ms // width * width, now_ms // width * width
    if older_than is not None:
        end = min(end, (older_than - 1) // width * width)
    if newer_than is not None:
        begin = max(begin, (newer_than // width + 1) * width)
    begin = max(begin, end - (limit - 1) * width)
    buckets: dict[int, list[Print]] = {}
    for done in tape:
        buckets.setdefault(done.at_ms // width * width, []).append(done)
    close = next((done.price for done in reversed(tape) if done.at_ms < begin), tape[0].price)
    rows: list[list[str]] = []
    for opened in range(begin, end + 1, width):
        rows.append(_candle(opened, buckets.get(opened, ()), close, ended=opened + width <= now_ms))
        close = buckets[opened][-1].price if opened in buckets else close
    return rows[::-1]


def _candle(opened: int, prints: Sequence[Print], before: Decimal, *, ended: bool) -> list[str]:
    prices = [done.price for done in prints] or [before]
    volume = sum((done.quantity for done in prints), ZERO)
    cost = sum((done.quantity * done.price for done in prints), ZERO)
    marks = (prices[0], max(prices), min(prices), prices[-1], volume, cost, cost)
    return [str(opened), *map(text, marks), str(int(ended))]
