"""How the paper exchange matches: a walk through the market's events in the order they happened.

There are four kinds of events. A bar's close tells what its high, low and volume were, and with them which resting orders
traded inside it; a bar's open is where waiting orders take and where stops gap; orders and cancels arrive. Each event is
priced from what the feed knew at its own instant and never from the moment the walk was asked for, so that walking in one
step or in many gives the same fills.

Where a bar does not tell what happened, the trader gets the worse reading: a resting limit fills only when the price went
strictly through it, a stop fills before a take-profit touched in the same bar, and a stop that arrives within a bar may be
triggered by any price of that bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum

from trading_core.brokers.paper.book import Book, PaperOrder, Stage
from trading_core.brokers.paper.rules import PaperRules
from trading_core.domain.errors import MarketDataUnavailable
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, MarketFeed, Ticker, Timeframe
from trading_core.domain.money import ZERO
from trading_core.domain.orders import OrderType, Side, TimeInForce

# A bar's open is known strictly after its start; this is the smallest "after" there is.
TICK = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


class _Phase(IntEnum):
    """What comes first among events of the same instant."""

    CLOSE = 0
    OPEN = 1
    ARRIVAL = 2
    CANCEL = 3


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    """`rank` orders what is left: by symbol for bars, by the account's sequence for orders."""

    at: datetime
    phase: _Phase
    rank: tuple[str, int]
    bar: Bar | None = field(default=None, compare=False)
    client_order_id: str = field(default="", compare=False)

    @property
    def symbol(self) -> str:
        return self.rank[0]


@dataclass(frozen=True, slots=True)
class _Depth:
    """Where a taking order finds the market: a quote, and the volume of the bar that its size is measured against."""

    last: Decimal
    bid: Decimal
    ask: Decimal
    volume: Decimal
    bar: datetime
    at: datetime

    def touch(self, side: Side) -> Decimal:
        return self.ask if side is Side.BUY else self.bid


