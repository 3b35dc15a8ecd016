"""Every holding has a stop at the venue. The core places it; no agent is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

from trading_core.domain.clock import Clock
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict, make_intent_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose, Side
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.inputs import AccountView
from trading_core.persistence.session import Database

CORE = "core"


class Protection:
    """Keeps the quantity under stops equal to what is held.

    Args:
        send: sends an order that is already written down as `SUBMITTING`.
    """

    def __init__(
        self,
        account_id: str,
        database: Database,
        feed: MarketFeed,
        clock: Clock,
        instruments: Mapping[str, Instrument],
        send: Callable[[Order], Awaitable[Order]],
    ) -> None:
        self._account_id, self._database, self._feed = account_id, database, feed
        self._clock, self._instruments, self._send = clock, instruments, send

    async def protect(self, symbol: str, view: AccountView) -> None:
        """Place a stop for whatever part of a holding has none; where the stop is refused, sell that part."""
        instrument = self._instruments[symbol]
        sales = [order for order in view.live_orders if order.symbol == symbol and order.side is Side.SELL]
        if any(order.purpose is not Purpose.STOP for order in sales):
            return  # an exit is working, and its base cannot be promised twice
        covered = sum((order.remaining for order in sales), Decimal(0))
        bare = instrument.floor_quantity(view.portfolio.position(symbol).quantity - covered)
        ticker = await self._feed.ticker(symbol, as_of=self._clock.now())
        if ticker is None or instrument.is_dust(bare, ticker.last):
            return
        async with self._database.reading() as uow:
            entry = await uow.intents.last_entry(self._account_id, symbol)
        if entry is None or entry.stop_price is None:
            return
        stop = await self._place(entry, Purpose.STOP, bare, ticker)
        if stop.state is OrderState.REFUSED:
            # The price is through the stop already, or the venue will hold no stop: a bare position is not kept.
            await self._place(entry, Purpose.EXIT, bare, ticker)

    async def _place(self, entry: TradeIntent, purpose: Purpose, quantity: Decimal, ticker: Ticker) -> Order:
        instrument, now = self._instruments[entry.symbol], self._clock.now()
        is_stop = purpose is Purpose.STOP
        async with self._database.transaction() as uow:
            # The leg counts the core's own orders for this entry, so that each has an id of its own on every replay.
            leg = f"{await uow.intents.count(entry.run_id, entry.symbol, CORE)}"
            intent = TradeIntent(
                intent_id=make_intent_id(entry.run_id, purpose, entry.symbol, leg),
                run_id=entry.run_id,
                account_id=self._account_id,
                proposer=CORE,
                purpose=purpose,
                symbol=entry.symbol,
                side=Side.SELL,
                quantity=quantity,
                type=OrderType.STOP if is_stop else OrderType.MARKET,
                created_at=now,
                stop_price=instrument.floor_price(entry.stop_price) if is_stop and entry.stop_price else None,
                reason="protects the entry" if is_stop else "its stop was refused",
                evidence=(entry.intent_id,),
            )
            check = Check("protective", True, CORE, CORE, "the core's own: it sells what is held and nothing else")
            await uow.intents.add(intent)
            await uow.intents.add_decision(RiskDecision(intent.intent_id, Verdict.APPROVED, (check,), now))
            order = make_order(intent, make_request(intent, instrument, ticker, WorkingStyle.NOW), ticker, now)
            await uow.orders.add(order)
        return await self._send(order)
