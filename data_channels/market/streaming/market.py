"""One market as its streams tell it: the best prices, the last trade, and bars of the trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from data_channels.market.grid import floor_to_grid
from data_channels.market.streaming.health import StreamMetrics
from data_channels.market.streaming.minutes import Minutes
from data_channels.market.streaming.shelf import Shelf
from data_channels.market.streaming.tape import Arrival, Tape, Trade
from data_channels.market.streaming.venues import StreamProfile
from data_channels.market.venue_markets import exact
from trading_core.domain.clock import from_ms, to_ms
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar, Ticker, Timeframe
from trading_core.domain.money import ZERO

Row = Mapping[str, object]
SETTLED = timedelta(seconds=2)
"""After a bar's end, until a venue's own bar over REST is taken to change no more."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The best prices, and since when."""

    bid: Decimal
    ask: Decimal
    at: datetime


class StreamedMarket:
    """What is known of one market. All of it happens between two turns of the event loop.

    Args:
        symbol: the market.
        profile: the venue's.
        metrics: counted in.

    Attributes:
        quote: the best prices; None before the first ones, and while what is told is no price.
        tape: which trades are known.
    """

    def __init__(self, symbol: str, profile: StreamProfile, metrics: StreamMetrics) -> None:
        self.symbol = symbol
        self.quote: Quote | None = None
        self.tape = Tape(counts=profile.counts)
        self._profile = profile
        self._metrics = metrics
        self._minutes = Minutes()
        self._shelves: dict[Timeframe, Shelf] = {}
        self._last: Decimal | None = None
        self._arrivals = 0

    def interrupted(self) -> None:
        """The sockets are closed: what was told may be true no longer."""
        self.quote = self._last = None
        self.tape.interrupted()

    # What is told

    def quoted(self, row: Row, now: datetime) -> None:
        """The best prices, in a row of ccxt's. A row that is older than what is known changes nothing."""
        bid, ask, stamp = exact(row.get("bid")), exact(row.get("ask")), row.get("timestamp")
        at = now if stamp is None else min(from_ms(int(str(stamp))), now)
        if self.quote is not None and at < self.quote.at:
            return
        is_price = bid is not None and ask is not None and ZERO < bid <= ask
        self.quote = Quote(bid, ask, at) if is_price and bid and ask else None

    def priced(self, row: Row) -> None:
        """The last price that a ticker tells. It counts while no trade was told."""
        self._last = exact(row.get("last"))

    def traded(self, rows: Sequence[Row]) -> None:
        """New trades, in rows of ccxt's."""
        for trade in sorted(map(self._trade, rows), key=lambda trade: trade.order):
            arrival = self.tape.take(trade)
            if arrival is Arrival.DUPLICATE:
                self._metrics.duplicates += 1
                continue
            if arrival is Arrival.LATE:
                self._metrics.late += 1
                if self._profile.counts:
                    continue  # all that is counted up to the last one was told, or is given up
            self._metrics.trades += 1
            self._count(trade)

    def filled(self, rows: Sequence[Row]) -> bool:
        """A page of REST's newest trades, to close the hole; false when it does not reach up to the stream yet."""
        outcome = self.tape.fill([self._trade(row) for row in rows])
        if outcome is None:
            return self.tape.hole is None
        found, is_whole = outcome
        for trade in found:
            self._count(trade)
        self._metrics.filled += len(found)
        self._metrics.lost += not is_whole
        return True

    def give_up(self) -> None:
        """The hole stays: bars over it are the venue's own."""
        if self.tape.hole is not None:
            self._metrics.lost += self.tape.hole.after is not None
            self.tape.give_up()

    # What is asked

    def ticker(self) -> Ticker | None:
        """The best prices and the last one; None while one of them is not known."""
        last = self.tape.last.price if self.tape.last is not None and not self.tape.in_doubt else self._last
        if self.quote is None or not last or last <= ZERO:
            return None
        return Ticker(symbol=self.symbol, bid=self.quote.bid, ask=self.quote.ask, last=last, at=self.quote.at)

    def bars(self, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar] | None:
        """The bars that close in `(start, end]`, both on the grid; None when one of them is not known to be whole."""
        shelf = self._shelves.setdefault(timeframe, Shelf(timeframe.length))
        if shelf.end is None or shelf.end < start:
            built = self._built(timeframe, start, end)
            if start + len(built) * timeframe.length == end:
                shelf.put(built, start, end)
        else:
            for bar in self._built(timeframe, shelf.end, end):
                shelf.add(bar)
        return shelf.between(start, end)

    def keep(self, timeframe: Timeframe, bars: Sequence[Bar], start: datetime, end: datetime, now: datetime) -> None:
        """The venue's own bars that close in `(start, end]`. What is not settled yet is not kept."""
        until = min(end, bars[-1].opened_at + timeframe.length)
        if until + SETTLED > now:
            until -= timeframe.length
        if until > start:
            known = [bar for bar in bars if bar.opened_at + timeframe.length <= until]
            self._shelves.setdefault(timeframe, Shelf(timeframe.length)).put(known, start, until)

    def _built(self, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar]:
        """Bars from `start` on, up to the first that is not known to be whole. That one is over, a trade from after it shows."""
        bars: list[Bar] = []
        while start < end:
            closes = start + timeframe.length
            is_whole = self.tape.is_past(to_ms(closes)) and self.tape.knows(to_ms(start), to_ms(closes))
            bar = self._minutes.bar(start, timeframe.length) if is_whole else None
            if bar is None:
                break
            bars.append(bar)
            start = closes
        return bars

    def _count(self, trade: Trade) -> None:
        self._minutes.add(trade)
        for timeframe, shelf in self._shelves.items():
            if shelf.end is not None and from_ms(trade.at_ms) < shelf.end:
                # A bar that was told lacks this trade.
                shelf.cut(floor_to_grid(from_ms(trade.at_ms), timeframe))

    def _trade(self, row: Row) -> Trade:
        name, stamp, price, quantity = (
            row.get("id"),
            exact(row.get("timestamp")),
            exact(row.get("price")),
            exact(row.get("amount")),
        )
        if name is None or stamp is None or price is None or quantity is None:
            raise InvalidInput(f"a trade of {self.symbol} lacks its id, its time, its price or its quantity: {dict(row)!r}")
        info, at_ms, text = row.get("info"), int(str(stamp)), str(name)
        many = info.get(self._profile.stands_for, 1) if self._profile.stands_for and isinstance(info, Mapping) else 1
        self._arrivals += 1
        number = int(text) if text.isdecimal() else self._arrivals
        order = (number, 0) if self._profile.counts else (at_ms, number)
        return Trade(text, order, at_ms, price, quantity, int(str(many)))
