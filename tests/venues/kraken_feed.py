"""Kraken's public channels: tickers, trades, books and candles of the engine, as its WebSocket API v2 tells them.

Numbers are JSON numbers here, not text as over REST.
Source: https://docs.kraken.com/api/docs/websocket-v2 (ticker, trade, book, ohlc) and
https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (checksums).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.venues.bars import Bar, bars
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Execution, Kind, Market, Print, Side, VenueOrder
from tests.venues.kraken_orders import Row

MINUTE_MS = 60_000
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
DEPTHS = (10, 25, 100, 500, 1000)
CHECKED_LEVELS = 10
SNAPSHOT_ROWS = 50
SIDES = (("bids", Side.BUY), ("asks", Side.SELL))
Levels = dict[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client subscribed to: a channel of a market."""

    channel: str
    symbol: str
    depth: int = DEPTHS[0]
    interval: int = INTERVALS[0]
    on_quotes: bool = False
    """A ticker also when the best prices change, not only after trades."""


class Feed:
    """The rows of the public channels. All of it under the exchange's lock."""

    def __init__(self, exchange: Exchange, now: Callable[[], int]) -> None:
        self._exchange = exchange
        self._now = now
        self._kinds: dict[int, Kind] = {}
        self._told: dict[tuple[str, int], dict[Side, Levels]] = {}
        self._best: dict[str, Row] = {}
        exchange.listen(self._executed)

    def snapshot(self, wish: Wish) -> list[Row]:
        """What a new subscriber is told at once."""
        market = self._exchange.markets[wish.symbol]
        match wish.channel:
            case "ticker":
                self._best[wish.symbol] = self._quotes(market)
                return [self._ticker(market)]
            case "book":
                book = self._book(market, wish.depth)
                self._told[wish.symbol, wish.depth] = book
                return [self._levels(market, book) | {"checksum": self._checksum(market, book)}]
            case "ohlc":
                return [self._candle(market, wish, bar) for bar in self._bars(market, wish, SNAPSHOT_ROWS)]
        return []

    def rows(self, wish: Wish, prints: list[Print]) -> list[Row]:
        """What a subscriber is told of the act that has just been done."""
        market = self._exchange.markets[wish.symbol]
        match wish.channel:
            case "ticker":
                news = bool(prints) or (wish.on_quotes and self._quotes(market) != self._best.get(wish.symbol))
                return [self._ticker(market)] if news else []
            case "trade":
                return [self._trade(market, done) for done in prints if done.quantity]
            case "book":
                return self._changes(market, wish.depth)
        return [self._candle(market, wish, bar) for bar in self._bars(market, wish, 1)] if prints else []

    def done(self, symbol: str) -> None:
        """Every subscriber has had its rows of an act."""
        market = self._exchange.markets[symbol]
        self._best[symbol] = self._quotes(market)
        for told, depth in list(self._told):
            if told == symbol:
                self._told[told, depth] = self._book(market, depth)
        self._kinds.clear()

    def _executed(self, change: VenueOrder | Execution) -> None:
        """A print does not say what kind of order took; its execution does."""
        if isinstance(change, Execution) and not change.is_maker:
            self._kinds[change.trade] = change.order.ticket.kind

    def _quotes(self, market: Market) -> Row:
        bid, ask = (next(iter(self._exchange.book(market.symbol, side)), (ZERO, ZERO)) for _, side in SIDES)
        return {"bid": bid[0], "bid_qty": bid[1], "ask": ask[0], "ask_qty": ask[1]}

    def _ticker(self, market: Market) -> Row:
        """Of the last day; the tape here is no older."""
        tape = self._exchange.tape[market.symbol]
        prices = [done.price for done in tape] or [ZERO]
        volume = sum((done.quantity for done in tape), ZERO)
        cost = sum((done.quantity * done.price for done in tape), ZERO)
        change = prices[-1] - prices[0]
        return (
            {"symbol": market.symbol}
            | self._quotes(market)
            | {
                "last": prices[-1],
                "volume": volume,
                "vwap": rounded(cost / volume, market.tick) if volume else prices[-1],
                "low": min(prices),
                "high": max(prices),
                "change": change,
                "change_pct": rounded(change / prices[0] * 100, Decimal("0.01")) if prices[0] else ZERO,
            }
        )

    def _trade(self, market: Market, done: Print) -> Row:
        return {
            "symbol": market.symbol,
            "side": done.taker.value,
            "price": done.price,
            "qty": done.quantity,
            "ord_type": "limit" if self._kinds[done.number].has_limit else "market",
            "trade_id": done.number,
            "timestamp": stamp(done.at_ms),
        }

    def _book(self, market: Market, depth: int) -> dict[Side, Levels]:
        return {side: dict(self._exchange.book(market.symbol, side)[:depth]) for _, side in SIDES}

    def _levels(self, market: Market, levels: Mapping[Side, Levels]) -> Row:
        rows: Row = {
            name: [{"price": rounded(p, market.tick), "qty": rounded(q, market.lot)} for p, q in levels[side].items()]
            for name, side in SIDES
        }
        return {"symbol": market.symbol} | rows

    def _changes(self, market: Market, depth: int) -> list[Row]:
        """The levels that changed since the last event; a quantity of zero takes a level away."""
        before, after = self._told[market.symbol, depth], self._book(market, depth)
        changed = {
            side: {p: after[side].get(p, ZERO) for p in before[side] | after[side] if before[side].get(p) != after[side].get(p)}
            for _, side in SIDES
        }
        if not any(changed.values()):
            return []
        ends = {"checksum": self._checksum(market, after), "timestamp": stamp(self._now())}
        return [self._levels(market, changed) | ends]

    def _checksum(self, market: Market, book: Mapping[Side, Levels]) -> int:
        """CRC-32 of the best ten levels of either side, asks first: digits of price and quantity without leading zeros."""
        text = "".join(
            str(rounded(value, step)).replace(".", "").lstrip("0")
            for side in (Side.SELL, Side.BUY)
            for price, quantity in list(book[side].items())[:CHECKED_LEVELS]
            for value, step in ((price, market.tick), (quantity, market.lot))
        )
        return zlib.crc32(text.encode())

    def _bars(self, market: Market, wish: Wish, limit: int) -> list[Bar]:
        return bars(self._exchange.tape[market.symbol], wish.interval * MINUTE_MS, self._now(), None, None, limit)

    def _candle(self, market: Market, wish: Wish, bar: Bar) -> Row:
        volume = bar.volume()
        return {
            "symbol": market.symbol,
            "open": bar.open,
            "high": bar.high,
            "low": bar.low,
            "close": bar.close,
            "trades": len(bar.trades),
            "volume": volume,
            "vwap": rounded(bar.cost() / volume, market.tick) if volume else bar.close,
            "interval_begin": stamp(bar.opened_ms),
            "interval": wish.interval,
            "timestamp": stamp(bar.opened_ms + bar.width_ms),
        }


def rounded(value: Decimal, step: Decimal) -> Decimal:
    """To as many digits as a price or a quantity of the market has."""
    return value.quantize(step.normalize()) if step < 1 else value.quantize(Decimal(1))


def stamp(at_ms: int) -> str:
    """RFC 3339, in microseconds."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
