"""What the paper venue refuses at the door, as a real one does, and what an order it takes locks."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_core.brokers.paper.book import Book
from trading_core.brokers.paper.rules import PaperRules
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.market import Ticker
from trading_core.domain.money import ONE, plain
from trading_core.domain.orders import OrderRequest, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class Admission:
    """What each base unit of an order locks (see `PaperOrder.lock_price`), and why the order is not taken, if it is not."""

    lock_price: Decimal
    refusals: tuple[str, ...]


def admit(request: OrderRequest, instrument: Instrument, quote: Ticker, book: Book, rules: PaperRules) -> Admission:
    """Judge an order against the quote and the balances of the moment it is placed."""
    lock_price = _lock_price(request, instrument, quote, rules)
    refusals = _malformed(request)
    if not refusals:
        refusals = _filters(request, instrument, quote) + _prices(request, quote)
    if not refusals:
        refusals = _funds(request, instrument, book, lock_price)
    return Admission(lock_price, tuple(refusals))


def _malformed(request: OrderRequest) -> list[str]:
    wants_limit = request.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    wants_stop = request.type in (OrderType.STOP, OrderType.STOP_LIMIT)
    found: list[str] = []
    if not request.client_order_id:
        found.append("the client order id is empty")
    if wants_limit != (request.limit_price is not None):
        found.append(f"a {request.type.value} order {'needs a' if wants_limit else 'takes no'} limit price")
    if wants_stop != (request.stop_price is not None):
        found.append(f"a {request.type.value} order {'needs a' if wants_stop else 'takes no'} stop price")
    if request.time_in_force is TimeInForce.POST_ONLY and request.type is not OrderType.LIMIT:
        found.append(f"a {request.type.value} order cannot be post-only")
    if request.time_in_force is TimeInForce.IOC and wants_stop:
        found.append(f"a {request.type.value} order waits for its trigger and cannot be immediate-or-cancel")
    if request.reduce_only and request.side is Side.BUY:
        found.append("a reduce-only buy has nothing to reduce on a spot account")
    return found


def _filters(request: OrderRequest, instrument: Instrument, quote: Ticker) -> list[str]:
    reference = quote.ask if request.side is Side.BUY else quote.bid
    given = [price for price in (request.limit_price, request.stop_price) if price is not None]
    prices: list[Decimal | None] = [*given] or [None]
    found = [reason for price in prices for reason in instrument.violations(request.quantity, price, reference)]
    return list(dict.fromkeys(found))


def _prices(request: OrderRequest, quote: Ticker) -> list[str]:
    buys, found = request.side is Side.BUY, list[str]()
    stop, limit = request.stop_price, request.limit_price
    if stop is not None and (quote.last >= stop if buys else quote.last <= stop):
        found.append(f"stop price {plain(stop)} would trigger immediately at a last price of {plain(quote.last)}")
    if limit is not None and request.time_in_force is TimeInForce.POST_ONLY:
        touch = quote.ask if buys else quote.bid
        if limit >= touch if buys else limit <= touch:
            found.append(f"post-only limit {plain(limit)} would take at {plain(touch)}")
    return found


def _funds(request: OrderRequest, instrument: Instrument, book: Book, lock_price: Decimal) -> list[str]:
    held = book.totals.get(instrument.base, Decimal(0))
    if request.reduce_only and request.quantity > held:
        return [f"reduce-only sale of {plain(request.quantity)} {instrument.base} and only {plain(held)} are held"]
    asset = instrument.quote if request.side is Side.BUY else instrument.base
    needed, free = lock_price * request.quantity, book.free(asset)
    return [f"{plain(needed)} {asset} are needed and {plain(free)} are free"] if needed > free else []


def _lock_price(request: OrderRequest, instrument: Instrument, quote: Ticker, rules: PaperRules) -> Decimal:
    if request.side is Side.SELL:
        return ONE
    price = request.limit_price
    if price is None:
        price = max(quote.ask, request.stop_price or quote.ask) * (ONE + rules.market_buffer)
    in_quote = instrument.fee_currency is FeeCurrency.QUOTE
    return price * (ONE + max(instrument.maker_fee, instrument.taker_fee)) if in_quote else price
