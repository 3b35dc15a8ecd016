"""Every holding has a stop at the venue. The core places it; no agent is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading_core.domain.clock import Clock
from trading_core.domain.errors import MarketDataError, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import CORE, Check, RiskDecision, TradeIntent, Verdict, make_intent_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.execution.book import Book
from trading_core.execution.cancelling import Cancelling
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.ledger import Ledger
from trading_core.risk.limits_book import LimitsBook
from trading_core.risk.state import TradingState

PATIENCE = 5  # refused stops of one holding in a row, after which the venue is asked less often
_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _InVain:
    """Stops that were refused, the sale in their place being of no use: `held` stayed what it is. How many, and when last."""

    held: Decimal
    times: int
    at: datetime


class Protection:
    """Keeps the quantity under stops equal to what is held, less what an exit is selling.

    Args:
        send: sends an order that is already written down as `SUBMITTING`.
    """

    def __init__(
        self,
        ledger: Ledger,
        cancelling: Cancelling,
        feed: MarketFeed,
        clock: Clock,
        limits: LimitsBook,
        instruments: Mapping[str, Instrument],
        send: Callable[[Order], Awaitable[Order]],
    ) -> None:
        self._ledger, self._cancelling, self._feed, self._clock = ledger, cancelling, feed, clock
        self._limits, self._instruments, self._send = limits, instruments, send
        self._in_vain: dict[str, _InVain] = {}

    async def protect(self, symbol: str, book: Book) -> tuple[Order, ...]:
        """Place a stop for whatever part of a holding has none; where the stop is refused, sell that part.

        Returns the orders that were sent. `book` only tells whether there may be something to do: what is bare is worked out
        again where the order is written.
        """
        instrument, held = self._instruments.get(symbol), book.portfolio.position(symbol).quantity
        if instrument is None or self._bare(instrument, book) <= 0 or self._waits(symbol, held):
            return ()
        written = await self._write(instrument, Purpose.STOP)
        if written is None:
            return ()
        stop = await self._send(written)
        if stop.state is not OrderState.REFUSED:
            self._in_vain.pop(symbol, None)
            return (stop,)
        before = self._in_vain.get(symbol)
        times = before.times + 1 if before is not None and before.held == held else 1
        self._in_vain[symbol] = _InVain(held, times, self._clock.now())
        # The price is through the stop already, or the venue will hold no stop: a bare position is not kept.
        leave = await self._write(instrument, Purpose.EXIT)
        return (stop,) if leave is None else (stop, await self._send(leave))

    async def take_profit(self, symbol: str, book: Book) -> tuple[Order, ...]:
        """Sell a holding whose profit target the market has reached: its stop is taken back, for one of the two ends the other.

        The order takes what the book offers at the target or better and no more; the next sync puts a stop under the rest.
        A halted account sells nothing, and a price that is too old reaches nothing.
        """
        known, instrument, now = book.bought.get(symbol), self._instruments.get(symbol), self._clock.now()
        if known is None or known.intent.take_profit is None or instrument is None:
            return ()
        if book.risk_at(now).trading_state is TradingState.HALTED or _is_leaving(book, symbol):
            return ()
        ticker, target = await self._ticker(symbol), instrument.ceil_price(known.intent.take_profit)
        limits = self._limits.of(self._ledger.account_id, known.intent.strategy)
        if ticker is None or now - ticker.at > timedelta(seconds=limits.max_price_age_seconds) or ticker.bid < target:
            return ()
        await self._cancelling.cancel_stops(symbol, book)
        leave = await self._write(instrument, Purpose.EXIT, limit=target)
        sent = () if leave is None else (await self._send(leave),)
        return (*sent, *await self.protect(symbol, await self._ledger.lately()))

    def _waits(self, symbol: str, held: Decimal) -> bool:
        """Whether the venue took neither stop nor sale of the holding so often that it is given a rest."""
        known = self._in_vain.get(symbol)
        if known is None or known.held != held or known.times < PATIENCE:
            return False
        return self._clock.now() - known.at < _PAUSE

    def _bare(self, instrument: Instrument, book: Book) -> Decimal:
        """What is held and promised to no sale: base cannot be promised twice, to a stop or to an exit."""
        sales = [order for order in book.live.values() if order.symbol == instrument.symbol and order.side is Side.SELL]
        promised = sum((order.remaining for order in sales), ZERO)
        return instrument.floor_quantity(book.portfolio.position(instrument.symbol).quantity - promised)

    async def _ticker(self, symbol: str) -> Ticker | None:
        try:
            return await self._feed.ticker(symbol, as_of=self._clock.now())
        except (MarketDataError, UnknownSymbol):
            return None  # a stop does not wait for the market data

    async def _write(self, instrument: Instrument, purpose: Purpose, limit: Decimal | None = None) -> Order | None:
        """Write the core's own order for the bare part; None when there is none, or it is too small to be sold by itself."""
        now, symbol, ticker = self._clock.now(), instrument.symbol, await self._ticker(instrument.symbol)
        is_stop = purpose is Purpose.STOP
        async with self._ledger.writing() as entry:
            quantity = self._bare(instrument, entry.book)
            known = entry.book.bought.get(symbol)
            if known is None or known.intent.stop_price is None:
                return None
            if limit and entry.book.risk_at(now).trading_state is TradingState.HALTED:
                return None  # since it was looked at
            bought, stop_price = known.intent, known.intent.stop_price
            # The venue values a stop at its own price and a sale at the market's: neither may be below its minimum.
            if instrument.is_dust(quantity, min(stop_price, ticker.last if ticker else stop_price)):
                return None
            # The leg counts the core's own orders for this entry, so that each has an id of its own on every replay, and no one
            # else's leg is the same.
            leg = f"{CORE}-{await entry.uow.intents.count(bought.run_id, symbol, CORE)}"
            intent = TradeIntent(
                intent_id=make_intent_id(bought.run_id, purpose, symbol, leg),
                run_id=bought.run_id,
                account_id=self._ledger.account_id,
                proposer=CORE,
                purpose=purpose,
                symbol=symbol,
                side=Side.SELL,
                quantity=quantity,
                type=OrderType.STOP if is_stop else OrderType.LIMIT if limit else OrderType.MARKET,
                created_at=now,
                limit_price=limit,
                stop_price=instrument.floor_price(stop_price) if is_stop else None,
                time_in_force=TimeInForce.IOC if limit else TimeInForce.GTC,
                reason="protects the entry" if is_stop else "its profit target" if limit else "its stop was refused",
                evidence=(bought.intent_id,),
                strategy=bought.strategy,
            )
            check = Check("protective", True, CORE, CORE, "the core's own: it sells what is held and nothing else")
            await entry.uow.intents.add(intent)
            await entry.decide(intent, RiskDecision(intent.intent_id, Verdict.APPROVED, (check,), now))
            order = make_order(intent, make_request(intent, instrument, ticker, WorkingStyle.NOW), ticker, now)
            await entry.write(order, CORE, CORE)
            return order


def _is_leaving(book: Book, symbol: str) -> bool:
    """Whether a sale other than the stop works already."""
    live = book.live.values()
    return any(o.symbol == symbol and o.side is Side.SELL and o.purpose is not Purpose.STOP for o in live)
