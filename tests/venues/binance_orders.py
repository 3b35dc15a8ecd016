"""Binance's orders: its parameters read into the engine's tickets, and the engine's orders and trades as Binance shows them.

Source of names, rules and codes: https://developers.binance.com/docs/binance-spot-api-docs (REST: trading endpoints; errors;
filters).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from tests.venues.engine_types import ZERO, Execution, Kind, Lifetime, Market, Side, Status, Ticket, VenueOrder, Why

Params = Mapping[str, str]
Row = dict[str, object]

TYPES = {
    "LIMIT": Kind.LIMIT,
    "LIMIT_MAKER": Kind.LIMIT,
    "MARKET": Kind.MARKET,
    "STOP_LOSS": Kind.STOP,
    "STOP_LOSS_LIMIT": Kind.STOP_LIMIT,
    "TAKE_PROFIT": Kind.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": Kind.TAKE_PROFIT_LIMIT,
}
NEW_ORDER = frozenset(
    {
        "symbol",
        "side",
        "type",
        "timeInForce",
        "quantity",
        "quoteOrderQty",
        "price",
        "stopPrice",
        "newClientOrderId",
        "newOrderRespType",
        "selfTradePreventionMode",
    }
)
"""The parameters of a new order that this venue knows; any other is refused."""
CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


class BinanceError(Exception):
    """An error as Binance words it: HTTP status, code, message."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


REJECTIONS = {
    Why.SYMBOL: (-1121, "Invalid symbol."),
    Why.TICK: (-1013, "Filter failure: PRICE_FILTER"),
    Why.LOT: (-1013, "Filter failure: LOT_SIZE"),
    Why.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Why.FUNDS: (-2010, "Account has insufficient balance for requested action."),
    Why.DUPLICATE: (-2010, "Duplicate order sent."),
    Why.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Why.WOULD_TRIGGER: (-2010, "Stop price would trigger immediately."),
    Why.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
}


def only(params: Params, known: frozenset[str]) -> None:
    """Refuse a request with parameters the endpoint does not have."""
    if unknown := params.keys() - known:
        read, sent = len(params) - len(unknown), len(params)
        raise BinanceError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def need(params: Params, name: str) -> str:
    if not params.get(name):
        raise BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return params[name]


def number(params: Params, name: str) -> int | None:
    if name not in params:
        return None
    if not params[name].isdecimal():
        raise BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(params[name])


def _amount(params: Params, name: str) -> Decimal | None:
    if name not in params:
        return None
    try:
        value = Decimal(params[name])
    except InvalidOperation:
        value = Decimal("NaN")
    # Digits and a point only: an exponent is as illegal here as letters are.
    if not value.is_finite() or not re.fullmatch(r"\d{1,20}(\.\d{1,20})?", params[name]):
        raise BinanceError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'."
        )
    if value != round(value, 8):
        raise BinanceError(-1111, f"Parameter '{name}' has too much precision.")
    return value


def ticket(params: Params, account: str, market: Market, generated_id: str) -> Ticket:
    """The engine's ticket for the parameters of a new order."""
    side, kind = need(params, "side"), need(params, "type")
    if side not in ("BUY", "SELL"):
        raise BinanceError(-1117, "Invalid side.")
    if kind not in TYPES:
        raise BinanceError(-1116, "Invalid orderType.")
    client_id = params.get("newClientOrderId", generated_id)
    if not CLIENT_ID.fullmatch(client_id):
        raise BinanceError(
            -1100, "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{1,36}$'."
        )
    engine_kind = TYPES[kind]
    allowed = {"price": engine_kind.has_limit, "stopPrice": engine_kind.has_stop, "quoteOrderQty": engine_kind is Kind.MARKET}
    allowed["timeInForce"] = engine_kind.has_limit and kind != "LIMIT_MAKER"
    for name, may in allowed.items():
        if may and name != "quoteOrderQty":
            need(params, name)
        elif not may and name in params:
            raise BinanceError(-1106, f"Parameter '{name}' sent when not required.")
    if "quoteOrderQty" not in params:
        need(params, "quantity")
    elif "quantity" in params:
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    lifetime = params.get("timeInForce", "GTC")
    if lifetime not in ("GTC", "IOC", "FOK"):
        raise BinanceError(-1115, "Invalid timeInForce.")
    return Ticket(
        account,
        market.symbol,
        Side(side.lower()),
        engine_kind,
        client_id,
        _amount(params, "quantity"),
        _amount(params, "quoteOrderQty"),
        _amount(params, "price"),
        _amount(params, "stopPrice"),
        Lifetime(lifetime.lower()),
        kind == "LIMIT_MAKER",
    )