class Matching:
    """The matching engine over one market feed; it keeps no state of its own."""

    def __init__(self, feed: MarketFeed, timeframe: Timeframe, rules: PaperRules, instruments: Mapping[str, Instrument]) -> None:
        self._feed = feed
        self._timeframe = timeframe
        self._rules = rules
        self._instruments = instruments
        self._anchor = _FIRST_MONDAY if timeframe.code.endswith("w") else _EPOCH

    def bar_start(self, instant: datetime) -> datetime:
        """The start of the bar that contains `instant`; venues start weeks on Monday and everything else at the epoch."""
        return instant - (instant - self._anchor) % self._timeframe.length

    def arrival(self, sent_at: datetime) -> datetime:
        """When a message sent now is at the venue. On the boundary of two bars it meets the new one, just after its open."""
        arrives = sent_at + self._rules.latency
        return arrives + TICK if arrives == self.bar_start(arrives) else arrives

    async def walk(self, book: Book, until: datetime) -> None:
        """Bring a book from where it stands to `until`: closes and arrivals up to it, opens strictly before it.

        Raises:
            MarketDataError: the feed cannot answer; the book is then half done and to be thrown away.
        """
        if book.live:
            for event in await self._events(book, until):
                await self._apply(book, event, until)
        book.walked_to = until

    async def _events(self, book: Book, until: datetime) -> list[_Event]:
        start, last_open = book.walked_to, self.bar_start(until)
        events: list[_Event] = []
        for symbol in sorted({order.symbol for order in book.live.values()}):
            if last_open > start:
                for bar in await self._feed.bars_between(symbol, self._timeframe, start=start, end=until):
                    events.append(_Event(bar.opened_at + self._timeframe.length, _Phase.CLOSE, (symbol, 0), bar))
                    if bar.opened_at >= start:
                        events.append(_Event(bar.opened_at, _Phase.OPEN, (symbol, 0), bar))
            if start <= last_open < until:
                events.append(_Event(last_open, _Phase.OPEN, (symbol, 0)))
        for order in book.live.values():
            rank = order.symbol, order.number
            if order.stage is Stage.IN_TRANSIT and order.arrives_at <= until:
                events.append(_Event(order.arrives_at, _Phase.ARRIVAL, rank, client_order_id=order.client_order_id))
            if order.cancel_at is not None and order.cancel_at <= until:
                events.append(_Event(order.cancel_at, _Phase.CANCEL, rank, client_order_id=order.client_order_id))
        return sorted(events)

    async def _apply(self, book: Book, event: _Event, until: datetime) -> None:
        if event.phase is _Phase.CLOSE and event.bar is not None:
            await self._on_close(book, event.symbol, event.bar)
        elif event.phase is _Phase.OPEN:
            await self._on_open(book, event, until)
        elif (order := book.live.get(event.client_order_id)) is not None:
            if event.phase is _Phase.ARRIVAL:
                await self._on_arrival(book, order, until)
            else:
                book.cancel(order, at=event.at, reason="cancelled as asked")

    async def _on_arrival(self, book: Book, order: PaperOrder, until: datetime) -> None:
        at, request = order.arrives_at, order.request
        depth = await self._depth(order.symbol, at, until)
        if order.is_stop:
            order = book.put(replace(order, stage=Stage.ARMED))
            if depth is not None and _reached(order, depth.last):
                self._trigger(book, order, depth)
            return
        if request.type is OrderType.MARKET:
            order = book.put(replace(order, stage=Stage.TAKING))
            order = self._take(book, order, depth) if depth is not None else order
        else:
            order = book.put(replace(order, stage=Stage.RESTING, rests_from=at))
            if depth is not None and _marketable(order, depth):
                if request.time_in_force is TimeInForce.POST_ONLY:
                    book.cancel(order, at=at, reason="the market moved on its way: a post-only order would have taken")
                    return
                order = self._take(book, order, depth)
        if order.is_live and request.time_in_force is TimeInForce.IOC:
            book.cancel(order, at=at, reason="immediate or cancel: the rest found no counterpart")

    async def _on_open(self, book: Book, event: _Event, until: datetime) -> None:
        waiting = book.of(event.symbol, Stage.TAKING, Stage.ARMED)
        if event.bar is not None:  # the open of a closed bar tells without another read whether a stop is concerned
            opened = event.bar.open
            waiting = [order for order in waiting if order.stage is Stage.TAKING or _reached(order, opened)]
        if not waiting:
            return
        depth = await self._depth(event.symbol, event.at, until, event.bar)
        if depth is None:
            return
        for order in waiting:
            if order.stage is Stage.TAKING:
                self._take(book, order, depth)
            elif _reached(order, depth.last):
                self._trigger(book, order, depth)

    async def _on_close(self, book: Book, symbol: str, bar: Bar) -> None:
        closed_at = bar.opened_at + self._timeframe.length
        share, of = self._rules.late_arrival.as_integer_ratio()
        in_time = bar.opened_at + self._timeframe.length * share // of
        # Stops first: which of a stop and a take-profit was touched first is not in the bar, and the stop is the worse reading.
        touched = [
            order for order in book.of(symbol, Stage.ARMED) if _reached(order, bar.low if order.side is Side.SELL else bar.high)
        ]
        if touched:
            half_spread = await self._half_spread(symbol, bar)
            for order in touched:
                price = _stop_fill(order, bar)
                depth = _Depth(price, price - half_spread, price + half_spread, bar.volume, bar.opened_at, closed_at)
                self._trigger(book, order, depth)
        for order in book.of(symbol, Stage.RESTING):
            limit, since = order.request.limit_price, order.rests_from
            if limit is None or since is None or since > in_time:
                continue
            through = bar.low < limit if order.side is Side.BUY else bar.high > limit
            if not through:
                continue
            instrument = self._instruments[symbol]
            cap = bar.volume * self._rules.participation
            quantity = book.room(order, instrument, bar=bar.opened_at, cap=cap)
            if quantity > 0:
                book.fill(order, instrument, quantity=quantity, price=limit, at=closed_at, bar=bar.opened_at, is_maker=True)

    def _trigger(self, book: Book, order: PaperOrder, depth: _Depth) -> None:
        """A stop turns into a market order that takes until done, or into a limit order that may rest from the next bar on."""
        if order.request.type is OrderType.STOP:
            self._take(book, book.put(replace(order, stage=Stage.TAKING)), depth)
            return
        next_bar = depth.bar + self._timeframe.length
        order = book.put(replace(order, stage=Stage.RESTING, rests_from=next_bar))
        if _marketable(order, depth):
            self._take(book, order, depth)

    def _take(self, book: Book, order: PaperOrder, depth: _Depth) -> PaperOrder:
        """Take what the bar's volume allows, never beyond the order's own limit."""
        instrument = self._instruments[order.symbol]
        cap = depth.volume * self._rules.participation
        quantity = book.room(order, instrument, bar=depth.bar, cap=cap)
        if quantity <= 0:
            return order
        price = self._rules.taking_price(
            instrument,
            order.side,
            depth.touch(order.side),
            quantity=quantity,
            volume=depth.volume,
            client_order_id=order.client_order_id,
        )
        limit = order.request.limit_price
        if limit is not None:
            price = min(price, limit) if order.side is Side.BUY else max(price, limit)
        return book.fill(order, instrument, quantity=quantity, price=price, at=depth.at, bar=depth.bar, is_maker=False)

    async def _depth(self, symbol: str, at: datetime, until: datetime, bar: Bar | None = None) -> _Depth | None:
        """The book at an event inside a bar; None when that bar does not exist and nobody is there to trade with.

        Its size is judged by the last closed bar: what the coming one trades is not known yet.
        """
        start = self.bar_start(at)
        asked = max(at, start + TICK)
        try:
            ticker = await self._feed.ticker(symbol, as_of=asked)
        except MarketDataUnavailable:
            # A live feed has no quotes of the past. In the same bar the order meets the present market, late; in a later
            # one it waits for an open, which bars do tell.
            if bar is None and self.bar_start(until) > start:
                return None
            if bar is None:
                ticker, at = await self._feed.ticker(symbol, as_of=until), until
            else:
                ticker = self._assumed(symbol, bar)
        if ticker is None or ticker.at < start or ticker.bid <= 0:
            return None
        bars = await self._feed.bars(symbol, self._timeframe, as_of=at, limit=1)
        return _Depth(ticker.last, ticker.bid, ticker.ask, bars[-1].volume if bars else ZERO, start, at)

    async def _half_spread(self, symbol: str, bar: Bar) -> Decimal:
        """Half the distance of bid and ask in a closed bar."""
        try:
            ticker = await self._feed.ticker(symbol, as_of=bar.opened_at + TICK)
        except MarketDataUnavailable:
            ticker = None
        ticker = ticker or self._assumed(symbol, bar)
        return (ticker.ask - ticker.bid) / 2

    def _assumed(self, symbol: str, bar: Bar) -> Ticker:
        """The quote at a closed bar's open when the feed no longer has it."""
        half = bar.open * self._rules.assumed_half_spread
        return Ticker(symbol, bar.open - half, bar.open + half, bar.open, bar.opened_at)


def _stop_fill(order: PaperOrder, bar: Bar) -> Decimal:
    """Where a stop touched inside a bar trades: at its price, or at the open when that was already beyond it."""
    stop = order.request.stop_price
    if stop is None or order.arrives_at > bar.opened_at:
        return bar.open if stop is None else stop
    return min(stop, bar.open) if order.side is Side.SELL else max(stop, bar.open)


def _reached(order: PaperOrder, price: Decimal) -> bool:
    """Whether a price is at or through a stop."""
    stop = order.request.stop_price
    return stop is not None and (price <= stop if order.side is Side.SELL else price >= stop)


def _marketable(order: PaperOrder, depth: _Depth) -> bool:
    limit = order.request.limit_price
    return limit is not None and (depth.ask <= limit if order.side is Side.BUY else depth.bid >= limit)
