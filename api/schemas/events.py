"""What runs tell, and what a socket is told of the present."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Amount, Answer, Instant
from api.schemas.fields import Derived, Ratio, shown_as
from api.services.marks import PricedBy

_EVENT: dict[str, object] = {
    "sequence": 7,
    "position": 1042,
    "account": "practice",
    "run_id": "cycle-0f1e2d3c4b5a69788796a5b4",
    "kind": "fill_booked",
    "at": "2026-03-02T12:00:02Z",
    "data": {"fill": {"symbol": "BTC/USDT", "side": "buy", "quantity": "0.25", "price": "61200.5"}},
}


class EventOut(Answer):
    """One step of a run."""

    model_config = shown_as(_EVENT)

    sequence: int = Field(description="Within the run, from 1 without a gap.")
    position: int = Field(description="Within the desk's whole log; it only grows.")
    account: str
    run_id: str
    kind: str = Field(description="What happened, such as `order_sent`.")
    at: Instant
    data: dict[str, object] = Field(description="What belongs to the kind; amounts are text.")


class EventsOut(Answer):
    """The next steps of a run."""

    model_config = shown_as({"items": [_EVENT], "next_after": 7, "is_over": False})

    items: list[EventOut] = Field(description="In order.")
    next_after: int = Field(description="Give it as `after` for what comes next.")
    is_over: bool = Field(description="Whether the run is over and these are its last events.")


class LivePrice(Answer):
    """`ticker` of the topic `market:…`."""

    symbol: str
    bid: Amount
    ask: Amount
    last: Amount
    at: Instant = Field(description="When these prices were true.")


class LivePosition(Answer):
    """A holding as it is now. What depends on a price is null while that is not known."""

    symbol: str
    quantity: Amount
    average_cost: Derived | None
    price: Amount | None
    value: Derived | None
    unrealised: Derived | None
    realised: Derived


class LivePositions(Answer):
    """`positions` of the topic of that name."""

    positions: list[LivePosition]
    priced_at: Instant | None
    priced_by: PricedBy | None


class LiveEquity(Answer):
    """`equity` of the topic of that name."""

    currency: str
    equity: Derived | None
    cash: Amount
    exposure: Ratio | None
    profit: Derived | None
    priced_at: Instant | None
    priced_by: PricedBy | None
