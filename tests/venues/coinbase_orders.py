"""Coinbase's orders: from a request to the engine's ticket, and from the engine back to Coinbase's rows.

Source: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/orders/create-order, .../list-orders,
.../list-fills, .../cancel-orders; the names of refusals from the same pages (`NewOrderFailureReason`, `PreviewFailureReason`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tests.venues.engine_types import (
    ZERO,
    Execution,
    Kind,
    Lifetime,
    Market,
    Side,
    Status,
    Ticket,
    VenueOrder,
    Why,
)

Row = dict[str, object]
ORDER_ID, TRADE_ID = "c01bba5e-0000-4000-8000-", "c01bba5e-0000-4001-8000-"
LAG_MS = 2
"""How long after a trade its fill is written down; lists of fills are cut by that later instant."""
NEW_ORDER = frozenset({"client_order_id", "product_id", "side", "order_configuration"})
LIMITS = {"limit_limit_gtc": Lifetime.GTC, "limit_limit_fok": Lifetime.FOK, "sor_limit_ioc": Lifetime.IOC}
STOPS = {"STOP_DIRECTION_STOP_UP": Side.BUY, "STOP_DIRECTION_STOP_DOWN": Side.SELL}
"""The side for which the direction is that of a stop, and not of a profit taken."""
FIELDS = {
    "market_market_ioc": frozenset({"base_size", "quote_size"}),
    "limit_limit_gtc": frozenset({"base_size", "limit_price", "post_only"}),
    "limit_limit_fok": frozenset({"base_size", "limit_price"}),
    "sor_limit_ioc": frozenset({"base_size", "limit_price"}),
    "stop_limit_stop_limit_gtc": frozenset({"base_size", "limit_price", "stop_price", "stop_direction"}),
}
TIMES_IN_FORCE = {
    Lifetime.GTC: "GOOD_UNTIL_CANCELLED",
    Lifetime.IOC: "IMMEDIATE_OR_CANCEL",
    Lifetime.FOK: "FILL_OR_KILL",
}
REFUSALS = {
    Why.SYMBOL: ("INVALID_PRODUCT_ID", "The product is not known", "UNKNOWN_PREVIEW_FAILURE_REASON"),
    Why.TICK: ("INVALID_PRICE_PRECISION", "Too many decimals in order price", "PREVIEW_INVALID_PRICE_PRECISION"),
    Why.LOT: ("INVALID_SIZE_PRECISION", "Too many decimals in order amount", "PREVIEW_INVALID_SIZE_PRECISION"),
    Why.NOTIONAL: ("UNKNOWN_FAILURE_REASON", "", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    Why.FUNDS: ("INSUFFICIENT_FUND", "Insufficient balance in source account", "PREVIEW_INSUFFICIENT_FUND"),
    Why.WOULD_TAKE: ("INVALID_LIMIT_PRICE_POST_ONLY", "Post only mode", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
    Why.WOULD_TRIGGER: ("UNKNOWN_FAILURE_REASON", "", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
}


class CoinbaseError(Exception):
    """A refusal before anything was judged: a status, a code and what Coinbase says of it."""

    def __init__(self, code: str, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code, self.details, self.status = code, details, status


def bad(details: str) -> CoinbaseError:
    return CoinbaseError("INVALID_ARGUMENT", details)


def unknown_field(name: str) -> CoinbaseError:
    return CoinbaseError("unknown", f'proto: (line 1:2): unknown field "{name}"')


def product_id(market: Market) -> str:
    return f"{market.base}-{market.quote}"


def order_id(number: int) -> str:
    return f"{ORDER_ID}{number:012x}"


def order_number(text: str) -> int | None:
    """The engine's number of an order id; None when it cannot be one."""
    digits = text.removeprefix(ORDER_ID)
    try:
        return int(digits, 16) if digits != text else None
    except ValueError:
        return None


def instant(at_ms: int) -> str:
    """RFC 3339 with microseconds, of Unix milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}000Z"


def ticket(body: Mapping[str, object], account: str, market: Market) -> Ticket:
    """The engine's ticket for the body of a new order."""
    client_id, side = body.get("client_order_id"), body.get("side")
    if not isinstance(client_id, str) or not client_id:
        raise bad("client_order_id is required")
    if side not in ("BUY", "SELL"):
        raise bad("side must be BUY or SELL")
    side = Side(str(side).lower())
    name, asked = _configuration(body)
    quantity, cost = _amount(asked, "base_size"), _amount(asked, "quote_size")
    if (quantity is None) == (cost is None) or (cost is not None and side is Side.SELL):
        raise bad("one of base_size and, for a market buy, quote_size is required")
    limit, stop = _amount(asked, "limit_price"), _amount(asked, "stop_price")
    if name == "market_market_ioc":
        return Ticket(account, market.symbol, side, Kind.MARKET, client_id, quantity, cost)
    if limit is None:
        raise bad("limit_price is required")
    if name in LIMITS:
        post_only = asked.get("post_only") is True
        return Ticket(
            account,
            market.symbol,
            side,
            Kind.LIMIT,
            client_id,
            quantity,
            limit=limit,
            lifetime=LIMITS[name],
            post_only=post_only,
        )
    natural = STOPS.get(str(asked.get("stop_direction")))
    if stop is None or natural is None:
        raise bad("stop_price and stop_direction are required")
    kind = Kind.STOP_LIMIT if natural is side else Kind.TAKE_PROFIT_LIMIT
    return Ticket(account, market.symbol, side, kind, client_id, quantity, limit=limit, stop=stop)


