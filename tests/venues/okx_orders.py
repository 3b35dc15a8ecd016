"""OKX's orders: its parameters read into the engine's tickets, and the engine's orders and trades as OKX shows them.

A stop is an algo order (`algoId`, `algoClOrdId`) in a book of its own. What it sends once it has triggered is a plain order with
an `ordId` of its own and no `clOrdId`; only `algoId` and `algoClOrdId` lead back from it. The engine has one order for both.

Source of names, rules and errors: https://www.okx.com/docs-v5/en/ (order book trading: place order, order details, algo trading,
transaction details; error code).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tests.venues.engine_types import ZERO, Execution, Kind, Lifetime, Market, Side, Status, Ticket, VenueOrder, Why

Params = Mapping[str, str]
Row = dict[str, object]

CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
AMOUNT = re.compile(r"\d{1,20}(\.\d{1,20})?")
LIFETIMES = {"ioc": Lifetime.IOC, "fok": Lifetime.FOK}
LIMITS = frozenset({"limit", "post_only", "ioc", "fok"})
ALGO_LISTS = ("trigger", "conditional", "oco", "conditional,oco", "move_order_stop", "iceberg", "twap", "chase")
"""What algo orders can be listed by: one kind at a time, but for the two that belong together."""
NO_LIMIT = "-1"
"""The price of an algo order that sends a market order."""
ORDERS, ALGOS, BILLS = "2", "7", "9"
"""What the numbers of orders, algo orders and bills begin with here; OKX's are as long."""
ALGO_IDS = "algo:"
"""Before an `algoClOrdId` in the engine: both kinds of ids are unique among their own."""
BY_SYSTEM, BY_USER = ("0", "Order canceled by system"), ("1", "Order canceled by user")
EXPIRED_BY = {
    Lifetime.IOC: ("14", "Order canceled: IOC order was partially canceled due to incompletely filled"),
    Lifetime.FOK: ("13", "Order canceled: FOK order was canceled due to incompletely filled"),
    Lifetime.GTC: ("32", "Order canceled: self trade prevention"),
}
WOULD_TAKE = ("31", "Order canceled: the post-only order would have taken liquidity")


class OkxError(Exception):
    """A refusal with OKX's code and text; `status` counts only where it is not told in a row of its own."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def bad(name: str) -> OkxError:
    return OkxError("51000", f"Parameter {name} error")


def rejected(why: Why, ticket: Ticket, market: Market) -> OkxError:
    """The engine's refusal of an order in OKX's words."""
    match why:
        case Why.TICK:
            return bad("triggerPx" if ticket.stop is not None else "px")
        case Why.LOT if ticket.quantity is not None and ticket.quantity < market.min_quantity:
            return OkxError("51020", "Your order should meet or exceed the minimum order amount.")
        case Why.LOT if ticket.quantity is not None and ticket.quantity > market.max_quantity:
            return OkxError("51005", "Your order amount exceeds the max order amount.")
        case Why.LOT:
            return OkxError("51121", "Order quantity must be a multiple of the lot size.")
        case Why.NOTIONAL:
            return OkxError("51201", f"Value of per market order cannot exceed {market.max_notional:f} {market.quote}.")
        case Why.FUNDS:
            short = market.quote if ticket.side is Side.BUY else market.base
            return OkxError("51008", f"Order failed. Insufficient {short} balance in account.")
        case Why.DUPLICATE if ticket.kind.has_stop:
            return OkxError("51065", "algoClOrdId already exists.")
        case Why.DUPLICATE:
            return OkxError("51016", "Client order ID already exists.")
        case Why.WOULD_TRIGGER:
            return bad("triggerPx")
        case _:
            return OkxError("51603", "Order does not exist", 200)


# Requests


def amount(params: Params, name: str) -> Decimal:
    text = params.get(name, "")
    if not text:
        raise OkxError("50014", f"Parameter {name} cannot be empty.")
    if not AMOUNT.fullmatch(text) or not Decimal(text):
        raise bad(name)
    return Decimal(text)


def _common(params: Params) -> tuple[Side, str]:
    """The side of an order and what its `sz` counts; derivatives and margin are refused."""
    if params.get("tdMode") != "cash":
        raise bad("tdMode")
    if params.get("side") not in ("buy", "sell"):
        raise bad("side")
    side = Side(params["side"])
    counted = params.get("tgtCcy", "quote_ccy" if side is Side.BUY else "base_ccy")
    if counted not in ("base_ccy", "quote_ccy") or (counted == "quote_ccy" and side is Side.SELL):
        raise bad("tgtCcy")
    return side, counted


def _client_id(params: Params, name: str) -> str:
    client_id = params.get(name, "")
    if client_id and not CLIENT_ID.fullmatch(client_id):
        raise bad(name)
    return client_id


def ticket(params: Params, account: str, market: Market) -> Ticket:
    """The engine's ticket for a plain order."""
    side, counted = _common(params)
    kind, size, client_id = params.get("ordType", ""), amount(params, "sz"), _client_id(params, "clOrdId")
    if kind == "market":
        by_cost = counted == "quote_ccy"
        sizes = {"cost": size} if by_cost else {"quantity": size}
        return Ticket(account, market.symbol, side, Kind.MARKET, client_id, **sizes)
    if kind not in LIMITS:
        raise bad("ordType")
    limit, lifetime = amount(params, "px"), LIFETIMES.get(kind, Lifetime.GTC)
    post_only = kind == "post_only"
    return Ticket(account, market.symbol, side, Kind.LIMIT, client_id, size, limit=limit, lifetime=lifetime, post_only=post_only)


