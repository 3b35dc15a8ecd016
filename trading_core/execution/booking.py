"""Writing down what the venue did: order events, fills, holdings, and what the loss limits remember."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading_core.brokers.base import Broker, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.errors import LedgerError
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.book import Bought
from trading_core.execution.ledger import Entry, Ledger
from trading_core.execution.together import together
from trading_core.persistence.unit_of_work import UnitOfWork

_BEGINNING = datetime(2009, 1, 3, tzinfo=UTC)  # no venue has a trade from before the first block

# A request can reach the venue after it was given up on; venues discard what is older than a few seconds (Binance
# `recvWindow` and Bybit `recv_window`: 5 s by default). Before that, "no such order" does not mean that there will be none.
ABSENT_AFTER = timedelta(seconds=10)
# Fills are read again from this long before the newest one: a venue may list a trade late, behind a younger one.
OVERLAP = timedelta(hours=1)

# What a venue's word on an order means to ours. A fill is never inferred from a state: fills come as fills.
_EVENT_OF_STATE = {
    OrderState.OPEN: OrderEvent.ACCEPTED,
    OrderState.PARTIALLY_FILLED: OrderEvent.ACCEPTED,
    OrderState.CANCELLED: OrderEvent.CANCELLED,
    OrderState.EXPIRED: OrderEvent.EXPIRED,
    OrderState.REFUSED: OrderEvent.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of what a stream told.

    Attributes:
        fills: those that were new.
        has_moved: whether an order moved by it.
        is_behind: whether the venue knows more than was told, or tells of an order that is not on record: it is to be read.
    """

    fills: tuple[Fill, ...]
    has_moved: bool
    is_behind: bool