def _configuration(body: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """The one order configuration of a body, and its name."""
    if unknown := body.keys() - NEW_ORDER:
        raise unknown_field(min(unknown))
    given = body.get("order_configuration")
    if not isinstance(given, dict) or len(given) != 1:
        raise bad("order_configuration must have one kind of order")
    ((name, asked),) = given.items()
    if name not in FIELDS or not isinstance(asked, dict):
        raise unknown_field(name)
    if unknown := asked.keys() - FIELDS[name]:
        raise unknown_field(min(unknown))
    return name, asked


def _amount(asked: Mapping[str, object], name: str) -> Decimal | None:
    """Amounts are text here; a JSON number is an error as it is for Coinbase."""
    value = asked.get(name)
    if value is None:
        return None
    try:
        amount = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount <= 0:
        raise bad(f"{name} is invalid")
    return amount


def configuration(asked: Ticket) -> Row:
    """The order configuration that says the same as a ticket."""
    size = {"base_size": money(asked.quantity)} if asked.quantity is not None else {"quote_size": money(asked.cost)}
    if asked.kind is Kind.MARKET:
        return {"market_market_ioc": size}
    row: Row = {**size, "limit_price": money(asked.limit)}
    if asked.kind.has_stop:
        up = (asked.side is Side.BUY) == (asked.kind is Kind.STOP_LIMIT)
        direction = "STOP_DIRECTION_STOP_UP" if up else "STOP_DIRECTION_STOP_DOWN"
        return {"stop_limit_stop_limit_gtc": row | {"stop_price": money(asked.stop), "stop_direction": direction}}
    name = next(name for name, lifetime in LIMITS.items() if lifetime is asked.lifetime)
    return {name: row | {"post_only": asked.post_only} if asked.lifetime is Lifetime.GTC else row}


def money(value: Decimal | None) -> str:
    """Coinbase writes amounts without trailing zeros."""
    text = f"{value or ZERO:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def status(order: VenueOrder) -> str:
    """Coinbase has EXPIRED for orders with a last day only; what an immediate order did not get is cancelled."""
    return {Status.OPEN: "OPEN", Status.FILLED: "FILLED"}.get(order.status, "CANCELLED")


def order_row(order: VenueOrder, market: Market, done: list[Execution]) -> Row:
    """As Get Order and List Orders show it; `done` are its executions."""
    asked = order.ticket
    fees = sum((execution.fee for execution in done), ZERO)
    after_fees = order.spent + (fees if asked.side is Side.BUY else -fees)
    quantity = asked.quantity if asked.quantity is not None else order.filled
    return {
        "order_id": order_id(order.number),
        "product_id": product_id(market),
        "user_id": asked.account,
        "order_configuration": configuration(asked),
        "side": asked.side.value.upper(),
        "client_order_id": asked.client_id,
        "status": status(order),
        "time_in_force": time_in_force(asked),
        "created_time": instant(order.created_ms),
        "completion_percentage": money(round(order.filled / quantity * 100, 2)) if quantity else "0",
        "filled_size": money(order.filled),
        "average_filled_price": average_price(order),
        "fee": "",
        "number_of_fills": str(len(done)),
        "filled_value": money(order.spent),
        "pending_cancel": False,
        "size_in_quote": asked.quantity is None,
        "total_fees": money(fees),
        "size_inclusive_of_fees": asked.quantity is None,
        "total_value_after_fees": money(after_fees),
        "trigger_status": trigger_status(order),
        "order_type": order_type(asked),
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": order.status is Status.FILLED,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "",
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": money(order.held),
        "is_liquidation": False,
        "last_fill_time": instant(done[-1].at_ms) if done else None,
        "leverage": "",
        "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": "",
        "originating_order_id": "",
        "attached_order_id": "",
    }


def average_price(order: VenueOrder) -> str:
    return money(round(order.spent / order.filled, 16)) if order.filled else "0"


def time_in_force(asked: Ticket) -> str:
    return TIMES_IN_FORCE[Lifetime.IOC if asked.kind is Kind.MARKET else asked.lifetime]


def order_type(asked: Ticket) -> str:
    return "STOP_LIMIT" if asked.kind.has_stop else asked.kind.value.upper()


def trigger_status(order: VenueOrder) -> str:
    if not order.ticket.kind.has_stop:
        return "INVALID_ORDER_TYPE"
    return "STOP_PENDING" if order.waiting else "STOP_TRIGGERED"


def fill_row(done: Execution, market: Market) -> Row:
    """As List Fills shows it. Commissions are always in the quote currency."""
    order = order_id(done.order.number)
    return {
        "entry_id": hashlib.sha256(f"{order} {done.trade}".encode()).hexdigest(),
        "trade_id": f"{TRADE_ID}{done.trade:012x}",
        "order_id": order,
        "trade_time": instant(done.at_ms),
        "trade_type": "FILL",
        "price": money(done.price),
        "size": money(done.quantity),
        "commission": money(done.fee),
        "product_id": product_id(market),
        "sequence_timestamp": instant(done.at_ms + LAG_MS),
        "liquidity_indicator": "MAKER" if done.is_maker else "TAKER",
        "size_in_quote": False,
        "user_id": done.order.ticket.account,
        "side": done.order.ticket.side.value.upper(),
        "retail_portfolio_id": "",
    }


def refused(why: Why, asked: object) -> Row:
    """The body, with status 200, of an order that was judged and not taken."""
    error, message, preview = REFUSALS[why]
    return {
        "success": False,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": "",
        "error_response": {"error": error, "message": message, "error_details": "", "preview_failure_reason": preview},
        "order_configuration": asked,
    }
