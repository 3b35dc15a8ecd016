"""From an intent to the exact order that is sent."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import TradeIntent, make_client_order_id
from trading_core.domain.market import Ticker
from trading_core.domain.orders import Order, OrderRequest, OrderType, Side, TimeInForce


class WorkingStyle(StrEnum):
    """How an approved order is worked. Neither can do worse than what was approved."""

    NOW = "now"
    PASSIVE = "passive"


def make_request(intent: TradeIntent, instrument: Instrument, ticker: Ticker | None, style: WorkingStyle) -> OrderRequest:
    """What is sent for an intent.

    Working it passively posts at the best bid, never above the approved limit. A market order with a worst price goes out as
    an immediate-or-cancel limit there: nothing else holds a venue to it.
    """
    kind, limit, time_in_force = intent.type, intent.limit_price, intent.time_in_force
    if kind is OrderType.MARKET and intent.worst_price is not None:
        buys, worst = intent.side is Side.BUY, intent.worst_price
        kind, time_in_force = OrderType.LIMIT, TimeInForce.IOC
        limit = instrument.floor_price(worst) if buys else instrument.ceil_price(worst)
    may_rest = intent.side is Side.BUY and time_in_force is TimeInForce.GTC
    if style is WorkingStyle.PASSIVE and may_rest and limit is not None and ticker is not None:
        limit = min(limit, instrument.floor_price(ticker.bid))
        time_in_force = TimeInForce.POST_ONLY
    return OrderRequest(
        client_order_id=make_client_order_id(intent.intent_id),
        symbol=intent.symbol,
        side=intent.side,
        type=kind,
        quantity=intent.quantity,
        limit_price=limit,
        stop_price=intent.stop_price if intent.type in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=time_in_force,
        reduce_only=intent.side is Side.SELL,
    )


def make_order(intent: TradeIntent, request: OrderRequest, ticker: Ticker | None, now: datetime) -> Order:
    """The order row that is written before anything is sent."""
    return Order(
        expires_at=intent.expires_at,
        request=request,
        account_id=intent.account_id,
        intent_id=intent.intent_id,
        run_id=intent.run_id,
        purpose=intent.purpose,
        created_at=now,
        arrival_price=ticker.mid if ticker else None,
    )


def reserve(intent: TradeIntent) -> Order:
    """An intent that waits to be sent, as the order it may become: what it would take counts as taken."""
    request = OrderRequest(
        client_order_id=make_client_order_id(intent.intent_id),
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        quantity=intent.quantity,
        limit_price=intent.limit_price if intent.limit_price is not None else intent.worst_price,
        stop_price=intent.stop_price if intent.type in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
    )
    return make_order(intent, request, None, intent.created_at)
