"""Kraken's orders: its parameters read into the engine's tickets, and the engine's orders and trades as Kraken shows them.

Source of names, rules and errors: https://docs.kraken.com/api/docs/rest-api (Add Order, Get Open Orders, Get Trades History;
errors) and https://docs.kraken.com/exchange/guides/general/clordid (client order ids).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from tests.venues.bars import Bar
from tests.venues.engine_types import ZERO, Execution, Kind, Lifetime, Market, Side, Status, Ticket, VenueOrder, Why

Params = Mapping[str, str]
Row = dict[str, object]

TYPES = {
    "limit": Kind.LIMIT,
    "market": Kind.MARKET,
    "stop-loss": Kind.STOP,
    "stop-loss-limit": Kind.STOP_LIMIT,
    "take-profit": Kind.TAKE_PROFIT,
    "take-profit-limit": Kind.TAKE_PROFIT_LIMIT,
}
NAMES = {kind: name for name, kind in TYPES.items()}
STATUSES = {Status.FILLED: "closed", Status.CANCELLED: "canceled", Status.EXPIRED: "canceled"}
LEGACY = {"BTC": "XXBT", "ETH": "XETH", "USD": "ZUSD", "EUR": "ZEUR"}
"""Assets that Kraken knows by an older, longer code."""
FREE_TEXT, UUID = re.compile(r"[\x21-\x7e]{1,18}"), re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")


class KrakenError(Exception):
    """An error as Kraken words it; it comes with status 200."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


REJECTIONS = {
    Why.SYMBOL: "EQuery:Unknown asset pair",
    Why.TICK: "EOrder:Invalid price",
    Why.LOT: "EGeneral:Invalid arguments:volume minimum not met",
    Why.NOTIONAL: "EOrder:Cost minimum not met",
    Why.FUNDS: "EOrder:Insufficient funds",
    # Kraken documents that an id must be unique over open orders, and not what it says when one is not: so users have measured.
    Why.DUPLICATE: "EGeneral:Invalid arguments:cl_ord_id not unique",
    Why.WOULD_TAKE: "EOrder:Post only order",
    Why.WOULD_TRIGGER: "EGeneral:Invalid arguments:price",
    Why.UNKNOWN_ORDER: "EOrder:Unknown order",
}


def bad(name: str) -> KrakenError:
    return KrakenError(f"EGeneral:Invalid arguments:{name}")


def asset_id(asset: str) -> str:
    return LEGACY.get(asset, asset)


def altname(market: Market) -> str:
    return f"{market.base}{market.quote}".replace("BTC", "XBT")


def pair_id(market: Market) -> str:
    if market.base in LEGACY and market.quote in LEGACY:
        return LEGACY[market.base] + LEGACY[market.quote]
    return altname(market)


def order_id(number: int) -> str:
    return f"OLOCAL-{number:05d}-KRAKEN"


def order_number(text: str) -> int | None:
    """The engine's number in an order's id; None for any other text."""
    found = re.fullmatch(r"OLOCAL-(\d{5,})-KRAKEN", text)
    return int(found[1]) if found else None


def trade_id(done: Execution) -> str:
    """Each side of a trade has an id of its own."""
    return f"T{'MAKER' if done.is_maker else 'TAKER'}-{done.trade:05d}-KRAKEN"


def _amount(params: Params, name: str) -> Decimal:
    try:
        value = Decimal(params[name])
    except (KeyError, InvalidOperation):
        raise bad(name) from None
    if not value.is_finite() or value <= 0:
        raise bad(name)
    return value


def ticket(params: Params, account: str, market: Market) -> Ticket:
    """The engine's ticket for the parameters of a new order."""
    if params.get("type") not in ("buy", "sell"):
        raise bad("type")
    if params.get("ordertype") not in TYPES:
        raise bad("ordertype")
    client_id = params.get("cl_ord_id", "")
    if client_id and not (FREE_TEXT.fullmatch(client_id) or UUID.fullmatch(client_id)):
        raise bad("cl_ord_id")
    flags = set(filter(None, params.get("oflags", "").split(",")))
    if flags - {"post", "fciq", "viqc", "nompp"}:
        raise bad("oflags")
    lifetime = params.get("timeinforce", "GTC")
    if lifetime not in ("GTC", "IOC", "FOK"):
        raise bad("timeinforce")
    kind = TYPES[params["ordertype"]]
    volume, by_cost = _amount(params, "volume"), "viqc" in flags
    if by_cost and kind is not Kind.MARKET:
        raise bad("viqc")
    stop = _amount(params, "price") if kind.has_stop else None
    limit = _amount(params, "price2" if kind.has_stop else "price") if kind.has_limit else None
    return Ticket(
        account,
        market.symbol,
        Side(params["type"]),
        kind,
        client_id,
        None if by_cost else volume,
        volume if by_cost else None,
        limit,
        stop,
        Lifetime(lifetime.lower()),
        "post" in flags,
    )


