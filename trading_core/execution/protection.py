"""Every holding has a stop at the venue. The core places it; no agent is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

from trading_core.domain.clock import Clock
from trading_core.domain.errors import MarketDataError, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict, make_intent_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.inputs import AccountView
from trading_core.persistence.session import Database

CORE = "core"


class Protection:
    """Keeps the quantity under stops equal to what is held, less what an exit is selling.

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

    async def protect(self, symbol: str, view: AccountView) -> tuple[Order, ...]:
        """Place a stop for whatever part of a holding has none; where the stop is refused, sell that part.

        Returns the orders that were sent. `view` only tells whether there may be something to do: what is bare is worked out
        again where the order is written.
        """
        instrument = self._instruments.get(symbol)
        if instrument is None or self._bare(instrument, view.portfolio, view.live_orders) <= 0:
            return ()
        written = await self._write(instrument, Purpose.STOP)
        if written is None:
            return ()
        stop = await self._send(written)
        if stop.state is not OrderState.REFUSED:
            return (stop,)
        # The price is through the stop already, or the venue will hold no stop: a bare position is not kept.
        leave = await self._write(instrument, Purpose.EXIT)
        return (stop,) if leave is None else (stop, await self._send(leave))

    def _bare(self, instrument: Instrument, portfolio: Portfolio, live: Sequence[Order]) -> Decimal:
        """What is held and promised to no sale: base cannot be promised twice, to a stop or to an exit."""
        sales = [order for order in live if order.symbol == instrument.symbol and order.side is Side.SELL]
        promised = sum((order.remaining for order in sales), ZERO)
        return instrument.floor_quantity(portfolio.position(instrument.symbol).quantity - promised)

    async def _ticker(self, symbol: str) -> Ticker | None:
        try:
            return await self._feed.ticker(symbol, as_of=self._clock.now())
        except (MarketDataError, UnknownSymbol):
            return None  # a stop does not wait for the market data

    async def _write(self, instrument: Instrument, purpose: Purpose) -> Order | None:
        """Write the core's own order for the bare part; None when there is none, or it is too small to be sold by itself."""
        now, symbol, ticker = self._clock.now(), instrument.symbol, await self._ticker(instrument.symbol)
        is_stop = purpose is Purpose.STOP
        async with self._database.transaction() as uow:
            portfolio = await uow.portfolios.load(self._account_id)
            quantity = self._bare(instrument, portfolio, await uow.orders.live(self._account_id))
            entry = await uow.intents.last_entry(self._account_id, symbol)
            if entry is None or entry.stop_price is None:
                return None
            # The venue values a stop at its own price and a sale at the market's: neither may be below its minimum.
            if instrument.is_dust(quantity, min(entry.stop_price, ticker.last if ticker else entry.stop_price)):
                return None
            # The leg counts the core's own orders for this entry, so that each has an id of its own on every replay, and no one
            # else's leg is the same.
            leg = f"{CORE}-{await uow.intents.count(entry.run_id, symbol, CORE)}"
            intent = TradeIntent(
                intent_id=make_intent_id(entry.run_id, purpose, symbol, leg),
                run_id=entry.run_id,
                account_id=self._account_id,
                proposer=CORE,
                purpose=purpose,
                symbol=symbol,
                side=Side.SELL,
                quantity=quantity,
                type=OrderType.STOP if is_stop else OrderType.MARKET,
                created_at=now,
                stop_price=instrument.floor_price(entry.stop_price) if is_stop else None,
                reason="protects the entry" if is_stop else "its stop was refused",
                evidence=(entry.intent_id,),
            )
            check = Check("protective", True, CORE, CORE, "the core's own: it sells what is held and nothing else")
            await uow.intents.add(intent)
            await uow.intents.add_decision(RiskDecision(intent.intent_id, Verdict.APPROVED, (check,), now))
            order = make_order(intent, make_request(intent, instrument, ticker, WorkingStyle.NOW), ticker, now)
            await uow.orders.add(order)
            return order
