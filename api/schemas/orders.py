"""Orders, what became of them, and fills."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import Derived, Ratio, Seconds, shown_as
from api.services.desks import Worker
from trading_core.domain.orders import OrderEvent, OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.persistence.records import RunKind, RunState

_ORDER: dict[str, object] = {
    "id": "at3f2c9d7a51e8460b",
    "symbol": "BTC/USDT",
    "side": "buy",
    "type": "limit",
    "purpose": "entry",
    "state": "filled",
    "quantity": "0.25",
    "filled": "0.25",
    "limit_price": "61500",
    "stop_price": None,
    "time_in_force": "ioc",
    "average_price": "61200.5",
    "slippage": "0.00012",
    "reason": "",
    "intent_id": "3f2c9d7a51e8460b3f2c9d7a51e8460b3f2c9d7a51e8460b3f2c9d7a51e8460b",
    "run_id": "3f2c9d7a51-20260302T120000Z",
    "venue_order_id": "paper-17",
    "created_at": "2026-03-02T12:00:01Z",
    "updated_at": "2026-03-02T12:00:02Z",
    "expires_at": None,
    "is_live": False,
}
_FILL: dict[str, object] = {
    "trade_id": "paper-17-1",
    "order_id": "at3f2c9d7a51e8460b",
    "symbol": "BTC/USDT",
    "side": "buy",
    "quantity": "0.25",
    "price": "61200.5",
    "notional": "15300.125",
    "fee": "0.00025",
    "fee_asset": "BTC",
    "is_maker": False,
    "at": "2026-03-02T12:00:02Z",
}


class OrderOut(Answer):
    """An order of the desk."""

    model_config = shown_as(_ORDER)

    id: str = Field(description="The desk's own id; venues know it as the client order id.")
    symbol: str
    side: Side
    type: OrderType
    purpose: Purpose
    state: OrderState
    quantity: Amount
    filled: Amount
    limit_price: Amount | None
    stop_price: Amount | None
    time_in_force: TimeInForce
    average_price: Derived | None = Field(description="Of what was filled, quote per base.")
    slippage: Ratio | None = Field(description="Against the mid when it was decided; above zero is a loss.")
    reason: str = Field(description="Why it was refused or taken back, in the venue's or the desk's words.")
    intent_id: str
    run_id: str
    venue_order_id: str | None
    created_at: Instant
    updated_at: Instant | None
    expires_at: Instant | None = Field(description="When the desk takes it back if it still works.")
    is_live: bool = Field(description="Whether it may still trade.")


class OrderStep(Answer):
    """One step of an order."""

    sequence: int
    event: OrderEvent
    state: OrderState
    at: Instant
    detail: str


class FillOut(Answer):
    """An execution."""

    model_config = shown_as(_FILL)

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Amount
    price: Amount
    notional: Amount = Field(description="Quote.")
    fee: Amount = Field(description="Of `fee_asset`.")
    fee_asset: str
    is_maker: bool
    at: Instant


class QualityOut(Answer):
    """How well an order was worked (implementation shortfall, fees apart)."""

    reference_price: Amount | None = Field(description="Mid when it was decided; of a stop its stop price.")
    slippage: Ratio | None = Field(description="Fraction of the reference price; above zero is a loss.")
    fill_ratio: Ratio
    first_fill_after: Seconds | None = Field(description="Seconds since it was written down.")
    last_fill_after: Seconds | None
    fees: dict[str, Amount]
    is_alarming: bool = Field(description="Whether more was lost to slippage than is usual.")


class OrderDetailOut(Answer):
    """An order with all that happened to it."""

    model_config = shown_as(
        {
            "order": _ORDER,
            "events": [
                {"sequence": 1, "event": "accepted", "state": "open", "at": "2026-03-02T12:00:01Z", "detail": ""},
                {
                    "sequence": 2,
                    "event": "fully_filled",
                    "state": "filled",
                    "at": "2026-03-02T12:00:02Z",
                    "detail": "0.25 at 61200.5",
                },
            ],
            "fills": [_FILL],
            "quality": {
                "reference_price": "61193.1",
                "slippage": "0.00012",
                "fill_ratio": "1",
                "first_fill_after": 1.0,
                "last_fill_after": 1.0,
                "fees": {"BTC": "0.00025"},
                "is_alarming": False,
            },
        }
    )

    order: OrderOut
    events: list[OrderStep] = Field(description="Oldest first.")
    fills: list[FillOut] = Field(description="In the order they were booked.")
    quality: QualityOut


class AskedOut(Answer):
    """A run was asked for. It is worked on whether or not anybody waits; follow its events to see what comes of it."""

    model_config = shown_as(
        {
            "run_id": "order-0f1e2d3c4b5a69788796a5b4",
            "account": "practice",
            "kind": "order",
            "state": "queued",
            "worked_on_by": "this process",
            "note": "",
        }
    )

    run_id: str
    account: str
    kind: RunKind
    state: RunState
    worked_on_by: Worker
    note: str = Field(description="What the caller should know, such as that no desk runs the account and the run waits.")
