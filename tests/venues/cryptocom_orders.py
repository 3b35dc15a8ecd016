"""Crypto.com's orders: its parameters read into the engine's tickets, and the engine's orders and trades in its own rows.

Since 2026 triggers are orders of an API of their own ("advanced"), with ids of their own: one that has triggered names the plain
order it sent as `exchange_order_id`. What the pages leave open is decided here: that order keeps the trigger's `client_oid`
(or not, see `CryptocomVenue.renames_sent`), and a client id is taken once for ever.
Source: https://exchange-developer.crypto.com/exchange/v1/docs/api/rest (private/create-order, private/advanced/create-order,
private/get-order-detail, private/get-trades), and the bodies in ccxt's parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tests.venues.cryptocom_auth import CryptocomError, Params, Row
from tests.venues.engine_types import ZERO, Execution, Fees, Kind, Lifetime, Market, Side, Status, Ticket, VenueOrder, Why

PLAIN = {"LIMIT": Kind.LIMIT, "MARKET": Kind.MARKET}
TRIGGERS = {
    "STOP_LOSS": Kind.STOP,
    "STOP_LIMIT": Kind.STOP_LIMIT,
    "TAKE_PROFIT": Kind.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": Kind.TAKE_PROFIT_LIMIT,
}
NAMES = {kind: name for name, kind in (PLAIN | TRIGGERS).items()}
LIFETIMES = {"GOOD_TILL_CANCEL": Lifetime.GTC, "IMMEDIATE_OR_CANCEL": Lifetime.IOC, "FILL_OR_KILL": Lifetime.FOK}
LIFETIME_NAMES = {lifetime: name for name, lifetime in LIFETIMES.items()}
STATUSES = {
    Status.OPEN: "ACTIVE",
    Status.FILLED: "FILLED",
    Status.CANCELLED: "CANCELED",
    Status.EXPIRED: "EXPIRED",
}
REJECTIONS = {
    Why.SYMBOL: 209,
    Why.TICK: 308,
    Why.LOT: 213,
    Why.NOTIONAL: 415,
    Why.FUNDS: 306,
    Why.DUPLICATE: 204,
    Why.WOULD_TAKE: 43005,
    Why.WOULD_TRIGGER: 229,
    Why.UNKNOWN_ORDER: 316,
}
LONGEST_ID = 36
ACCOUNT_ID = "ce075bef-1234-4321-bd6a-ff9007252e63"
_FIRST_PLAIN, _FIRST_TRIGGER, _FIRST_TRADE, _FIRST_MATCH = (
    6_142_909_898_000_000_000,
    7_142_909_898_000_000_000,
    6_142_909_899_000_000_000,
    4_611_686_018_000_000_000,
)


def order_id(number: int) -> str:
    """The id of the plain order with the engine's number."""
    return str(_FIRST_PLAIN + number)


def trigger_id(number: int) -> str:
    """The id of the trigger with the engine's number."""
    return str(_FIRST_TRIGGER + number)


def number_of(text: str, *, trigger: bool) -> int | None:
    """The engine's number in an id of that kind; None for any other text."""
    number = int(text) - (_FIRST_TRIGGER if trigger else _FIRST_PLAIN) if text.isdecimal() else 0
    return number if 0 < number < _FIRST_TRADE - _FIRST_PLAIN else None


def instrument(market: Market) -> str:
    return f"{market.base}_{market.quote}"


def ticket(params: Params, account: str, market: Market, nonce: str, *, trigger: bool) -> Ticket:
    """The engine's ticket for the parameters of a new order. Without a client id, the nonce is one.

    Raises:
        CryptocomError: a parameter is missing or not one of the venue's.
    """
    kinds = TRIGGERS if trigger else PLAIN
    name = str(params.get("type"))
    if name not in kinds:
        raise CryptocomError(140001 if name in TRIGGERS else 218)
    if params.get("side") not in ("BUY", "SELL"):
        raise CryptocomError(220)
    client_id = str(params.get("client_oid") or nonce)
    if len(client_id) > LONGEST_ID:
        raise CryptocomError(40004)
    lifetime = str(params.get("time_in_force") or "GOOD_TILL_CANCEL")
    if lifetime not in LIFETIMES:
        raise CryptocomError(221)
    inst = params.get("exec_inst") or []
    if not isinstance(inst, list) or set(inst) - {"POST_ONLY"}:
        raise CryptocomError(219)
    if inst and lifetime != "GOOD_TILL_CANCEL":
        raise CryptocomError(43005)
    if params.get("ref_price_type", "MARK_PRICE") not in ("MARK_PRICE", "INDEX_PRICE", "LAST_PRICE"):
        raise CryptocomError(230)
    kind, side = kinds[name], Side(str(params["side"]).lower())
    by_cost = kind is Kind.MARKET and side is Side.BUY and "notional" in params
    if by_cost and "quantity" in params:
        raise CryptocomError(40004)
    return Ticket(
        account,
        market.symbol,
        side,
        kind,
        client_id,
        None if by_cost else _amount(params, "quantity"),
        _amount(params, "notional") if by_cost else None,
        _amount(params, "price") if kind.has_limit else None,
        _amount(params, "ref_price") if trigger else None,
        LIFETIMES[lifetime],
        "POST_ONLY" in inst,
    )