class Booking:
    """The ledger's side of one account.

    Attributes:
        known_at: as of when the venue was last read completely; None before the first time.
        in_flight: client order ids whose `place` call has not returned yet. The venue not knowing one of them means nothing.
    """

    def __init__(self, ledger: Ledger, broker: Broker, clock: Clock, instruments: Mapping[str, Instrument]) -> None:
        self._ledger, self._broker, self._clock, self._instruments = ledger, broker, clock, instruments
        self.known_at: datetime | None = None
        self.in_flight: set[str] = set()
        self._booked: dict[str, Fill] = {}  # by trade id, as far back as fills are read again
        self._reading: asyncio.Task[tuple[Fill, ...]] | None = None
        self._next: asyncio.Task[tuple[Fill, ...]] | None = None

    async def apply(
        self,
        client_order_id: str,
        event: OrderEvent,
        detail: str = "",
        *,
        when: Callable[[Order], bool],
        venue_order_id: str | None = None,
    ) -> Order:
        """Move an order by the answer to a call, while it still stands as `when` says: a sync may have learnt more by then."""
        async with self._ledger.writing() as entry:
            order = await entry.order(client_order_id)
            if not when(order):
                return order
            moved = order.on(event, at=self._clock.now(), reason=detail, venue_order_id=venue_order_id)
            await entry.move(order, moved, event, detail)
            return moved

    async def sync(self) -> tuple[Fill, ...]:
        """Book every fill not seen before, then learn what became of live orders. Returns the fills that were new.

        Whoever asks while the venue is being read shares the next reading with everybody else who does.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something the ledger cannot hold.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._reading))
            self._next.add_done_callback(_seen)
        return await asyncio.shield(self._next)

    async def hear(self, told: Sequence[Fill | OrderReport]) -> Heard:
        """Book what a stream told, whatever was told or read before. All is booked that can be.

        Raises:
            LedgerError: one contradicts the record.
            StoreUnavailable: the database is locked, full or gone. What was told is lost, and to be read.
        """
        ours = [update for update in told if await self._find(update.client_order_id) is not None]
        is_behind, has_moved = len(ours) < len(told), False
        new, error = list[Fill](), list[LedgerError]()
        for fill in sorted((update for update in ours if isinstance(update, Fill)), key=_booked_in_order):
            try:
                new += await self._book([fill])
            except LedgerError as problem:
                error.append(problem)
        for report in (update for update in ours if isinstance(update, OrderReport)):
            order = await self._find(report.client_order_id)
            taken_back = order is not None and order.state is OrderState.REFUSED is not report.state
            if order is None or report.filled > order.filled or taken_back:
                # Its fills are still to come; and only what is read takes a refusal back, as a stream may tell late.
                is_behind = True
            elif _news(order, report, self._clock.now()) is not None:
                await self._follow({report.client_order_id: report})
                has_moved = True
        if error:
            raise error[0]
        return Heard(tuple(new), has_moved, is_behind)

    async def _find(self, client_order_id: str) -> Order | None:
        """An order of this account, live or not."""
        order = (await self._ledger.book()).live.get(client_order_id)
        if order is None:
            async with self._ledger.reading() as uow:
                order = await uow.orders.get(client_order_id)
        return order if order is not None and order.account_id == self._ledger.account_id else None

    async def _after(self, reading: asyncio.Task[tuple[Fill, ...]] | None) -> tuple[Fill, ...]:
        if reading is not None:
            await asyncio.wait({reading})
        self._reading, self._next = self._next, None
        return await self._read_venue()

    async def _read_venue(self) -> tuple[Fill, ...]:
        asked_at = self._clock.now()
        new = await self._book_fills()
        open_at_venue = {report.client_order_id: report for report in await self._broker.open_orders()}
        live = (await self._ledger.book()).live
        # What the venue holds open and the ledger does not: an order that came after it was found absent, or not ours.
        news = {key: open_at_venue[key] for key in open_at_venue.keys() - live.keys()}
        told: dict[str, OrderReport | None] = {key: news[key] for key in sorted(news)}
        asked = [order for key, order in sorted(live.items()) if key not in self.in_flight]
        gone = [order for order in asked if order.client_order_id not in open_at_venue]
        reports = await together(self._look_up, gone)
        found = {order.client_order_id: report for order, report in zip(gone, reports, strict=True)} | open_at_venue
        for order in asked:
            report = found[order.client_order_id]
            if _news(order, report, self._clock.now()) is not None:
                told[order.client_order_id] = report
        if told:
            await self._follow(told)
        self.known_at = asked_at
        return new

    async def _look_up(self, order: Order) -> OrderReport | None:
        return await self._broker.order(order.client_order_id, order.symbol)

    async def _follow(self, told: Mapping[str, OrderReport | None]) -> None:
        """Write down what reports add to the record, if anything: somebody else may have moved an order since it was read."""
        async with self._ledger.writing() as entry:
            for key, report in told.items():
                order = await entry.order(key)
                event = _news(order, report, self._clock.now())
                if event is None:
                    continue
                detail = report.reason if report else "the venue has no such order"
                venue_order_id = report.venue_order_id if report else None
                moved = order.on(event, at=self._clock.now(), reason=detail, venue_order_id=venue_order_id)
                await entry.move(order, moved, event, detail)

    async def _book_fills(self) -> tuple[Fill, ...]:
        if self._booked:
            last: datetime | None = max(fill.at for fill in self._booked.values())
        else:
            last = await self._ledger.last_fill_at()
        since = last - OVERLAP if last else _BEGINNING
        found = await self._broker.fills(since=since)
        # Oldest first, whatever order the venue lists them in: a sale cannot be booked before what it sells was bought.
        new = sorted((fill for fill in found if self._booked.get(fill.trade_id) != fill), key=_booked_in_order)
        try:
            booked = await self._book(new) if new else []
        except LedgerError:
            # One of them cannot be booked. Those before it are.
            booked = [one for fill in new for one in await self._book([fill])]
        self._booked = {fill.trade_id: fill for fill in found}
        return tuple(booked)

    async def _book(self, fills: Sequence[Fill]) -> list[Fill]:
        """Book fills in one transaction; those that were new."""
        async with self._ledger.writing() as entry:
            return [fill for fill in fills if await self._book_one(entry, fill)]

    async def _book_one(self, entry: Entry, fill: Fill) -> bool:
        order = await entry.order(fill.client_order_id)
        if not await entry.uow.fills.add(order.account_id, fill):
            return False
        filled = order.on_fill(fill)
        event = OrderEvent.FULLY_FILLED if filled.remaining == 0 else OrderEvent.PARTLY_FILLED
        before = entry.book.portfolio
        bought = await _bought(entry, order) if fill.side is Side.BUY else None
        entry.book = entry.book.holding(before.after(fill, self._listed(fill.symbol)), fill.symbol, bought)
        await entry.move(order, filled, event, f"{fill.quantity} at {fill.price}")
        if fill.side is Side.SELL and filled.state is OrderState.FILLED:
            profit = await self._profit(entry.uow, filled, before)
            risk = entry.book.risk_at(self._clock.now()).on_closed_trade(profit, fill.at)
            entry.book = replace(entry.book, risk=risk)
        return True

    async def _profit(self, uow: UnitOfWork, sale: Order, before: Portfolio) -> Decimal:
        """Profit of a finished sale, quote. Sales do not move the average cost, so the one before its last fill holds for all."""
        average = before.position(sale.symbol).average_cost or Decimal(0)
        quote = self._listed(sale.symbol).quote
        fees = sum(
            (fill.fee.amount for fill in await uow.fills.of_order(sale.client_order_id) if fill.fee.asset == quote), Decimal(0)
        )
        return sale.filled_notional - fees - average * sale.filled

    def _listed(self, symbol: str) -> Instrument:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise LedgerError(
                f"the venue tells of a fill in {symbol}, which this session does not list",
                not_done="It was not booked",
                next_step="Open the account with every symbol it trades",
            )
        return instrument


async def _bought(entry: Entry, order: Order) -> Bought | None:
    known = entry.book.bought.get(order.symbol)
    if known is not None and known.intent.intent_id == order.intent_id:
        return known
    intent = await entry.uow.intents.get(order.intent_id)
    return None if intent is None else Bought(intent, order.created_at)


def _booked_in_order(fill: Fill) -> tuple[datetime, bool]:
    return fill.at, fill.side is Side.SELL


def _seen(task: asyncio.Task[tuple[Fill, ...]]) -> None:
    """Everybody who waited for it may have been cancelled."""
    if not task.cancelled():
        task.exception()


def _news(order: Order, report: OrderReport | None, now: datetime) -> OrderEvent | None:
    """What the venue's word on an order adds to the record; None for nothing, or for nothing that is certain yet."""
    if report is None:
        lost = order.state in (OrderState.SUBMITTING, OrderState.UNKNOWN) and not order.filled
        silent_for = now - (order.updated_at or order.created_at)
        return OrderEvent.ABSENT if lost and silent_for >= ABSENT_AFTER else None
    event = _EVENT_OF_STATE.get(report.state)
    if event is OrderEvent.ACCEPTED:
        return event if order.state in (OrderState.SUBMITTING, OrderState.UNKNOWN, OrderState.REFUSED) else None
    if event is OrderEvent.REFUSED and order.filled:
        event = OrderEvent.CANCELLED  # what has traded was not refused: the rest was
    # An end counts when every fill that came before it is booked: until then the rest of the order is not known.
    return event if order.is_live and report.filled <= order.filled else None
