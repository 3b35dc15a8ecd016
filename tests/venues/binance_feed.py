"""Binance's public streams: trades, tickers, books and candles of the engine, as its market streams push them.

Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams. Binance gathers what happens in up to two
seconds into one event of a ticker, a book or a candle; here each act of the exchange is an event, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from tests.venues.binance_market import INTERVALS, book_ticker, candles, day_ticker
from tests.venues.binance_orders import Row, money
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Market, Print, Side

KINDS = frozenset({"ticker", "miniTicker", "bookTicker", "trade", "aggTrade", "depth", "depth@100ms", "depth@1000ms"})
DAY_TICKER = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}
"""The day ticker's letters, and what they are called over REST."""
MINI_TICKER = "cohlvq"
Levels = dict[Decimal, Decimal]


@dataclass(slots=True)
class Seen:
    """What was told of one market: the book, at which version, and the best prices."""

    version: int = 1
    told: int = 1
    book: dict[Side, Levels] = field(default_factory=dict)
    best: Row = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    """The candle that was told last, by interval."""


class Feed:
    """The rows of the market streams. All of it under the exchange's lock."""

    def __init__(self, exchange: Exchange, now: Callable[[], int]) -> None:
        self._exchange = exchange
        self._now = now
        self._seen = {symbol: Seen() for symbol in exchange.markets}

    def named(self, name: str) -> tuple[Market, str] | None:
        """The market and the kind of a stream such as `btcusdt@trade`; None when there is none of that name."""
        pair, _, kind = name.partition("@")
        known = kind in KINDS or kind.removeprefix("kline_") in INTERVALS
        return next(((m, kind) for m in self._exchange.markets.values() if known and pair == _id(m).lower()), None)

    def version(self, market: Market) -> int:
        """Of the book; it grows with each change."""
        return self._seen[market.symbol].version

    def begin(self, market: Market, kind: str) -> list[Row]:
        """What a new subscriber is told at once: of that which Binance repeats every second or two, what is so now."""
        seen = self._seen[market.symbol]
        seen.book, seen.told = self._book(market), seen.version
        seen.best = book_ticker(self._exchange, market)
        repeated = kind in ("ticker", "miniTicker") or kind.startswith("kline_")
        return self.rows(market, kind, []) if repeated and self._exchange.tape[market.symbol] else []

    def acted(self, symbol: str) -> None:
        """Something was done in that market, whoever is there to hear of it."""
        self._seen[symbol].version += 1

    def rows(self, market: Market, kind: str, prints: list[Print]) -> list[Row]:
        """What a subscriber is told of the act that has just been done."""
        traded = [done for done in prints if done.quantity]
        match kind:
            case "ticker":
                return [self._head("24hrTicker", market) | self._day(market)]
            case "miniTicker":
                day = self._day(market)
                return [self._head("24hrMiniTicker", market) | {letter: day[letter] for letter in MINI_TICKER}]
            case "bookTicker":
                return self._best(market)
            case "trade":
                return [self._trade(market, done, "trade", {"t": done.number}) for done in traded]
            case "aggTrade":
                ids = [{"a": done.number, "f": done.number, "l": done.number} for done in traded]
                return [self._trade(market, done, "aggTrade", more) for done, more in zip(traded, ids, strict=True)]
            case _ if kind.startswith("depth"):
                return self._depth(market)
        return self._candles(market, kind.removeprefix("kline_"))

    def told(self, symbol: str) -> None:
        """Every subscriber has had its rows of an act."""
        market, seen = self._exchange.markets[symbol], self._seen[symbol]
        book = self._book(market)
        if book != seen.book:
            seen.told, seen.book = seen.version, book
        seen.best = book_ticker(self._exchange, market)

    def _head(self, event: str, market: Market) -> Row:
        return {"e": event, "E": self._now(), "s": _id(market)}

    def _day(self, market: Market) -> Row:
        row = day_ticker(self._exchange, market, self._now())
        return {letter: row[name] for letter, name in DAY_TICKER.items()}

    def _best(self, market: Market) -> list[Row]:
        """Only when it has changed. The event has no type and no time."""
        seen, row = self._seen[market.symbol], book_ticker(self._exchange, market)
        if row == seen.best:
            return []
        names = {"b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}
        return [{"u": seen.version, "s": _id(market)} | {letter: row[name] for letter, name in names.items()}]

    def _trade(self, market: Market, done: Print, event: str, ids: Row) -> Row:
        amounts = {"p": money(done.price), "q": money(done.quantity), "T": done.at_ms}
        return self._head(event, market) | ids | amounts | {"m": done.taker is Side.SELL, "M": True}

    def _book(self, market: Market) -> dict[Side, Levels]:
        return {side: dict(self._exchange.book(market.symbol, side)) for side in Side}

    def _depth(self, market: Market) -> list[Row]:
        """The levels that changed since the last event; a quantity of zero takes a level away."""
        seen, book = self._seen[market.symbol], self._book(market)
        changes: Row = {}
        for letter, side in (("b", Side.BUY), ("a", Side.SELL)):
            before, after = seen.book[side], book[side]
            prices = [price for price in before | after if before.get(price) != after.get(price)]
            changes[letter] = [[money(price), money(after.get(price, ZERO))] for price in prices]
        if not any(changes.values()):
            return []
        return [self._head("depthUpdate", market) | {"U": seen.told + 1, "u": seen.version} | changes]

    def _candles(self, market: Market, interval: str) -> list[Row]:
        """The candle that is open, after the end of the one before it where that was not told yet."""
        rows = candles(self._exchange, market, interval, self._now(), None, None, 2)
        opened, width = self._seen[market.symbol].opened, INTERVALS[interval]
        before, opened[interval] = opened.get(interval), int(str(rows[-1][0]))
        fresh = rows if before == rows[0][0] != rows[-1][0] else rows[-1:]
        return [self._candle(market, interval, row, closed=int(str(row[0])) + width <= self._now()) for row in fresh]

    def _candle(self, market: Market, interval: str, row: list[object], *, closed: bool) -> Row:
        opened = int(str(row[0]))
        done = [
            p.number for p in self._exchange.tape[market.symbol] if p.quantity and 0 <= p.at_ms - opened < INTERVALS[interval]
        ]
        ends = {"f": done[0] if done else -1, "L": done[-1] if done else -1, "i": interval, "s": _id(market), "x": closed}
        names = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
        return self._head("kline", market) | {"k": dict(zip(names, row, strict=True)) | ends}


def _id(market: Market) -> str:
    return market.base + market.quote
