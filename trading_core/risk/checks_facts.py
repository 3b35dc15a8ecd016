"""Marks, and the two sets of numbers every check reads: the order's own and the account's. Each is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import TradeIntent
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import FINAL_STATES, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.risk.checks import HUGE, UNKNOWN, GateInputs, aware, or_unknown, usable
from trading_core.risk.limits import Limits

# Looked up once: on Python 3.11 reading a member off its enum costs as much as two Decimal operations.
_OPEN, _LOST, _BUY, _STOP = OrderState.OPEN, OrderState.UNKNOWN, Side.BUY, Purpose.STOP

HALF = Decimal("0.5")
STOP_TYPES = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class Marks(dict[str, Decimal]):
    """Each symbol's mark: the mid of a ticker that can be trusted now, else unknown. Worked out when first asked for.

    A symbol outside the account's currency has none.
    """

    __slots__ = ("_newest", "_oldest", "_suffix", "_tickers")

    def __init__(self, inputs: GateInputs, limits: Limits) -> None:
        super().__init__()
        now = aware(inputs.now)
        self._tickers = inputs.tickers
        self._suffix = f"/{inputs.portfolio.currency}"
        self._oldest = now - timedelta(seconds=limits.max_price_age_seconds)
        self._newest = now + timedelta(seconds=limits.max_clock_skew_seconds)

    def __missing__(self, symbol: str) -> Decimal:
        mark, ticker = UNKNOWN, self._tickers.get(symbol)
        if ticker is not None and ticker.symbol == symbol and symbol.endswith(self._suffix):
            bid, ask, at = ticker.bid, ticker.ask, ticker.at
            sound = ZERO < bid <= ask < HUGE and ZERO < ticker.last < HUGE
            if sound and at.tzinfo is not None and self._oldest <= at <= self._newest:
                mark = (bid + ask) * HALF
        self[symbol] = mark
        return mark


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The order in numbers.

    Attributes:
        reference: the last good price of its symbol.
        anchor: what the collar is measured from: the reference, or the trigger of a stop order.
        venue_price: what the venue's filters value it at.
        worst: what it is valued at: a buy's highest price, a sale's limit or the reference, whichever is higher.
        stop: an entry's protective stop or a stop order's trigger.
        fee: taker fee, fraction.
    """

    instrument: Instrument | None
    quantity: Decimal
    reference: Decimal
    anchor: Decimal
    venue_price: Decimal
    worst: Decimal
    stop: Decimal
    fee: Decimal

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.worst


def order_facts(intent: TradeIntent, inputs: GateInputs, limits: Limits, marks: Marks) -> OrderFacts:
    instrument = inputs.instruments.get(intent.symbol)
    reference = marks[intent.symbol]
    limit = None if intent.limit_price is None else or_unknown(intent.limit_price)
    stop = or_unknown(intent.stop_price)
    anchor = stop if intent.type in STOP_TYPES else reference
    if intent.side is Side.BUY:
        worst = limit if limit is not None else or_unknown(intent.worst_price)
        if limit is None and intent.worst_price is None:
            worst = reference * (1 + limits.market_order_margin)
    else:
        worst = limit if limit is not None and limit > reference else reference
    return OrderFacts(
        instrument=instrument,
        quantity=or_unknown(intent.quantity),
        reference=reference,
        anchor=anchor,
        venue_price=limit if limit is not None else anchor,
        worst=worst,
        stop=stop,
        fee=UNKNOWN if instrument is None else _fee(instrument),
    )


def _fee(instrument: Instrument) -> Decimal:
    return instrument.taker_fee if ZERO <= instrument.taker_fee < ONE else UNKNOWN


@dataclass(frozen=True, slots=True)
class Book:
    """The account in numbers, live buys counted as if they had filled.

    Attributes:
        equity: cash and every holding at its mark, quote.
        reserved: quote that live and unknown buys may still cost, fees included.
        values: by symbol, what is held and what live buys may add, quote.
        positions: symbols that count as a position: not dust, or with a live buy.
        unknown: symbols with an order whose fate is not known.
        committed: by symbol, base quantity that live sales other than protective stops will take.
        live: number of live orders.
    """

    equity: Decimal
    reserved: Decimal
    values: dict[str, Decimal]
    positions: set[str]
    unknown: set[str]
    committed: dict[str, Decimal]
    live: int


def read_book(inputs: GateInputs, limits: Limits, marks: Marks) -> Book:
    """One pass over the holdings and one over the orders."""
    # Every comparison is of Decimal with Decimal, and a symbol's fee is read once: this is the gate's only hot loop.
    equity, reserved, live = inputs.portfolio.cash, ZERO, 0
    values: dict[str, Decimal] = {}
    positions: set[str] = set()
    unknown: set[str] = set()
    committed: dict[str, Decimal] = {}
    with_fee: dict[str, Decimal] = {}
    instruments, margin = inputs.instruments, ONE + limits.market_order_margin
    for symbol, position in inputs.portfolio.positions.items():
        if position.quantity == ZERO:
            continue
        value = values[symbol] = or_unknown(position.quantity) * marks[symbol]
        equity += value
        instrument = instruments.get(symbol)
        # Dust cannot be sold by itself and must not use up a place; what cannot be valued does.
        if instrument is None or not value < instrument.min_notional:
            positions.add(symbol)
    for order in inputs.open_orders:
        state, request = order.state, order.request
        if state is not _OPEN:
            if state in FINAL_STATES:
                continue
            if state is _LOST:
                unknown.add(request.symbol)
        live += 1
        symbol, remaining = request.symbol, request.quantity - order.filled
        if not remaining >= ZERO:
            remaining = UNKNOWN
        if request.side is _BUY:
            if symbol not in with_fee:
                instrument = instruments.get(symbol)
                with_fee[symbol] = ONE + (UNKNOWN if instrument is None else _fee(instrument))
                positions.add(symbol)
            limit = request.limit_price
            worst = limit if limit is not None and ZERO < limit < HUGE else _worst_buy_price(request, marks, margin)
            value = remaining * worst
            reserved += value * with_fee[symbol]
            values[symbol] = values.get(symbol, ZERO) + value
        elif order.purpose is not _STOP:
            # A protective stop locks the same base, but the desk cancels it before it exits.
            committed[symbol] = committed.get(symbol, ZERO) + remaining
    return Book(equity, reserved, values, positions, unknown, committed, live)


def _worst_buy_price(request: OrderRequest, marks: Marks, margin: Decimal) -> Decimal:
    if request.limit_price is not None:
        return UNKNOWN
    reference = marks[request.symbol]
    if request.stop_price is not None and not request.stop_price <= reference:
        reference = or_unknown(request.stop_price)
    return reference * margin


def available_to_sell(symbol: str, inputs: GateInputs, book: Book) -> Decimal:
    """Base quantity held and not yet promised to another sale."""
    held = inputs.portfolio.position(symbol).quantity
    return (held if usable(held) or held == 0 else UNKNOWN) - book.committed.get(symbol, ZERO)