def algo_ticket(params: Params, account: str, market: Market, last: Decimal | None) -> Ticket:
    """The engine's ticket for a trigger order.

    It names no direction: whichever side of the last price it lies on when it is placed is the one it is reached from.
    """
    side, counted = _common(params)
    if params.get("ordType") != "trigger":
        raise bad("ordType")
    stop, size = amount(params, "triggerPx"), amount(params, "sz")
    price = params.get("orderPx", "")
    limit = None if price == NO_LIMIT else amount(params, "orderPx")
    if limit is None and counted == "quote_ccy":
        raise bad("tgtCcy")
    beyond = last is None or (stop > last if side is Side.BUY else stop < last)
    kinds = {True: (Kind.STOP, Kind.STOP_LIMIT), False: (Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT)}
    kind = kinds[beyond][limit is not None]
    client_id = ALGO_IDS + _client_id(params, "algoClOrdId")
    return Ticket(account, market.symbol, side, kind, client_id, size, limit=limit, stop=stop)


# Rows


def order_id(number: int) -> str:
    return f"{ORDERS}{number:018d}"


def algo_id(number: int) -> str:
    return f"{ALGOS}{number:018d}"


def number_of(text: str, kind: str) -> int | None:
    """The engine's number in an id of that kind."""
    return int(text[1:]) if text[:1] == kind and text.isdecimal() and len(text) == 19 else None


def instrument_id(market: Market) -> str:
    return f"{market.base}-{market.quote}"


def plain_client_id(order: VenueOrder) -> str:
    return "" if order.ticket.kind.has_stop else order.ticket.client_id


def algo_client_id(order: VenueOrder) -> str:
    client_id = order.ticket.client_id
    return client_id.removeprefix(ALGO_IDS) if client_id.startswith(ALGO_IDS) else ""


def algo_type(order: VenueOrder) -> str:
    """Stops that did not come over the API are a stop loss of OKX's app, which lists them apart from trigger orders."""
    return "trigger" if order.ticket.client_id.startswith(ALGO_IDS) else "conditional"


def state(order: VenueOrder) -> str:
    match order.status:
        case Status.OPEN:
            return "partially_filled" if order.filled else "live"
        case Status.FILLED:
            return "filled"
        case Status.CANCELLED | Status.EXPIRED:
            return "canceled"


def cancelled_by(order: VenueOrder) -> tuple[str, str]:
    """Code and text of what ended an order that was not filled; empty for one that was, or lives."""
    asked = order.ticket
    if order.status in (Status.OPEN, Status.FILLED):
        return "", ""
    if order.status is Status.CANCELLED:
        return BY_USER
    return EXPIRED_BY[asked.lifetime] if asked.kind.has_limit else BY_SYSTEM


def _type(asked: Ticket) -> str:
    if asked.post_only:
        return "post_only"
    if asked.lifetime is not Lifetime.GTC:
        return asked.lifetime.value
    return "limit" if asked.kind.has_limit else "market"


def text(value: Decimal | None) -> str:
    """An amount without needless zeros; empty where there is none."""
    return "" if value is None else f"{value.normalize():f}"


def fee_asset(order: VenueOrder, market: Market) -> str:
    return market.base if order.ticket.side is Side.BUY else market.quote


