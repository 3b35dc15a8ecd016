"""Crypto.com's public data: instruments, tickers, book, tape and candles of the engine, in its own rows.

Source: https://exchange-developer.crypto.com/exchange/v1/docs/api/rest (public/get-instruments, get-tickers, get-book,
get-trades, get-candlestick) and the bodies in ccxt's parser.
"""

from __future__ import annotations

from tests.venues.cryptocom_auth import CryptocomError, Row
from tests.venues.cryptocom_orders import instrument
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Market, Print, Side

DAY_MS = 86_400_000
LEAST_BOOK, DEEPEST_BOOK, MOST_TRADES, MOST_CANDLES = 1, 50, 150, 300
FRAMES = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "12h": 43_200_000,
    "1D": DAY_MS,
}


def instrument_row(market: Market) -> Row:
    """A market and its steps. The venue tells no minimums here."""
    return {
        "symbol": instrument(market),
        "inst_type": "CCY_PAIR",
        "display_name": f"{market.base}/{market.quote}",
        "base_ccy": market.base,
        "quote_ccy": market.quote,
        "quote_decimals": -int(market.tick.as_tuple().exponent),
        "quantity_decimals": -int(market.lot.as_tuple().exponent),
        "price_tick_size": str(market.tick),
        "qty_tick_size": str(market.lot),
        "max_leverage": "50",
        "tradable": True,
        "expiry_timestamp_ms": 0,
        "beta_product": False,
        "margin_buy_enabled": False,
        "margin_sell_enabled": False,
    }


def ticker_row(exchange: Exchange, market: Market, now_ms: int) -> Row:
    """The rolling 24 hours; null where there was no trade or is no quote."""
    prints = [done for done in exchange.tape[market.symbol] if done.at_ms > now_ms - DAY_MS]
    prices = [done.price for done in prints]
    bid, ask = (next(iter(exchange.book(market.symbol, side)), None) for side in (Side.BUY, Side.SELL))
    return {
        "i": instrument(market),
        "h": str(max(prices)) if prices else None,
        "l": str(min(prices)) if prices else None,
        "a": str(prices[-1]) if prices else None,
        "v": str(sum((done.quantity for done in prints), ZERO)),
        "vv": str(sum((done.quantity * done.price for done in prints), ZERO)),
        "c": f"{prices[-1] / prices[0] - 1:.4f}" if prices else None,
        "b": str(bid[0]) if bid else None,
        "bs": str(bid[1]) if bid else None,
        "k": str(ask[0]) if ask else None,
        "ks": str(ask[1]) if ask else None,
        "oi": "0",
        "t": now_ms,
    }


def book_row(exchange: Exchange, market: Market, depth: int, now_ms: int) -> Row:
    """Levels as price, quantity and number of orders, which is told as one."""
    sides: Row = {
        name: [[str(price), str(quantity), "1"] for price, quantity in exchange.book(market.symbol, side)[:depth]]
        for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
    }
    return sides | {"t": now_ms}


def print_row(done: Print, market: Market) -> Row:
    """A trade on the tape; its side is the taker's."""
    return {
        "s": done.taker.value,
        "p": str(done.price),
        "q": str(done.quantity),
        "t": done.at_ms,
        "tn": str(done.at_ms * 1_000_000),
        "d": str(done.number),
        "i": instrument(market),
        "m": str(done.number),
    }


def candles(exchange: Exchange, market: Market, frame: str, start_ms: int, end_ms: int, count: int, now_ms: int) -> list[Row]:
    """The newest `count` candles between two instants, both left out, oldest first; the last one is still open."""
    if frame not in FRAMES:
        raise CryptocomError(40004)
    width = FRAMES[frame]
    tape = exchange.tape[market.symbol]
    if not tape:
        return []
    buckets: dict[int, list[Print]] = {}
    for done in tape:
        buckets.setdefault(done.at_ms // width * width, []).append(done)
    rows: list[Row] = []
    close = tape[0].price
    for opened in range(min(buckets), now_ms + 1, width):
        prints = buckets.get(opened, [])
        prices = [done.price for done in prints] or [close]
        close = prices[-1]
        volume = sum((done.quantity for done in prints), ZERO)
        row: Row = {"o": str(prices[0]), "h": str(max(prices)), "l": str(min(prices)), "c": str(close), "v": str(volume)}
        if start_ms < opened < end_ms:
            rows.append(row | {"t": opened})
    return rows[-count:]
