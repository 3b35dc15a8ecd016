"""Orders, fills, and the one table by which an order moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading_core.domain.errors import FillConflict, IllegalTransition
from trading_core.domain.money import ZERO, Money


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"  # a market order once the stop price trades
    STOP_LIMIT = "stop_limit"  # a limit order once the stop price trades


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    POST_ONLY = "post_only"  # good till cancelled, refused if it would take liquidity


class OrderState(StrEnum):
    SUBMITTING = "submitting"  # written down, perhaps sent: the network call follows this write
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    UNKNOWN = "unknown"  # the venue's answer was lost: may be live, must not be resent
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUSED = "refused"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REFUSED})


class OrderEvent(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"  # timeout, 5xx, broken body: anything that is not provably a refusal
    ABSENT = "absent"  # the venue's own words, over open orders, closed orders and trades: it never had this order
    PARTLY_FILLED = "partly_filled"
    FULLY_FILLED = "fully_filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_S, _E = OrderState, OrderEvent

TRANSITIONS: dict[tuple[OrderState, OrderEvent], OrderState] = {
    (_S.SUBMITTING, _E.ACCEPTED): _S.OPEN,
    (_S.SUBMITTING, _E.REFUSED): _S.REFUSED,
    (_S.SUBMITTING, _E.AMBIGUOUS): _S.UNKNOWN,
    # A process that died between the write and the answer: after restart the venue tells whether it ever arrived.
    (_S.SUBMITTING, _E.ABSENT): _S.REFUSED,
    # A fill, a cancel or an expiry can overtake the acceptance on another connection.
    (_S.SUBMITTING, _E.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.SUBMITTING, _E.FULLY_FILLED): _S.FILLED,
    (_S.SUBMITTING, _E.CANCELLED): _S.CANCELLED,
    (_S.SUBMITTING, _E.EXPIRED): _S.EXPIRED,
    (_S.UNKNOWN, _E.ACCEPTED): _S.OPEN,
    (_S.UNKNOWN, _E.REFUSED): _S.REFUSED,
    (_S.UNKNOWN, _E.AMBIGUOUS): _S.UNKNOWN,
    (_S.UNKNOWN, _E.ABSENT): _S.REFUSED,
    (_S.UNKNOWN, _E.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.UNKNOWN, _E.FULLY_FILLED): _S.FILLED,
    (_S.UNKNOWN, _E.CANCELLED): _S.CANCELLED,
    (_S.UNKNOWN, _E.EXPIRED): _S.EXPIRED,
    (_S.OPEN, _E.ACCEPTED): _S.OPEN,
    (_S.OPEN, _E.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.OPEN, _E.FULLY_FILLED): _S.FILLED,
    (_S.OPEN, _E.CANCELLED): _S.CANCELLED,
    (_S.OPEN, _E.EXPIRED): _S.EXPIRED,
    # A stop can be refused when it triggers; a cancel whose answer was lost leaves the order as live as it was.
    (_S.OPEN, _E.REFUSED): _S.REFUSED,
    (_S.OPEN, _E.AMBIGUOUS): _S.UNKNOWN,
    (_S.PARTIALLY_FILLED, _E.ACCEPTED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.FULLY_FILLED): _S.FILLED,
    (_S.PARTIALLY_FILLED, _E.CANCELLED): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, _E.EXPIRED): _S.EXPIRED,
    (_S.PARTIALLY_FILLED, _E.AMBIGUOUS): _S.UNKNOWN,
    # Final states keep the answers that may still be on their way. A cancelled or expired order can still fill: the venue
    # matched it before it saw the cancel. The state stays, the fill is booked.
    (_S.CANCELLED, _E.CANCELLED): _S.CANCELLED,
    (_S.CANCELLED, _E.PARTLY_FILLED): _S.CANCELLED,
    (_S.CANCELLED, _E.FULLY_FILLED): _S.FILLED,
    (_S.EXPIRED, _E.EXPIRED): _S.EXPIRED,
    (_S.EXPIRED, _E.PARTLY_FILLED): _S.EXPIRED,
    (_S.EXPIRED, _E.FULLY_FILLED): _S.FILLED,
    (_S.FILLED, _E.FULLY_FILLED): _S.FILLED,
    (_S.FILLED, _E.ACCEPTED): _S.FILLED,
    # A cancel that lost the race against the last fill.
    (_S.FILLED, _E.CANCELLED): _S.FILLED,
    (_S.REFUSED, _E.REFUSED): _S.REFUSED,
    # The venue said that it had no such order, and then it arrived after all: evidence takes the refusal back.
    (_S.REFUSED, _E.ACCEPTED): _S.OPEN,
    (_S.REFUSED, _E.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.REFUSED, _E.FULLY_FILLED): _S.FILLED,
}


def next_state(state: OrderState, event: OrderEvent) -> OrderState:
    """The state after `event`.

    Raises:
        IllegalTransition: when the table has no such row.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(
            f"an order that is {state.value} cannot be {event.value}",
            not_done="The event was not booked",
            next_step="Compare the order with the venue",
        ) from None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What is sent to a venue. `reduce_only` orders may only close what is held."""

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `trade_id` is the venue's, unique per venue; the fee is in its own currency."""

    trade_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Money
    at: datetime
    is_maker: bool = False

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.price


