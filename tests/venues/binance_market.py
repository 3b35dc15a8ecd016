"""Binance's public data: filters, tickers, book, tape and candles of the engine, in its own rows.

Source: https://developers.binance.com/docs/binance-spot-api-docs (REST: general and market data endpoints; filters).
"""

from __future__ import annotations

from tests.venues.bars import Bar, bars
from tests.venues.binance_orders import TYPES, BinanceError, Row, money
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Market, Side

DAY_MS = 86_400_000
INTERVALS = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": DAY_MS,
}
RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
]


def market_row(market: Market) -> Row:
    """As `exchangeInfo` shows it."""
    return {
        "symbol": market.base + market.quote,
        "status": "TRADING",
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(TYPES),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": money(market.tick),
                "maxPrice": "1000000.00000000",
                "tickSize": money(market.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": money(market.min_quantity),
                "maxQty": money(market.max_quantity),
                "stepSize": money(market.lot),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": money(market.min_notional),
                "applyMinToMarket": True,
                "maxNotional": money(market.max_notional),
                "applyMaxToMarket": True,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }


def book_ticker(exchange: Exchange, market: Market) -> Row:
    bid, ask = (next(iter(exchange.book(market.symbol, side)), (ZERO, ZERO)) for side in (Side.BUY, Side.SELL))
    return {
        "symbol": market.base + market.quote,
        "bidPrice": money(bid[0]),
        "bidQty": money(bid[1]),
        "askPrice": money(ask[0]),
        "askQty": money(ask[1]),
    }


def price_row(exchange: Exchange, market: Market) -> Row:
    return {"symbol": market.base + market.quote, "price": money(exchange.last(market.symbol))}


def depth(exchange: Exchange, market: Market, limit: int, version: int) -> Row:
    sides = {"bids": Side.BUY, "asks": Side.SELL}
    levels: Row = {
        name: [[money(price), money(quantity)] for price, quantity in exchange.book(market.symbol, side)[:limit]]
        for name, side in sides.items()
    }
    return {"lastUpdateId": version} | levels


def day_ticker(exchange: Exchange, market: Market, now_ms: int) -> Row:
    """The rolling 24 hours; zeros where nothing was printed."""
    prints = [done for done in exchange.tape[market.symbol] if done.at_ms > now_ms - DAY_MS]
    prices = [done.price for done in prints] or [ZERO]
    volume = sum((done.quantity for done in prints), ZERO)
    cost = sum((done.quantity * done.price for done in prints), ZERO)
    change = prices[-1] - prices[0]
    return book_ticker(exchange, market) | {
        "priceChange": money(change),
        "priceChangePercent": f"{change / prices[0] * 100 if prices[0] else ZERO:.3f}",
        "weightedAvgPrice": money(cost / volume if volume else prices[-1]),
        "prevClosePrice": money(prices[0]),
        "lastPrice": money(prices[-1]),
        "lastQty": money(prints[-1].quantity if prints else ZERO),
        "openPrice": money(prices[0]),
        "highPrice": money(max(prices)),
        "lowPrice": money(min(prices)),
        "volume": money(volume),
        "quoteVolume": money(cost),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": prints[0].number if prints else -1,
        "lastId": prints[-1].number if prints else -1,
        "count": len(prints),
    }


def tape_rows(exchange: Exchange, market: Market, limit: int) -> list[Row]:
    done = [row for row in exchange.tape[market.symbol] if row.quantity][-limit:]
    return [
        {
            "id": row.number,
            "price": money(row.price),
            "qty": money(row.quantity),
            "quoteQty": money(row.price * row.quantity),
            "time": row.at_ms,
            "isBuyerMaker": row.taker is Side.SELL,
            "isBestMatch": True,
        }
        for row in done
    ]


def candles(
    exchange: Exchange, market: Market, interval: str, now_ms: int, start: int | None, end: int | None, limit: int
) -> list[list[object]]:
    """Candles of the tape, the last one still open; an interval without a print repeats the close with no volume."""
    if interval not in INTERVALS:
        raise BinanceError(-1120, "Invalid interval.")
    found = bars(exchange.tape[market.symbol], INTERVALS[interval], now_ms, start, end, limit)
    return [_candle(bar) for bar in found]


def _candle(bar: Bar) -> list[object]:
    return [
        bar.opened_ms,
        *(money(price) for price in (bar.open, bar.high, bar.low, bar.close)),
        money(bar.volume()),
        bar.opened_ms + bar.width_ms - 1,
        money(bar.cost()),
        len(bar.trades),
        money(bar.volume(Side.BUY)),
        money(bar.cost(Side.BUY)),
        "0",
    ]
