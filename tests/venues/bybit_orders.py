"""Bybit's orders: its parameters read into the engine's tickets, and the engine's orders and trades as Bybit shows them.

Source of names, rules and errors: https://bybit-exchange.github.io/docs/v5/order/create-order (and `open-order`, `order-list`,
`execution` beside it), https://bybit-exchange.github.io/docs/v5/enum and https://bybit-exchange.github.io/docs/v5/error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tests.venues.engine_types import ZERO, Execution, Kind, Lifetime, Market, Side, Status, Ticket, VenueOrder, Why
from tests.venues.server import Call

Params = Mapping[str, object]
Row = dict[str, object]

LIFETIMES = {"GTC": Lifetime.GTC, "IOC": Lifetime.IOC, "FOK": Lifetime.FOK, "PostOnly": Lifetime.GTC}
CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?")
FIRST_ORDER, FIRST_TRADE = 1_900_000_000_000_000_000, 2_290_000_000_000_000_000
"""Bybit's numbers of spot orders and executions have nineteen digits: a client that reads them as floats loses some."""


class BybitError(Exception):
    """An error as Bybit numbers and words it; it comes with status 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


REJECTIONS = {
    Why.SYMBOL: (10001, "Not supported symbols"),
    Why.TICK: (170134, "Order price has too many decimals."),
    Why.LOT: (170137, "Order quantity has too many decimals."),
    Why.NOTIONAL: (170140, "Order value exceeded lower limit."),
    Why.FUNDS: (170131, "Insufficient balance."),
    Why.DUPLICATE: (170141, "Duplicate clientOrderId."),
    Why.WOULD_TAKE: (170218, "The LIMIT-MAKER order is rejected due to invalid price."),
    Why.WOULD_TRIGGER: (110092, "expect Rising, but trigger_price <= current"),
    Why.UNKNOWN_ORDER: (170213, "Order does not exist."),
}


def need(params: Params, name: str) -> str:
    """A parameter that has to be there, as text: Bybit takes no JSON numbers for amounts."""
    value = params.get(name)
    if value is None or value == "":
        raise BybitError(170105, f"Parameter '{name}' was empty.")
    if not isinstance(value, str):
        raise BybitError(10001, f"Request parameter error: {name}.")
    return value


def body_of(call: Call) -> Params:
    """The parameters of a request, of its query or of its JSON; only spot is served."""
    try:
        body = json.loads(call.body) if call.method == "POST" else dict(call.params)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BybitError(10001, "Request parameter error: the body is no JSON object.")
    if body.get("category", "spot") != "spot":
        raise BybitError(10001, "Illegal category")
    return body


def integer(params: Params, name: str) -> int | None:
    if name not in params:
        return None
    if not str(params[name]).isdecimal():
        raise BybitError(10001, f"Request parameter error: {name}.")
    return int(str(params[name]))


def limit_of(params: Params, most: int, *, default: int) -> int:
    limit = integer(params, "limit")
    if limit is not None and not 0 < limit <= most:
        raise BybitError(10001, f"Request parameter error: limit must be between 1 and {most}.")
    return default if limit is None else limit


def text(value: Decimal | None) -> str:
    """Digits without zeros at the end; empty for what there is not."""
    return "" if value is None else f"{value.normalize():f}"


def order_id(order: VenueOrder) -> str:
    return str(FIRST_ORDER + order.number)


def order_number(given: str) -> int | None:
    """The engine's number in an order's id; None for any other text."""
    return int(given) - FIRST_ORDER if given.isdecimal() and int(given) > FIRST_ORDER else None


def execution_id(done: Execution) -> str:
    """Each side of a trade has an id of its own."""
    return str(FIRST_TRADE + 2 * done.trade + done.is_maker)


def _amount(params: Params, name: str) -> Decimal:
    given = need(params, name)
    # Digits and a point only: an exponent is as illegal here as letters are.
    if not NUMBER.fullmatch(given):
        raise BybitError(170130, f"Data sent for parameter '{name}' is not valid.")
    return Decimal(given)


def ticket(params: Params, account: str, market: Market, last: Decimal | None, generated_id: str) -> Ticket:
    """The engine's ticket for the parameters of a new order.

    A quantity is in the base coin, but for a market order in the quote coin where `marketUnit` says so, or says nothing and it
    buys. A conditional order of spot has no direction: it waits for its price to be reached from where the market is now.
    """
    side, kind, lifetime = need(params, "side"), need(params, "orderType"), params.get("timeInForce", "GTC")
    if side not in ("Buy", "Sell"):
        raise BybitError(170117, "Invalid side.")
    if kind not in ("Limit", "Market"):
        raise BybitError(170116, "Invalid orderType.")
    if lifetime not in LIFETIMES or (kind == "Market" and lifetime == "PostOnly"):
        raise BybitError(170115, "Invalid timeInForce.")
    client_id = str(params.get("orderLinkId") or generated_id)
    if not CLIENT_ID.fullmatch(client_id):
        raise BybitError(170130, "Data sent for parameter 'orderLinkId' is not valid.")
    by_cost = kind == "Market" and params.get("marketUnit", "quoteCoin" if side == "Buy" else "baseCoin") == "quoteCoin"
    amount = _amount(params, "qty")
    if not by_cost:
        _check_quantity(amount, market)
    wanted = Side(side.lower())
    stop = _amount(params, "triggerPrice") if "triggerPrice" in params else None
    if (params.get("orderFilter", "Order") == "StopOrder") != (stop is not None):
        raise BybitError(170202, "Invalid orderFilter parameter.")
    return Ticket(
        account,
        market.symbol,
        wanted,
        _kind(wanted, stop, last, limited=kind == "Limit"),
        client_id,
        None if by_cost else amount,
        amount if by_cost else None,
        _amount(params, "price") if kind == "Limit" else None,
        stop,
        LIFETIMES[str(lifetime)],
        lifetime == "PostOnly",
    )


def _check_quantity(quantity: Decimal, market: Market) -> None:
    if quantity < market.min_quantity:
        raise BybitError(170136, "Order quantity exceeded lower limit.")
    if quantity > market.max_quantity:
        raise BybitError(170135, "Order quantity exceeded upper limit.")


def _kind(side: Side, stop: Decimal | None, last: Decimal | None, *, limited: bool) -> Kind:
    if stop is None:
        return Kind.LIMIT if limited else Kind.MARKET
    if (side is Side.BUY) == (last is None or stop > last):
        return Kind.STOP_LIMIT if limited else Kind.STOP
    return Kind.TAKE_PROFIT_LIMIT if limited else Kind.TAKE_PROFIT


def _status(order: VenueOrder, *, triggered: bool) -> str:
    match order.status:
        case Status.OPEN if order.waiting:
            return "Untriggered"
        case Status.OPEN:
            return "PartiallyFilled" if order.filled else "New"
        case Status.FILLED:
            return "Filled"
        case _ if order.filled:
            return "PartiallyFilledCanceled"
        case _:
            return "Deactivated" if order.ticket.kind.has_stop and not triggered else "Cancelled"


def _reject_reason(order: VenueOrder, *, turned_away: bool) -> str:
    if turned_away:
        return "EC_PostOnlyWillTakeLiquidity"
    return {Status.CANCELLED: "EC_PerCancelRequest", Status.EXPIRED: "EC_NoImmediateQtyToFill"}.get(order.status, "EC_NoError")


def order_row(
    order: VenueOrder, market: Market, done: Iterable[Execution], *, triggered: bool = False, turned_away: bool = False
) -> Row:
    """As queries, listings and the stream show it.

    Args:
        order: the engine's.
        market: where it was placed.
        done: its executions.
        triggered: it is a conditional order whose price came.
        turned_away: it was post-only and would have taken.
    """
    asked = order.ticket
    fees: dict[str, Decimal] = {}
    for execution in done:
        fees[execution.fee_asset] = fees.get(execution.fee_asset, ZERO) + execution.fee
    left = (order.left or ZERO) if order.status is Status.OPEN else ZERO
    is_market = not asked.kind.has_limit
    return {
        "orderId": order_id(order),
        "orderLinkId": asked.client_id,
        "blockTradeId": "",
        "symbol": market.base + market.quote,
        "price": text(asked.limit or ZERO),
        "qty": text(asked.quantity if asked.quantity is not None else asked.cost),
        "side": asked.side.value.capitalize(),
        "isLeverage": "0",
        "positionIdx": 0,
        "orderStatus": _status(order, triggered=triggered),
        "createType": "CreateByUser",
        "cancelType": "CancelByUser" if order.status is Status.CANCELLED and not turned_away else "UNKNOWN",
        "rejectReason": _reject_reason(order, turned_away=turned_away),
        "avgPrice": text(round(order.spent / order.filled, 8)) if order.filled else "",
        "leavesQty": text(left),
        "leavesValue": text(left * (asked.limit or ZERO)),
        "cumExecQty": text(order.filled),
        "cumExecValue": text(order.spent),
        "cumExecFee": text(sum(fees.values(), ZERO)),
        "cumFeeDetail": {asset: text(fee) for asset, fee in fees.items()},
        "timeInForce": "PostOnly" if asked.post_only else "IOC" if is_market else asked.lifetime.value.upper(),
        "orderType": "Market" if is_market else "Limit",
        "marketUnit": ("baseCoin" if asked.cost is None else "quoteCoin") if is_market else "",
        "stopOrderType": "Stop" if asked.kind.has_stop else "",
        "orderIv": "",
        "triggerPrice": text(asked.stop or ZERO),
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def execution_row(done: Execution, market: Market) -> Row:
    """As the list of executions shows it."""
    asked = done.order.ticket
    received = market.base if asked.side is Side.BUY else market.quote
    whole = done.quantity if received == market.base else done.price * done.quantity
    return {
        "symbol": market.base + market.quote,
        "orderId": order_id(done.order),
        "orderLinkId": asked.client_id,
        "side": asked.side.value.capitalize(),
        "orderPrice": text(asked.limit or ZERO),
        "orderQty": text(asked.quantity if asked.quantity is not None else asked.cost),
        "leavesQty": text(done.order.left or ZERO),
        "createType": "CreateByUser",
        "orderType": "Limit" if asked.kind.has_limit else "Market",
        "stopOrderType": "Stop" if asked.kind.has_stop else "",
        "execFee": text(done.fee),
        "execId": execution_id(done),
        "execPrice": text(done.price),
        "execQty": text(done.quantity),
        "execType": "Trade",
        "execValue": text(done.price * done.quantity),
        "execTime": str(done.at_ms),
        "feeCurrency": done.fee_asset,
        "isMaker": done.is_maker,
        "feeRate": text(round(done.fee / whole, 6)) if done.fee_asset == received else "",
        "tradeIv": "",
        "markIv": "",
        "markPrice": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "",
        "seq": done.trade,
    }
