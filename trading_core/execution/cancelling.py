"""Taking orders back, several side by side, and never believing that a cancel was faster than a fill."""

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
from trading_core.execution.together import together
from trading_core.risk.state import Withdrawal

WAITS, WAIT_SECONDS = 4, 0.5  # how often, and how far apart, the venue is asked what came of a cancel


class Cancelling:
    """Cancels of one account."""

    def __init__(self, broker: Broker, ledger: Ledger, booking: Booking, clock: Clock) -> None:
        self._broker, self._ledger, self._booking, self._clock = broker, ledger, booking, clock

    async def cancel(self, order: Order) -> Order:
        """Ask the venue to cancel, and wait a moment for what comes of it: a fill can win the race."""
        (after,) = await self._cancel_all((order,))
        return after

    async def _cancel_all(self, orders: Sequence[Order]) -> tuple[Order, ...]:
        """Ask for all, then wait for what comes of them together. One that fails keeps none from being asked."""
        heard = await together(self._ask, orders)
        waiting = [order.client_order_id for order, was_heard in zip(orders, heard, strict=True) if was_heard]
        for _ in range(WAITS):
            if not waiting:
                break
            await self._clock.sleep(WAIT_SECONDS)
            await self._booking.sync()
            waiting = [key for key in waiting if (await self._ledger.order(key)).is_live]
        return tuple([await self._ledger.order(order.client_order_id) for order in orders])

    async def _ask(self, order: Order) -> bool:
        """Ask for one; False where nobody knows whether the venue heard."""
        try:
            await self._broker.cancel(order.client_order_id, order.symbol)
        except OrderRefused:
            pass  # the venue does not know it as live: reading it tells what it is
        except BrokerError as error:
            await self._booking.apply(order.client_order_id, OrderEvent.AMBIGUOUS, f"cancel: {error}", when=_is_live)
            return False
        return True

    async def cancel_stops(self, symbol: str, book: Book) -> None:
        """Free what is held of a symbol for a sale."""
        stops = [order for order in book.live.values() if order.symbol == symbol and order.purpose is Purpose.STOP]
        await self._cancel_all(stops)

    async def withdraw(self, live: Sequence[Order], withdrawal: Withdrawal) -> tuple[Order, ...]:
        """Take back what the kill switch asked for and what has expired; each order as it then stands."""
        now = self._clock.now()
        wanted = [order for order in live if _is_withdrawn(order, withdrawal) or _has_expired(order, now)]
        return await self._cancel_all(wanted)


def _is_withdrawn(order: Order, withdrawal: Withdrawal) -> bool:
    if withdrawal is Withdrawal.WORKING:
        return order.purpose is not Purpose.STOP
    return withdrawal is Withdrawal.ALL


def _has_expired(order: Order, now: datetime) -> bool:
    return order.expires_at is not None and order.expires_at <= now


def _is_live(order: Order) -> bool:
    return order.is_live