def money(value: Decimal | None) -> str:
    """Binance writes amounts with eight digits."""
    return f"{value or ZERO:.8f}"


def _status(order: VenueOrder) -> str:
    match order.status:
        case Status.OPEN:
            return "PARTIALLY_FILLED" if order.filled else "NEW"
        case Status.FILLED:
            return "FILLED"
        case Status.CANCELLED:
            return "CANCELED"
        case Status.EXPIRED:
            return "EXPIRED"


def _type(order: Ticket) -> str:
    if order.post_only:
        return "LIMIT_MAKER"
    return next(name for name, kind in TYPES.items() if kind is order.kind)


def _common(order: VenueOrder, market: str) -> Row:
    asked = order.ticket
    quantity = asked.quantity if asked.quantity is not None else order.filled
    row: Row = {
        "symbol": market,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": asked.client_id,
        "price": money(asked.limit),
        "origQty": money(quantity),
        "executedQty": money(order.filled),
        "origQuoteOrderQty": money(asked.cost),
        "cummulativeQuoteQty": money(order.spent),
        "status": _status(order),
        "timeInForce": asked.lifetime.value.upper(),
        "type": _type(asked),
        "side": asked.side.value.upper(),
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    if asked.stop is not None:
        row["stopPrice"] = money(asked.stop)
    return row


def order_row(order: VenueOrder, market: str) -> Row:
    """As queries and listings show it."""
    return (
        {"stopPrice": money(None)}
        | _common(order, market)
        | {
            "icebergQty": money(None),
            "time": order.created_ms,
            "updateTime": order.updated_ms,
            "isWorking": not order.waiting,
            "workingTime": -1 if order.waiting else order.created_ms,
        }
    )


def new_order_row(order: VenueOrder, market: str, executions: list[Execution], detail: str) -> Row:
    """The answer to a new order, in the detail that `newOrderRespType` asked for: ACK, RESULT or FULL."""
    row = _common(order, market) | {"transactTime": order.created_ms}
    if detail == "ACK":
        return {name: row[name] for name in ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")}
    row["workingTime"] = -1 if order.waiting else order.created_ms
    if detail == "FULL":
        row["fills"] = [
            {
                "price": money(done.price),
                "qty": money(done.quantity),
                "commission": money(done.fee),
                "commissionAsset": done.fee_asset,
                "tradeId": done.trade,
            }
            for done in executions
        ]
    return row


def cancelled_row(order: VenueOrder, market: str, cancel_id: str) -> Row:
    """The answer to a cancel. Its `clientOrderId` is the cancel's own; the order's stands in `origClientOrderId`."""
    ids = {"origClientOrderId": order.ticket.client_id, "clientOrderId": cancel_id, "transactTime": order.updated_ms}
    return _common(order, market) | ids


def trade_row(done: Execution, market: str) -> Row:
    """As `myTrades` shows it."""
    return {
        "symbol": market,
        "id": done.trade,
        "orderId": done.order.number,
        "orderListId": -1,
        "price": money(done.price),
        "qty": money(done.quantity),
        "quoteQty": money(done.price * done.quantity),
        "commission": money(done.fee),
        "commissionAsset": done.fee_asset,
        "time": done.at_ms,
        "isBuyer": done.order.ticket.side is Side.BUY,
        "isMaker": done.is_maker,
        "isBestMatch": True,
    }