def _amount(params: Params, name: str) -> Decimal:
    """A positive number, which has to come as text."""
    given = params.get(name)
    try:
        value = Decimal(given) if isinstance(given, str) else ZERO
    except InvalidOperation:
        value = ZERO
    if not value.is_finite() or value <= 0:
        raise CryptocomError(40004)
    return value


def order_row(order: VenueOrder, market: Market, done: Sequence[Execution], fees: Fees, *, triggered: bool) -> Row:
    """The plain order, or the one that a trigger has sent."""
    asked = order.ticket
    kind = Kind.LIMIT if asked.kind.has_limit else Kind.MARKET
    return _row(order, market, done, fees) | {
        "order_id": order_id(order.number),
        "order_type": NAMES[kind if triggered else asked.kind],
    }


def trigger_row(order: VenueOrder, market: Market, done: Sequence[Execution], fees: Fees, *, triggered: bool) -> Row:
    """The trigger, which tells what became of the order it sent."""
    asked = order.ticket
    row = _row(order, market, done, fees) | {
        "order_id": trigger_id(order.number),
        "order_type": NAMES[asked.kind],
        "ref_price": str(asked.stop),
        "ref_price_type": "LAST_PRICE",
    }
    return row | {"exchange_order_id": order_id(order.number)} if triggered else row


def _row(order: VenueOrder, market: Market, done: Sequence[Execution], fees: Fees) -> Row:
    asked = order.ticket
    fee_assets = {execution.fee_asset for execution in done}
    row: Row = {
        "account_id": ACCOUNT_ID,
        "client_oid": asked.client_id,
        "time_in_force": LIFETIME_NAMES[asked.lifetime],
        "side": asked.side.value.upper(),
        "exec_inst": ["POST_ONLY"] if asked.post_only else [],
        "quantity": str(asked.quantity if asked.quantity is not None else order.filled),
        "order_value": str(asked.cost or (asked.limit or ZERO) * (asked.quantity or ZERO)),
        "maker_fee_rate": str(fees.maker),
        "taker_fee_rate": str(fees.taker),
        "avg_price": f"{order.spent / order.filled if order.filled else ZERO:.8f}",
        "cumulative_quantity": str(order.filled),
        "cumulative_value": str(order.spent),
        "cumulative_fee": str(sum((execution.fee for execution in done), ZERO)),
        "status": STATUSES[order.status],
        "update_user_id": ACCOUNT_ID,
        "order_date": _date(order.created_ms),
        "instrument_name": instrument(market),
        "fee_instrument_name": fee_assets.pop() if fee_assets else market.base if asked.side is Side.BUY else market.quote,
        "create_time": order.created_ms,
        "create_time_ns": str(order.created_ms * 1_000_000),
        "update_time": order.updated_ms,
    }
    return row if asked.limit is None else row | {"limit_price": str(asked.limit)}


def trade_row(done: Execution, market: Market) -> Row:
    """One account's side of a trade. Fees are negative: they are taken off the balance."""
    return {
        "account_id": ACCOUNT_ID,
        "event_date": _date(done.at_ms),
        "journal_type": "TRADING",
        "side": done.order.ticket.side.value.upper(),
        "instrument_name": instrument(market),
        "fees": str(-done.fee),
        "trade_id": str(_FIRST_TRADE + 2 * done.trade + done.is_maker),
        "trade_match_id": str(_FIRST_MATCH + done.trade),
        "create_time": done.at_ms,
        "traded_price": str(done.price),
        "traded_quantity": str(done.quantity),
        "fee_instrument_name": done.fee_asset,
        "client_oid": done.order.ticket.client_id,
        "taker_side": "MAKER" if done.is_maker else "TAKER",
        "order_id": order_id(done.order.number),
        "create_time_ns": str(done.at_ms * 1_000_000),
    }


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