def seconds(at_ms: int) -> float:
    return at_ms / 1000


def described(asked: Ticket, market: Market) -> str:
    """An order in Kraken's sentence: `buy 0.01000000 XBTUSD @ limit 40000.0`."""
    volume = asked.quantity if asked.quantity is not None else asked.cost
    words = f"{asked.side} {volume:.8f} {altname(market)} @ {NAMES[asked.kind].removesuffix('-limit').replace('-', ' ')}"
    if asked.kind is Kind.LIMIT:
        return f"{words} {asked.limit}"
    if asked.stop is not None:
        words += f" {asked.stop}"
    return f"{words} -> limit {asked.limit}" if asked.kind.has_limit else words


def order_row(order: VenueOrder, market: Market, done: list[Execution]) -> Row:
    """As queries and listings show it; `done` are the executions of this order."""
    asked = order.ticket
    row: Row = {
        "refid": None,
        "userref": None,
        "status": STATUSES.get(order.status, "pending" if order.waiting else "open"),
        "opentm": seconds(order.created_ms),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": altname(market),
            "type": asked.side.value,
            "ordertype": NAMES[asked.kind],
            "price": str(asked.stop if asked.stop is not None else asked.limit or 0),
            "price2": str(asked.limit or 0) if asked.stop is not None else "0",
            "leverage": "none",
            "order": described(asked, market),
            "close": "",
        },
        "vol": f"{asked.quantity if asked.quantity is not None else asked.cost or ZERO:.8f}",
        "vol_exec": f"{order.filled:.8f}",
        "cost": f"{order.spent:.8f}",
        "fee": f"{sum((execution.fee for execution in done), ZERO):.8f}",
        "price": f"{order.spent / order.filled if order.filled else ZERO:.8f}",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": ",".join(["fciq"] + (["post"] if asked.post_only else []) + (["viqc"] if asked.cost is not None else [])),
        "trades": [trade_id(execution) for execution in done],
    }
    if asked.client_id:
        row["cl_ord_id"] = asked.client_id
    if order.status is not Status.OPEN:
        row |= {"closetm": seconds(order.updated_ms), "reason": None}
    return row


def trade_row(done: Execution, market: Market) -> Row:
    return {
        "ordertxid": order_id(done.order.number),
        "pair": pair_id(market),
        "aclass": "forex",
        "time": seconds(done.at_ms),
        "type": done.order.ticket.side.value,
        "ordertype": NAMES[done.order.ticket.kind],
        "price": str(done.price),
        "cost": f"{done.price * done.quantity:.8f}",
        "fee": f"{done.fee:.8f}",
        "vol": f"{done.quantity:.8f}",
        "margin": "0.00000000",
        "leverage": "0",
        "misc": "",
        "trade_id": done.trade,
        "maker": done.is_maker,
    }


def pair_row(market: Market, maker: Decimal, taker: Decimal) -> Row:
    """As `AssetPairs` shows it; fees in per cent."""
    return {
        "altname": altname(market),
        "wsname": f"{market.base}/{market.quote}".replace("BTC", "XBT"),
        "aclass_base": "currency",
        "base": asset_id(market.base),
        "aclass_quote": "currency",
        "quote": asset_id(market.quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": -int(market.tick.as_tuple().exponent),
        "lot_decimals": -int(market.lot.as_tuple().exponent),
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, float(taker * 100)]],
        "fees_maker": [[0, float(maker * 100)]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": str(market.min_quantity),
        "costmin": str(market.min_notional),
        "tick_size": str(market.tick),
        "status": "online",
    }


def candle_row(bar: Bar) -> list[object]:
    """As `OHLC` shows it."""
    volume = bar.volume()
    average = bar.cost() / volume if volume else ZERO
    prices = (bar.open, bar.high, bar.low, bar.close)
    return [bar.opened_ms // 1000, *map(str, prices), f"{average:.5f}", f"{volume:.8f}", len(bar.trades)]
