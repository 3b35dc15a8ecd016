"""How an order is put to ccxt: its type, amount, price and parameters, all as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading_core.brokers.venues.profile import MarketBuy, VenueProfile
from trading_core.brokers.venues.words import number
from trading_core.domain.instruments import Instrument
from trading_core.domain.money import ONE, is_multiple, plain
from trading_core.domain.orders import OrderRequest, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class Form:
    """The arguments of ccxt's `create_order`, without the client order id."""

    type: str
    amount: str
    price: str | None
    params: Mapping[str, object]
    is_stop: bool = False


def misfits(request: OrderRequest, instrument: Instrument) -> list[str]:
    """What of an order the venue cannot take as it stands. Minimums are the venue's to judge: it knows the price."""
    found: list[str] = []
    if request.quantity <= 0 or not is_multiple(request.quantity, instrument.lot_size):
        found.append(f"quantity {plain(request.quantity)} is no multiple of the lot size {plain(instrument.lot_size)}")
    for name, price in (("limit", request.limit_price), ("stop", request.stop_price)):
        if price is not None and (price <= 0 or not is_multiple(price, instrument.tick_size)):
            found.append(f"{name} price {plain(price)} is no multiple of the tick size {plain(instrument.tick_size)}")
    wants_limit = request.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    if wants_limit != (request.limit_price is not None):
        found.append(f"a {request.type.value} order {'needs a' if wants_limit else 'takes no'} limit price")
    wants_stop = request.type in (OrderType.STOP, OrderType.STOP_LIMIT)
    if wants_stop != (request.stop_price is not None):
        found.append(f"a {request.type.value} order {'needs a' if wants_stop else 'takes no'} stop price")
    return found


def form_of(request: OrderRequest, instrument: Instrument, profile: VenueProfile) -> Form | None:
    """The form of an order; None for a market buy that this venue takes only with a price (`passable_form`)."""
    amount = plain(request.quantity)
    if request.type is OrderType.MARKET:
        if request.side is Side.BUY and profile.market_buy is MarketBuy.LIMIT:
            return None
        # No price: Bybit and Binance would turn it into a quote quantity.
        return Form("market", amount, None, profile.market_params)
    if request.stop_price is not None:
        limit = request.limit_price
        if limit is None and profile.stop_needs_limit:
            limit = _beyond(request.stop_price, request.side, instrument, profile)
        stop = {**profile.stop_params, profile.stop_param: plain(request.stop_price)}
        if limit is None:
            return Form("market", amount, None, {**profile.market_params, **stop}, is_stop=True)
        return Form("limit", amount, plain(limit), stop, is_stop=True)
    params: dict[str, object] = {}
    if request.time_in_force is TimeInForce.IOC:
        params["timeInForce"] = "IOC"
    elif request.time_in_force is TimeInForce.POST_ONLY:
        params["postOnly"] = True
    return Form("limit", amount, None if request.limit_price is None else plain(request.limit_price), params)


def passable_form(request: OrderRequest, instrument: Instrument, profile: VenueProfile, ask: Decimal) -> Form:
    """A market buy as an immediate-or-cancel limit far enough above the ask to pass for one."""
    limit = _beyond(ask, Side.BUY, instrument, profile)
    return Form("limit", plain(request.quantity), plain(limit), {"timeInForce": "IOC"})


def says_the_same(row: Mapping[str, object], request: OrderRequest, form: Form) -> bool:
    """Whether an order, as the venue tells it, is the one that was asked for in this form.

    Raises:
        InvalidInput: a number of it cannot be read.
    """
    told = [row.get("type"), row.get("side"), number(row.get("amount")), number(row.get("triggerPrice"))]
    asked: list[object] = [form.type, request.side.value, request.quantity, request.stop_price]
    if form.type == "limit":  # to a market order ccxt gives its average price
        told += [number(row.get("price")), row.get("timeInForce")]
        asked += [number(form.price), form.params.get("timeInForce", "GTC")]
    return told == asked


def _beyond(price: Decimal, side: Side, instrument: Instrument, profile: VenueProfile) -> Decimal:
    """A limit on the tick, `collar` worse than the price."""
    if side is Side.BUY:
        return instrument.ceil_price(price * (ONE + profile.collar))
    return instrument.floor_price(price * (ONE - profile.collar))