def order_row(order: VenueOrder, market: Market, done: Sequence[Execution], created_ms: int, ended: tuple[str, str]) -> Row:
    """A plain order as queries, listings and streams show it, with its last execution.

    Args:
        done: its executions, oldest first.
        created_ms: when it was sent; for a stop's, when that triggered.
        ended: code and text of what cancelled it.
    """
    asked, last = order.ticket, done[-1] if done else None
    return {
        "accFillSz": text(order.filled),
        "algoClOrdId": algo_client_id(order),
        "algoId": algo_id(order.number) if asked.kind.has_stop else "",
        "attachAlgoClOrdId": "",
        "attachAlgoOrds": [],
        "avgPx": text(order.spent / order.filled) if order.filled else "",
        "cTime": str(created_ms),
        "cancelSource": ended[0],
        "cancelSourceReason": ended[1],
        "category": "normal",
        "ccy": "",
        "clOrdId": plain_client_id(order),
        # OKX writes what it takes as a negative number.
        "fee": text(-sum((execution.fee for execution in done), ZERO)),
        "feeCcy": last.fee_asset if last else fee_asset(order, market),
        "fillPx": text(last.price) if last else "",
        "fillSz": text(last.quantity) if last else "0",
        "fillTime": str(last.at_ms) if last else "",
        "instId": instrument_id(market),
        "instType": "SPOT",
        "isTpLimit": "false",
        "lever": "",
        "linkedAlgoOrd": {"algoId": ""},
        "ordId": order_id(order.number),
        "ordType": _type(asked),
        "pnl": "0",
        "posSide": "",
        "px": text(asked.limit),
        "pxType": "",
        "pxUsd": "",
        "pxVol": "",
        "quickMgnType": "",
        "rebate": "0",
        "rebateCcy": market.quote,
        "reduceOnly": "false",
        "side": asked.side.value,
        "slOrdPx": "",
        "slTriggerPx": "",
        "slTriggerPxType": "",
        "source": "7" if asked.kind.has_stop else "",
        "state": state(order),
        "stpId": "",
        "stpMode": "cancel_maker",
        "sz": text(asked.cost if asked.cost is not None else asked.quantity),
        "tag": "",
        "tdMode": "cash",
        "tgtCcy": "" if asked.kind.has_limit else "quote_ccy" if asked.cost is not None else "base_ccy",
        "tpOrdPx": "",
        "tpTriggerPx": "",
        "tpTriggerPxType": "",
        "tradeId": str(last.trade) if last else "",
        "uTime": str(order.updated_ms),
    }


def algo_state(order: VenueOrder, *, triggered: bool) -> str:
    return "effective" if triggered else "live" if order.waiting else "canceled"


def algo_row(order: VenueOrder, market: Market, triggered_ms: int | None) -> Row:
    """A trigger order as queries, listings and streams show it."""
    asked, triggered = order.ticket, triggered_ms is not None
    price, stop = NO_LIMIT if asked.limit is None else text(asked.limit), text(asked.stop)
    by_app = algo_type(order) != "trigger"
    return {
        "actualPx": text(asked.limit) if triggered else "",
        "actualSide": "",
        "actualSz": text(asked.quantity) if triggered else "0",
        "algoClOrdId": algo_client_id(order),
        "algoId": algo_id(order.number),
        "amendPxOnTriggerType": "",
        "attachAlgoOrds": [],
        "cTime": str(order.created_ms),
        "ccy": "",
        "clOrdId": "",
        "closeFraction": "",
        "failCode": "",
        "instId": instrument_id(market),
        "instType": "SPOT",
        "lever": "",
        "ordId": order_id(order.number) if triggered else "",
        "ordIdList": [order_id(order.number)] if triggered else [],
        "ordPx": "" if by_app else price,
        "ordType": algo_type(order),
        "posSide": "",
        "pxLimit": "",
        "pxSpread": "",
        "pxVar": "",
        "reduceOnly": "false",
        "side": asked.side.value,
        "state": algo_state(order, triggered=triggered),
        "sz": text(asked.quantity),
        "szLimit": "",
        "tag": "",
        "tdMode": "cash",
        "tgtCcy": "" if asked.kind.has_limit else "base_ccy",
        "slOrdPx": price if by_app else "",
        "slTriggerPx": stop if by_app else "",
        "slTriggerPxType": "last" if by_app else "",
        "triggerPx": "" if by_app else stop,
        "triggerPxType": "" if by_app else "last",
        "triggerTime": "" if triggered_ms is None else str(triggered_ms),
        "uTime": str(order.updated_ms if triggered_ms is None else triggered_ms),
    }


def bill_id(done: Execution) -> str:
    """Of an account's side of a trade; nobody trades with themselves here."""
    return f"{BILLS}{done.trade:018d}"


def fill_row(done: Execution, market: Market) -> Row:
    """As the transaction details show it."""
    return {
        "billId": bill_id(done),
        "clOrdId": plain_client_id(done.order),
        "execType": "M" if done.is_maker else "T",
        "fee": text(-done.fee),
        "feeCcy": done.fee_asset,
        "fillPx": text(done.price),
        "fillSz": text(done.quantity),
        "fillTime": str(done.at_ms),
        "instId": instrument_id(market),
        "instType": "SPOT",
        "ordId": order_id(done.order.number),
        "posSide": "net",
        "side": done.order.ticket.side.value,
        "subType": "1" if done.order.ticket.side is Side.BUY else "2",
        "tag": "",
        "tradeId": str(done.trade),
        "ts": str(done.at_ms),
    }
