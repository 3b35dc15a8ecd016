"""Coinbase's public data: products, ticker, book and candles of the engine, in its own rows.

Source: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/list-public-products,
.../get-public-product-book, .../get-public-market-trades, .../get-public-product-candles.
"""

from __future__ import annotations

from decimal import Decimal

from tests.venues.coinbase_orders import Row, bad, instant, money, product_id
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Market, Print, Side

DAY_MS = 86_400_000
MOST_CANDLES = 350
GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1_800,
    "ONE_HOUR": 3_600,
    "TWO_HOUR": 7_200,
    "SIX_HOUR": 21_600,
    "ONE_DAY": 86_400,
}
"""In seconds."""
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "USD": "US Dollar"}
FIAT = frozenset({"USD", "EUR", "GBP"})


def product_row(exchange: Exchange, market: Market) -> Row:
    last, volume, cost = exchange.last(market.symbol), ZERO, ZERO
    for done in _day(exchange, market):
        volume, cost = volume + done.quantity, cost + done.quantity * done.price
    return {
        "product_id": product_id(market),
        "price": money(last) if last is not None else "",
        "price_percentage_change_24h": money(change(exchange, market)),
        "volume_24h": money(volume),
        "volume_percentage_change_24h": "0",
        "base_increment": money(market.lot),
        "quote_increment": money(market.tick),
        "quote_min_size": money(market.min_notional),
        "quote_max_size": money(market.max_notional),
        "base_min_size": money(market.min_quantity),
        "base_max_size": money(market.max_quantity),
        "base_name": NAMES.get(market.base, market.base),
        "quote_name": NAMES.get(market.quote, market.quote),
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": market.quote,
        "base_currency_id": market.base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [],
        "base_display_symbol": market.base,
        "quote_display_symbol": market.quote,
        "view_only": False,
        "price_increment": money(market.tick),
        "display_name": product_id(market),
        "product_venue": "CBE",
        "approximate_quote_24h_volume": money(round(cost, 2)),
        "new_at": "2023-01-01T00:00:00Z",
        "market_cap": "",
        "base_cbrn": "",
        "quote_cbrn": "",
        "product_cbrn": "",
        "icon_color": "",
        "icon_url": "",
        "display_name_overwrite": "",
        "is_alpha_testing": False,
        "about_description": "",
        "best_bid_price": "",
        "best_ask_price": "",
    }


def ticker_row(exchange: Exchange, market: Market, limit: int) -> Row:
    """The newest trades, and the best prices. A price that was set without a trade has the size zero."""
    bid, ask = best(exchange, market)
    rows = [
        trade_row(done, market) | {"bid": "", "ask": "", "exchange": "coinbase"} for done in exchange.tape[market.symbol][-limit:]
    ]
    return {"trades": rows[::-1], "best_bid": money(bid[0]), "best_ask": money(ask[0])}


def trade_row(done: Print, market: Market) -> Row:
    """A trade of the tape; `side` is the maker's, as Coinbase tells it."""
    return {
        "trade_id": str(done.number),
        "product_id": product_id(market),
        "price": money(done.price),
        "size": money(done.quantity),
        "time": instant(done.at_ms),
        "side": done.taker.other.value.upper(),
    }


def book_row(exchange: Exchange, market: Market, limit: int | None, now_ms: int) -> Row:
    (bid, _), (ask, _) = best(exchange, market)
    middle, spread = (bid + ask) / 2, ask - bid
    sides = {
        name: [{"price": money(p), "size": money(q)} for p, q in exchange.book(market.symbol, side)[:limit]]
        for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
    }
    return {
        "pricebook": {"product_id": product_id(market), **sides, "time": instant(now_ms)},
        "last": money(exchange.last(market.symbol)),
        "mid_market": money(middle),
        "spread_bps": money(round(spread / middle * 10_000, 12)) if middle else "0",
        "spread_absolute": money(spread),
    }


def best(exchange: Exchange, market: Market) -> tuple[tuple[Decimal, Decimal], tuple[Decimal, Decimal]]:
    """(price, quantity) of the best bid and ask; zeros where there is none."""
    bid, ask = (next(iter(exchange.book(market.symbol, side)), (ZERO, ZERO)) for side in (Side.BUY, Side.SELL))
    return bid, ask


def candle_rows(exchange: Exchange, market: Market, granularity: str, start: int, end: int) -> list[Row]:
    """Candles that open from `start` to `end` (seconds, both in), youngest first; an interval without a print has none."""
    if granularity not in GRANULARITIES:
        raise bad("granularity is invalid")
    width = GRANULARITIES[granularity]
    if (end - start) // width > MOST_CANDLES:
        raise bad(f"number of candles requested should be less than {MOST_CANDLES}")
    buckets: dict[int, list[Print]] = {}
    for done in exchange.tape[market.symbol]:
        opened = done.at_ms // 1000 // width * width
        if start <= opened <= end:
            buckets.setdefault(opened, []).append(done)
    return [_candle(opened, buckets[opened]) for opened in sorted(buckets, reverse=True)]


def _candle(opened: int, prints: list[Print]) -> Row:
    prices = [done.price for done in prints]
    return {
        "start": str(opened),
        "low": money(min(prices)),
        "high": money(max(prices)),
        "open": money(prices[0]),
        "close": money(prices[-1]),
        "volume": money(sum((done.quantity for done in prints), ZERO)),
    }


def ticker_event(exchange: Exchange, market: Market) -> Row:
    """As the channels `ticker` and `ticker_batch` tell it. The year's figures are the day's: the tape is no older."""
    bid, ask = best(exchange, market)
    prints = _day(exchange, market)
    prices = [done.price for done in prints] or [ZERO]
    return {
        "type": "ticker",
        "product_id": product_id(market),
        "price": money(exchange.last(market.symbol)),
        "volume_24_h": money(sum((done.quantity for done in prints), ZERO)),
        "low_24_h": money(min(prices)),
        "high_24_h": money(max(prices)),
        "low_52_w": money(min(prices)),
        "high_52_w": money(max(prices)),
        "price_percent_chg_24_h": money(change(exchange, market)),
        "best_bid": money(bid[0]),
        "best_bid_quantity": money(bid[1]),
        "best_ask": money(ask[0]),
        "best_ask_quantity": money(ask[1]),
    }


def change(exchange: Exchange, market: Market) -> Decimal:
    """Of the last 24 hours, in per cent."""
    prices = [done.price for done in _day(exchange, market)]
    return round((prices[-1] / prices[0] - 1) * 100, 8) if prices else ZERO


def _day(exchange: Exchange, market: Market) -> list[Print]:
    now = exchange.clock()
    return [done for done in exchange.tape[market.symbol] if done.at_ms > now - DAY_MS]
