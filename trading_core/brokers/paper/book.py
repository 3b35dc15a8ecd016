"""The paper venue's own record of one account: balances, live orders, and what they have filled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading_core.brokers.base import OrderReport
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.money import ONE, ZERO, Money
from trading_core.domain.orders import Fill, OrderEvent, OrderRequest, OrderState, OrderType, Side, next_state


class Stage(StrEnum):
    """Where a live order stands inside the venue."""

    IN_TRANSIT = "in_transit"  # acknowledged, not in the book before `arrives_at`
    ARMED = "armed"  # a stop that has not triggered
    TAKING = "taking"  # a market order or triggered stop that takes at every bar's open until done
    RESTING = "resting"  # a limit order in the book


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """An order as the venue keeps it.

    Attributes:
        number: its place in the account's sequence, from 1.
        lock_price: what each unfilled base unit locks: quote for a buy, one base for a sell.
        rests_from: since when a resting limit is in the book.
        cancel_at: when a requested cancel arrives.
    """

    number: int
    request: OrderRequest
    placed_at: datetime
    arrives_at: datetime
    lock_price: Decimal
    updated_at: datetime
    stage: Stage = Stage.IN_TRANSIT
    state: OrderState = OrderState.OPEN
    filled: Decimal = ZERO
    rests_from: datetime | None = None
    cancel_at: datetime | None = None
    reason: str = ""

    @property
    def client_order_id(self) -> str:
        return self.request.client_order_id

    @property
    def symbol(self) -> str:
        return self.request.symbol

    @property
    def side(self) -> Side:
        return self.request.side

    @property
    def is_stop(self) -> bool:
        return self.request.type in (OrderType.STOP, OrderType.STOP_LIMIT)

    @property
    def remaining(self) -> Decimal:
        return self.request.quantity - self.filled

    @property
    def is_live(self) -> bool:
        return not self.state.is_final

    @property
    def lock_asset(self) -> str:
        base, _, quote = self.symbol.partition("/")
        return quote if self.side is Side.BUY else base

    @property
    def locked(self) -> Decimal:
        return self.lock_price * self.remaining if self.is_live else ZERO

    def report(self) -> OrderReport:
        return OrderReport(
            client_order_id=self.client_order_id,
            venue_order_id=f"o-{self.number:06d}",
            symbol=self.symbol,
            state=self.state,
            filled=self.filled,
            updated_at=self.updated_at,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Base quantity the account has traded on one side of one market in the bar that opened at `bar`."""

    bar: datetime
    quantity: Decimal


