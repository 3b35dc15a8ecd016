"""Taking orders back: one at a time, and never believing that a cancel was faster than a fill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trading_core.brokers.base import Broker
from trading_core.domain.clock import Clock
from trading_core.domain.errors import BrokerError, OrderRefused
from trading_core.domain.orders import Order, OrderEvent, Purpose
from trading_core.execution.book import Book
from trading_core.execution.booking import Booking
from trading_core.execution.ledger import Ledger
from trading_core.risk.state import Withdrawal

WAITS, WAIT_SECONDS = 4, 0.5  # how often, and how far apart, the venue is asked what came of a cancel


class Cancelling:
    """Cancels of one account."""

    def __init__(self, broker: Broker, ledger: Ledger, booking: Booking, clock: Clock) -> None:
        self._broker, self._ledger, self._booking, self._clock = broker, ledger, booking, clock

    async def cancel(self, order: Order) -> Order:
        """Ask the venue to cancel, and wait a moment for what comes of it: a fill can win the race."""
        key = order.client_order_id
        try:
            await self._broker.cancel(key, order.symbol)
        except OrderRefused:
            pass  # the venue does not know it as live: reading it tells what it is
        except BrokerError as error:
            return await self._booking.apply(key, OrderEvent.AMBIGUOUS, f"cancel: {error}", when=_is_live)
        for _ in range(WAITS):
            await self._clock.sleep(WAIT_SECONDS)
            await self._booking.sync()
            order = await self._ledger.order(key)
            if not order.is_live:
                break
        return order

    async def cancel_stops(self, symbol: str, book: Book) -> None:
        """Free what is held of a symbol for a sale."""
        for order in book.live.values():
            if order.symbol == symbol and order.purpose is Purpose.STOP:
                await self.cancel(order)

    async def withdraw(self, live: Sequence[Order], withdrawal: Withdrawal) -> tuple[Order, ...]:
        """Take back what the kill switch asked for and what has expired; each order as it then stands."""
        now = self._clock.now()
        wanted = [order for order in live if _is_withdrawn(order, withdrawal) or _has_expired(order, now)]
        return tuple([await self.cancel(order) for order in wanted])


def _is_withdrawn(order: Order, withdrawal: Withdrawal) -> bool:
    if withdrawal is Withdrawal.WORKING:
        return order.purpose is not Purpose.STOP
    return withdrawal is Withdrawal.ALL


def _has_expired(order: Order, now: datetime) -> bool:
    return order.expires_at is not None and order.expires_at <= now


def _is_live(order: Order) -> bool:
    return order.is_live