class Purpose(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    EXIT = "exit"
    STOP = "stop"
    REBALANCE = "rebalance"


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the desk: the request, where it came from, and what became of it."""

    request: OrderRequest
    account_id: str
    intent_id: str
    run_id: str
    purpose: Purpose
    created_at: datetime
    state: OrderState = OrderState.SUBMITTING
    filled: Decimal = ZERO
    filled_notional: Decimal = ZERO
    venue_order_id: str | None = None
    arrival_price: Decimal | None = None  # mid price when the order was decided: slippage is measured from it
    reason: str = ""  # why it was refused or cancelled, in the venue's or the desk's words
    updated_at: datetime | None = None
    expires_at: datetime | None = None  # when the desk takes it back if it still works

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
    def remaining(self) -> Decimal:
        return self.request.quantity - self.filled

    @property
    def is_live(self) -> bool:
        return not self.state.is_final

    @property
    def average_price(self) -> Decimal | None:
        return self.filled_notional / self.filled if self.filled else None

    @property
    def slippage(self) -> Decimal | None:
        """Signed fraction of the arrival price lost (positive) or won (negative) on what was filled."""
        if self.average_price is None or not self.arrival_price:
            return None
        paid = (self.average_price - self.arrival_price) / self.arrival_price
        return paid if self.side is Side.BUY else -paid

    def on(self, event: OrderEvent, *, at: datetime, reason: str = "", venue_order_id: str | None = None) -> Order:
        """The order after a venue event."""
        return replace(
            self,
            state=next_state(self.state, event),
            updated_at=at,
            reason=reason or self.reason,
            venue_order_id=venue_order_id or self.venue_order_id,
        )

    def on_fill(self, fill: Fill) -> Order:
        """The order after an execution not seen before (the ledger deduplicates by trade id).

        Raises:
            FillConflict: for a fill that belongs elsewhere or fills more than was ordered.
        """
        if (fill.client_order_id, fill.symbol, fill.side) != (self.client_order_id, self.symbol, self.side):
            raise FillConflict(f"fill {fill.trade_id!r} does not belong to order {self.client_order_id!r}")
        filled = self.filled + fill.quantity
        if filled > self.request.quantity:
            raise FillConflict(
                f"fill {fill.trade_id!r} would bring order {self.client_order_id!r} to {filled} of {self.request.quantity}",
                not_done="The fill was not booked",
                next_step="Compare the order with the venue",
            )
        event = OrderEvent.FULLY_FILLED if filled == self.request.quantity else OrderEvent.PARTLY_FILLED
        return replace(
            self,
            state=next_state(self.state, event),
            filled=filled,
            filled_notional=self.filled_notional + fill.notional,
            updated_at=fill.at,
        )
