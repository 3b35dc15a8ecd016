"""An order as a person asks for it, and the exact intent that is made of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from graph.control.pauses import Paused
from graph.proposals import MOST_PAID_ABOVE_ASK
from trading_core.auth.permissions import Action
from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput, RunError
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import TradeIntent, digest, make_intent_id
from trading_core.domain.market import Ticker
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.domain.positions import Position
from trading_core.persistence.unit_of_work import UnitOfWork

_AMOUNTS = ("quantity", "notional", "fraction", "limit_price", "stop_price", "take_profit")
_LONGEST_AHEAD = timedelta(days=400)
Amount = Annotated[Decimal, Field(gt=0, allow_inf_nan=False, max_digits=28, decimal_places=18)]


class TicketType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class OrderTicket(BaseModel):
    """One order that a person wants. Amounts are exact; nothing of it is chosen by a model once it is confirmed.

    Attributes:
        quantity: of the base currency.
        notional: of the quote currency, turned into a quantity at the ask (a buy), the bid (a sale) or the limit price.
        fraction: of what is held, 1 for all of it; sales only.
        limit_price: quote per base; limit orders only.
        stop_price: where the holding is given up; a buy must have one, and its protective stop is placed with it.
        take_profit: where the holding is sold with profit; buys only.
        time_in_force: of a limit order.
        expires_at: when it is taken back if it still works.
        reason: for the record.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"symbol": "BTC/USDT", "side": "buy", "notional": "500", "stop_price": "52000", "reason": "A first part."}
            ]
        },
    )

    symbol: Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]{1,20}/[A-Za-z0-9.\-]{1,20}$", examples=["BTC/USDT"])]
    side: Side
    quantity: Amount | None = None
    notional: Amount | None = None
    fraction: Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False, max_digits=19, decimal_places=18)] | None = None
    type: TicketType = TicketType.MARKET
    limit_price: Amount | None = None
    stop_price: Amount | None = None
    take_profit: Amount | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    reason: Annotated[str, Field(max_length=500)] = ""

    @field_validator("expires_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        try:
            return None if value is None else utc(value)
        except InvalidInput as error:
            raise ValueError(error.what) from None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sizes = [name for name in ("quantity", "notional", "fraction") if getattr(self, name) is not None]
        if len(sizes) != 1:
            raise ValueError("give exactly one of quantity, notional and fraction")
        if self.side is Side.BUY:
            if self.fraction is not None:
                raise ValueError("a fraction is of what is held: it goes with a sale")
            if self.stop_price is None:
                raise ValueError("a buy needs a stop price: where the holding is given up")
        elif self.stop_price is not None or self.take_profit is not None:
            raise ValueError("a stop and a profit target belong to a buy; a sale ends the holding")
        if (self.type is TicketType.LIMIT) != (self.limit_price is not None):
            raise ValueError("a limit order needs a limit price, and a market order has none")
        if self.type is TicketType.MARKET and (self.time_in_force is not TimeInForce.GTC or self.expires_at is not None):
            raise ValueError("a market order is done at once: time in force and expiry go with a limit order")
        return self

    @property
    def content_hash(self) -> str:
        """Over everything that moves money; whoever confirms a ticket names it. The reason is not part of it."""
        said = self.model_dump(mode="json", exclude={"reason", *_AMOUNTS})
        return digest({**said, **{name: getattr(self, name) for name in _AMOUNTS}})  # 1 and 1.0 are the same order

    @property
    def proposes(self) -> Action:
        """What must be allowed to whoever asks for it, beside submitting."""
        return Action.PROPOSE_ENTRY if self.side is Side.BUY else Action.PROPOSE_EXIT

    @property
    def purpose(self) -> Purpose:
        return Purpose.ENTRY if self.side is Side.BUY else Purpose.EXIT


def make_intent(
    ticket: OrderTicket,
    who: str,
    run_id: str,
    account_id: str,
    *,
    ticker: Ticker | None,
    instrument: Instrument | None,
    position: Position,
    now: datetime,
    strategy: str = "",
) -> TradeIntent:
    """The intent of a ticket at the prices of now. The same run always gives the same id.

    A market buy may not pay more than 0.5 % through the ask, as an entry of the desk's own agents.

    Args:
        who: the principal's name.

    Raises:
        InvalidInput: the symbol does not trade here or has no price, the size is not a lot, or the prices contradict each other.
    """
    if instrument is None:
        raise _refused(f"the account's market lists no {ticket.symbol!r}", "Choose one of its symbols")
    if ticker is None:
        raise _refused(f"{ticket.symbol} has no price now", "Try again when the market is heard")
    if ticket.expires_at is not None and not now < ticket.expires_at <= now + _LONGEST_AHEAD:
        raise _refused(f"the order would end at {ticket.expires_at}", "Give a time that is still to come, within 400 days")
    buys = ticket.side is Side.BUY
    touch = ticker.ask if buys else ticker.bid
    limit = _on_grid(ticket.limit_price, instrument)
    worst = limit if limit is not None else instrument.ceil_price(touch * (1 + MOST_PAID_ABOVE_ASK)) if buys else None
    price = limit if limit is not None else touch
    quantity = instrument.floor_quantity(_quantity(ticket, price, position))
    if quantity <= 0:
        raise _refused("the size is less than one lot", f"{ticket.symbol} trades in lots of {instrument.lot_size}")
    stop, target = _on_grid(ticket.stop_price, instrument), _on_grid(ticket.take_profit, instrument)
    if stop is not None and stop >= price:
        raise _refused(f"the stop price {stop} is not below {price}", "Give a stop below the price of the buy")
    if target is not None and target <= price:
        raise _refused(f"the profit target {target} is not above {price}", "Give a target above the price of the buy")
    priced = limit is not None or buys  # what may not be paid more than a worst price is a limit order there
    market_buy = buys and limit is None
    return TradeIntent(
        intent_id=make_intent_id(run_id, ticket.purpose, ticket.symbol),
        run_id=run_id,
        account_id=account_id,
        proposer=who,
        purpose=ticket.purpose,
        symbol=ticket.symbol,
        side=ticket.side,
        quantity=quantity,
        type=OrderType.LIMIT if priced else OrderType.MARKET,
        created_at=now,
        limit_price=worst,
        worst_price=worst if buys else None,
        stop_price=stop,
        time_in_force=TimeInForce.IOC if market_buy else ticket.time_in_force,
        reason=ticket.reason,
        strategy=strategy,
        take_profit=target,
        expires_at=ticket.expires_at,
    )


async def require_not_paused(uow: UnitOfWork, account_id: str, ticket: OrderTicket) -> None:
    """Nothing is bought of a symbol that somebody has paused; what is held of it may be sold.

    Raises:
        RunError: naming who paused it, and why.
    """
    pause = (await Paused.of(uow, account_id)).bars(ticket.symbol, ticket.side)
    if pause is not None:
        raise RunError(
            f"{ticket.symbol} is paused by {pause.by}: {pause.reason}",
            not_done="No order was made",
            next_step="Lift the pause first",
        )


def _quantity(ticket: OrderTicket, price: Decimal, position: Position) -> Decimal:
    if ticket.quantity is not None:
        return ticket.quantity
    if ticket.notional is not None:
        return ticket.notional / price
    if ticket.fraction is None or position.quantity <= 0:
        raise _refused(f"nothing of {ticket.symbol} is held", "Look at the positions")
    return position.quantity * ticket.fraction


def _on_grid(price: Decimal | None, instrument: Instrument) -> Decimal | None:
    """Prices that people name are taken down to the venue's grid."""
    return None if price is None else instrument.floor_price(price)


def _refused(what: str, next_step: str) -> InvalidInput:
    return InvalidInput(what, not_done="No order was made", next_step=next_step)
