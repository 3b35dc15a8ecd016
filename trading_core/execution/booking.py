"""Writing down what the venue did: order events, fills, holdings, and what the loss limits remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading_core.brokers.base import Broker, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.errors import LedgerError
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.risk_record import load_risk, save_risk
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.limits import Limits
from trading_core.risk.state import AccountRisk

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


class Booking:
    """The ledger's side of one account.

    Attributes:
        known_at: as of when the venue was last read completely; None before the first time.
        in_flight: client order ids whose `place` call has not returned yet. The venue not knowing one of them means nothing.
    """

    def __init__(
        self,
        account_id: str,
        database: Database,
        broker: Broker,
        clock: Clock,
        limits: Limits,
        instruments: Mapping[str, Instrument],
    ) -> None:
        self._account_id, self._database, self._broker = account_id, database, broker
        self._clock, self._limits, self._instruments = clock, limits, instruments
        self.known_at: datetime | None = None
        self.in_flight: set[str] = set()

    async def risk(self, uow: UnitOfWork) -> AccountRisk:
        """What the loss limits remember of the account."""
        return await load_risk(uow, self._account_id, self._clock.now())

    async def save_risk(self, uow: UnitOfWork, before: AccountRisk, after: AccountRisk) -> None:
        """Keep what changed, and a line of history when the trading state did."""
        await save_risk(uow, self._account_id, before, after, self._clock.now())

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
        async with self._database.transaction() as uow:
            order = await self._order(uow, client_order_id)
            if not when(order):
                return order
            moved = order.on(event, at=self._clock.now(), reason=detail, venue_order_id=venue_order_id)
            await uow.orders.update(moved, event, detail)
            return moved

    async def order(self, client_order_id: str) -> Order:
        """An order as the ledger has it.

        Raises:
            LedgerError: it is not on record.
        """
        async with self._database.reading() as uow:
            return await self._order(uow, client_order_id)

    async def sync(self) -> tuple[Fill, ...]:
        """Book every fill not seen before, then learn what became of live orders.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something the ledger cannot hold.
        """
        asked_at = self._clock.now()
        new = await self._book_fills()
        open_at_venue = {report.client_order_id: report for report in await self._broker.open_orders()}
        async with self._database.reading() as uow:
            live = {order.client_order_id: order for order in await uow.orders.live(self._account_id)}
            # What the venue holds open and the ledger does not: an order that came after it was found absent, or not ours.
            for key in open_at_venue.keys() - live.keys():
                live[key] = await self._order(uow, key)
        for key, order in live.items():
            if key not in self.in_flight:
                await self._follow(order, open_at_venue.get(key) or await self._broker.order(key, order.symbol))
        self.known_at = asked_at
        return new

    async def _follow(self, order: Order, report: OrderReport | None) -> None:
        """Write down what a report adds to the record, if anything."""
        if _news(order, report, self._clock.now()) is None:
            return
        async with self._database.transaction() as uow:
            # Somebody else may have moved it since it was read.
            order = await self._order(uow, order.client_order_id)
            event = _news(order, report, self._clock.now())
            if event is None:
                return
            detail = report.reason if report else "the venue has no such order"
            venue_order_id = report.venue_order_id if report else None
            moved = order.on(event, at=self._clock.now(), reason=detail, venue_order_id=venue_order_id)
            await uow.orders.update(moved, event, detail)

    async def _book_fills(self) -> tuple[Fill, ...]:
        async with self._database.reading() as uow:
            last = await uow.fills.last_at(self._account_id)
            since = last - OVERLAP if last else _BEGINNING
            booked = {fill.trade_id: fill for fill in await uow.fills.since(self._account_id, since)}
        found = await self._broker.fills(since=since)
        return tuple([fill for fill in found if booked.get(fill.trade_id) != fill and await self._book(fill)])

    async def _book(self, fill: Fill) -> bool:
        async with self._database.transaction() as uow:
            order = await self._order(uow, fill.client_order_id)
            if not await uow.fills.add(self._account_id, fill):
                return False
            filled = order.on_fill(fill)
            event = OrderEvent.FULLY_FILLED if filled.remaining == 0 else OrderEvent.PARTLY_FILLED
            before = await uow.portfolios.load(self._account_id)
            after = before.after(fill, self._listed(fill.symbol))
            await uow.orders.update(filled, event, f"{fill.quantity} at {fill.price}")
            await uow.portfolios.save(after)
            if fill.side is Side.SELL and filled.state is OrderState.FILLED:
                risk = await self.risk(uow)
                profit = await self._profit(uow, filled, before)
                await self.save_risk(uow, risk, risk.on_closed_trade(profit, fill.at))
        return True

    async def _profit(self, uow: UnitOfWork, sale: Order, before: Portfolio) -> Decimal:
        """Profit of a finished sale, quote. Sales do not move the average cost, so the one before its last fill holds for all."""
        average = before.position(sale.symbol).average_cost or Decimal(0)
        quote = self._listed(sale.symbol).quote
        fees = sum(
            (fill.fee.amount for fill in await uow.fills.of_order(sale.client_order_id) if fill.fee.asset == quote), Decimal(0)
        )
        return sale.filled_notional - fees - average * sale.filled

    async def _order(self, uow: UnitOfWork, client_order_id: str) -> Order:
        order = await uow.orders.get(client_order_id)
        if order is None:
            raise LedgerError(
                f"the venue tells of order {client_order_id!r}, which this desk did not place",
                not_done="It was not booked",
                next_step="Use an account that nothing else trades on",
            )
        return order

    def _listed(self, symbol: str) -> Instrument:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise LedgerError(
                f"the venue tells of a fill in {symbol}, which this session does not list",
                not_done="It was not booked",
                next_step="Open the account with every symbol it trades",
            )
        return instrument


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