@dataclass(slots=True)
class Book:
    """One account at the venue, and what changed in it since it was last stored.

    A call works on a `draft()`, stores it and only then puts it in the place of the old one, so that a feed that fails in
    the middle of a walk leaves nothing half done.

    Attributes:
        walked_to: every event up to this instant has been matched.
        totals: every asset's balance, locked amounts included.
        live: live orders by client order id, in the order they were placed.
        usage: by symbol and side; see `Usage`.
        touched: orders, new and changed, not yet stored.
        new_fills: executions not yet stored.
    """

    walked_to: datetime
    totals: dict[str, Decimal]
    live: dict[str, PaperOrder] = field(default_factory=dict)
    usage: dict[tuple[str, Side], Usage] = field(default_factory=dict)
    orders_placed: int = 0
    trades_made: int = 0
    touched: dict[str, PaperOrder] = field(default_factory=dict)
    new_fills: list[Fill] = field(default_factory=list)

    def draft(self) -> Book:
        """A copy to work on, with nothing left to store."""
        return replace(self, totals=dict(self.totals), live=dict(self.live), usage=dict(self.usage), touched={}, new_fills=[])

    def locked(self, asset: str) -> Decimal:
        return sum((order.locked for order in self.live.values() if order.lock_asset == asset), ZERO)

    def free(self, asset: str) -> Decimal:
        return self.totals.get(asset, ZERO) - self.locked(asset)

    def of(self, symbol: str, *stages: Stage) -> list[PaperOrder]:
        """Live orders of a market in the given stages, oldest first."""
        return [order for order in self.live.values() if order.symbol == symbol and order.stage in stages]

    def put(self, order: PaperOrder) -> PaperOrder:
        """Record an order as it now is."""
        self.touched[order.client_order_id] = order
        if order.is_live:
            self.live[order.client_order_id] = order
        else:
            self.live.pop(order.client_order_id, None)
        return order

    def cancel(self, order: PaperOrder, *, at: datetime, reason: str) -> PaperOrder:
        """End an order; what it locked is free again."""
        state = next_state(order.state, OrderEvent.CANCELLED)
        return self.put(replace(order, state=state, updated_at=at, reason=reason))

    def room(self, order: PaperOrder, instrument: Instrument, *, bar: datetime, cap: Decimal) -> Decimal:
        """How much of an order may trade in a bar of which the account may be at most `cap` (base) on its side."""
        usage = self.usage.get((order.symbol, order.side))
        used = usage.quantity if usage is not None and usage.bar == bar else ZERO
        return instrument.floor_quantity(max(ZERO, min(order.remaining, cap - used)))

    def fill(
        self,
        order: PaperOrder,
        instrument: Instrument,
        *,
        quantity: Decimal,
        price: Decimal,
        at: datetime,
        bar: datetime,
        is_maker: bool,
    ) -> PaperOrder:
        """Execute up to `quantity` (above zero) at `price`; what the account cannot pay for is cancelled."""
        rate = instrument.maker_fee if is_maker else instrument.taker_fee
        affordable = self._affordable(order, instrument, quantity, price, rate)
        if affordable > 0:
            order = self._execute(order, instrument, affordable, price, rate, at, bar, is_maker)
        if affordable < quantity:
            return self.cancel(order, at=at, reason=f"free {instrument.quote} does not pay for the rest")
        return order

    def _execute(
        self,
        order: PaperOrder,
        instrument: Instrument,
        quantity: Decimal,
        price: Decimal,
        rate: Decimal,
        at: datetime,
        bar: datetime,
        is_maker: bool,
    ) -> PaperOrder:
        buys = order.side is Side.BUY
        if buys and instrument.fee_currency is FeeCurrency.RECEIVED:
            fee = Money(quantity * rate, instrument.base)
        else:
            fee = Money(quantity * price * rate, instrument.quote)
        self.trades_made += 1
        trade_id = f"t-{self.trades_made:06d}"
        self.new_fills.append(Fill(trade_id, order.client_order_id, order.symbol, order.side, quantity, price, fee, at, is_maker))
        sign = 1 if buys else -1
        self._add(instrument.base, sign * quantity)
        self._add(instrument.quote, -sign * quantity * price)
        self._add(fee.asset, -fee.amount)

        key = (order.symbol, order.side)
        usage = self.usage.get(key)
        used = usage.quantity if usage is not None and usage.bar == bar else ZERO
        self.usage[key] = Usage(bar, used + quantity)

        filled = order.filled + quantity
        event = OrderEvent.FULLY_FILLED if filled == order.request.quantity else OrderEvent.PARTLY_FILLED
        return self.put(replace(order, state=next_state(order.state, event), filled=filled, updated_at=at))

    def _affordable(self, order: PaperOrder, instrument: Instrument, quantity: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """The part of `quantity` that its own lock and the free balance pay for. A sale has locked all it needs."""
        if order.side is Side.SELL:
            return quantity
        excess = price * (ONE + rate if instrument.fee_currency is FeeCurrency.QUOTE else ONE) - order.lock_price
        free = self.free(instrument.quote)
        if excess * quantity <= free:
            return quantity
        affordable = instrument.floor_quantity(free / excess)
        # The division is rounded to the context's precision, perhaps upwards.
        return affordable if excess * affordable <= free else affordable - instrument.lot_size

    def _add(self, asset: str, amount: Decimal) -> None:
        self.totals[asset] = self.totals.get(asset, ZERO) + amount
