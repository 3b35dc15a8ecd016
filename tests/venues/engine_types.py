"""What the matching engine of the local venues takes and gives back.

Amounts are `Decimal`: quantities in the base currency, prices and costs in the quote currency. Instants are milliseconds since
1970 UTC, the unit that every venue's own protocol uses. Nothing here is shared with the desk, so that neither can hide the
other's mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)
RECEIVED, QUOTE, BASE = "received", "quote", "base"
"""Where a fee is taken from; any other value of `Fees.taken_in` is the name of a third coin."""


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def other(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Kind(StrEnum):
    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"

    @property
    def has_limit(self) -> bool:
        return self in (Kind.LIMIT, Kind.STOP_LIMIT, Kind.TAKE_PROFIT_LIMIT)

    @property
    def has_stop(self) -> bool:
        return self not in (Kind.LIMIT, Kind.MARKET)


class Lifetime(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class Status(StrEnum):
    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """The venue ended it: nothing left to match an order that may not rest, or it met an order of its own account."""


class Why(StrEnum):
    """Why the engine said no."""

    SYMBOL = "no such market"
    TICK = "price off the tick, or out of range"
    LOT = "quantity off the lot, or out of range"
    NOTIONAL = "notional out of range"
    FUNDS = "not enough free balance"
    DUPLICATE = "client order id in use"
    WOULD_TAKE = "post-only order would take"
    WOULD_TRIGGER = "stop would trigger at once"
    UNKNOWN_ORDER = "no such order, or not open"


class Rejected(Exception):
    """The engine did nothing, for the reason in `why`."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Market:
    """A spot market and its filters."""

    base: str
    quote: str
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.00001")
    min_quantity: Decimal = Decimal("0.00001")
    max_quantity: Decimal = Decimal(9000)
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9_000_000)

    @property
    def symbol(self) -> str:
        return f"{self.base}/{self.quote}"

    def check(self, ticket: Ticket, last: Decimal | None) -> None:
        """Hold an order against the filters; a market order's notional is taken at the last price.

        Raises:
            Rejected: a filter is against it.
        """
        for price in (ticket.limit, ticket.stop):
            if price is not None and (price <= 0 or price % self.tick):
                raise Rejected(Why.TICK)
        quantity = ticket.quantity
        if quantity is not None and (not self.min_quantity <= quantity <= self.max_quantity or quantity % self.lot):
            raise Rejected(Why.LOT)
        price = ticket.limit or ticket.stop or last
        notional = ticket.cost if ticket.cost is not None else (quantity or ZERO) * (price or ZERO)
        if not self.min_notional <= notional <= self.max_notional:
            raise Rejected(Why.NOTIONAL)


@dataclass(frozen=True, slots=True)
class Fees:
    """What a trade costs: fractions of the side's amount, and the currency they are taken in.

    `coin_price` (quote currency per coin) is needed for a third coin; an account without enough of it pays in what it received.
    """

    maker: Decimal = Decimal("0.001")
    taker: Decimal = Decimal("0.001")
    taken_in: str = RECEIVED
    coin_price: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order as it was asked for. A market order has a `quantity` or a `cost` in the quote currency; others a `quantity`."""

    account: str
    symbol: str
    side: Side
    kind: Kind
    client_id: str
    quantity: Decimal | None = None
    cost: Decimal | None = None
    limit: Decimal | None = None
    stop: Decimal | None = None
    lifetime: Lifetime = Lifetime.GTC
    post_only: bool = False


@dataclass(slots=True, eq=False)
class VenueOrder:
    """An order the venue took."""

    number: int
    ticket: Ticket
    created_ms: int
    updated_ms: int
    waiting: bool = False
    """A stop that has not triggered yet."""
    status: Status = Status.OPEN
    filled: Decimal = ZERO
    spent: Decimal = ZERO
    """Sum of price times quantity over the fills, in the quote currency."""
    held: Decimal = ZERO
    """Still locked for it, in the currency it gives away."""

    @property
    def left(self) -> Decimal | None:
        """Quantity to fill; None for an order by cost."""
        return None if self.ticket.quantity is None else self.ticket.quantity - self.filled


@dataclass(frozen=True, slots=True)
class Execution:
    """One account's side of a trade. Both sides carry the trade's number."""

    trade: int
    order: VenueOrder
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Print:
    """A price on the public tape; `quantity` is zero for a price that was set without a trade."""

    number: int
    at_ms: int
    price: Decimal
    quantity: Decimal
    taker: Side


@dataclass(slots=True)
class Wallet:
    """One asset of one account."""

    free: Decimal = ZERO
    locked: Decimal = ZERO
