"""Writing down what the venue did: order events, fills, holdings, and what the loss limits remember."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from pydantic import TypeAdapter

from trading_core.brokers.base import Broker, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.errors import LedgerError
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RiskStateChange
from trading_core.persistence.session import Database, UnitOfWork
from trading_core.risk.limits import Limits
from trading_core.risk.state import AccountRisk

_RISK = TypeAdapter(AccountRisk)
_BEGINNING = datetime(2009, 1, 3, tzinfo=UTC)  # no venue has a trade from before the first block

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
        known_at: when the venue was last read completely; None before the first time.
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

    async def risk(self, uow: UnitOfWork) -> AccountRisk:
        """What the loss limits remember of the account."""
        content = await uow.risk.load(self._account_id)
        if content is not None:
            return _RISK.validate_python(content)
        portfolio = await uow.portfolios.load(self._account_id)
        return AccountRisk.opened(portfolio.deposited, self._clock.now())

    async def save_risk(self, uow: UnitOfWork, before: AccountRisk, after: AccountRisk) -> None:
        """Keep what changed, and a line of history when the trading state did."""
        now = self._clock.now()
        await uow.risk.save(self._account_id, _RISK.dump_python(after, mode="json"), now)
        if before.trading_state is not after.trading_state:
            states = (before.trading_state.value, after.trading_state.value)
            await uow.risk.change(RiskStateChange(self._account_id, *states, after.changed_by, after.reason, now))

    async def apply(
        self, client_order_id: str, event: OrderEvent, detail: str = "", *, venue_order_id: str | None = None
    ) -> Order:
        """Move an order by one venue event.

        Raises:
            IllegalTransition: the table has no such row.
        """
        async with self._database.transaction() as uow:
            order = await self._order(uow, client_order_id)
            moved = order.on(event, at=self._clock.now(), reason=detail, venue_order_id=venue_order_id)
            await uow.orders.update(moved, event, detail)
            return moved

    async def sync(self) -> tuple[Fill, ...]:
        """Book every fill not seen before, then learn what became of live orders.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something the ledger cannot hold.
        """
        async with self._database.reading() as uow:
            since = await uow.fills.last_at(self._account_id)
        fills = await self._broker.fills(since=since or _BEGINNING)
        new = tuple([fill for fill in fills if await self._book(fill)])
        open_at_venue = {report.client_order_id: report for report in await self._broker.open_orders()}
        async with self._database.reading() as uow:
            live = await uow.orders.live(self._account_id)
        for order in live:
            report = open_at_venue.get(order.client_order_id) or await self._broker.order(order.client_order_id, order.symbol)
            await self._follow(order, report)
        self.known_at = self._clock.now()
        return new

    async def _follow(self, order: Order, report: OrderReport | None) -> None:
        if report is None:
            if order.state in (OrderState.SUBMITTING, OrderState.UNKNOWN) and not order.filled:
                await self.apply(order.client_order_id, OrderEvent.ABSENT, "the venue has no such order")
            return
        event = _EVENT_OF_STATE.get(report.state)
        settled = event is OrderEvent.ACCEPTED and order.state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)
        if event is not None and not settled:
            await self.apply(order.client_order_id, event, report.reason, venue_order_id=report.venue_order_id)

    async def _book(self, fill: Fill) -> bool:
        async with self._database.transaction() as uow:
            order = await self._order(uow, fill.client_order_id)
            if not await uow.fills.add(self._account_id, fill):
                return False
            filled = order.on_fill(fill)
            event = OrderEvent.FULLY_FILLED if filled.remaining == 0 else OrderEvent.PARTLY_FILLED
            before = await uow.portfolios.load(self._account_id)
            after = before.after(fill, self._instruments[fill.symbol])
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
        quote = self._instruments[sale.symbol].quote
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
