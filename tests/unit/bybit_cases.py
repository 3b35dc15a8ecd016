"""A local Bybit's client and orders that its tests share."""

from __future__ import annotations

from decimal import Decimal

from ccxt import pro as ccxt

from tests.venues.bybit import LOCAL, OPTIONS, BybitVenue
from tests.venues.engine import Exchange
from tests.venues.engine_types import Market
from tests.venues.local import Local
from tests.venues.server import Key, VenueServer, wall_clock_ms
from trading_core.brokers.base import OrderReport
from trading_core.domain.orders import OrderRequest, OrderType, Side

BTC, DESK = LOCAL.symbol, "desk"
D = Decimal
FAR = D(40_000)
KEYS = [
    Key("key", "secret", DESK),
    Key("reader", "secret", DESK, can_trade=False),
    Key("rich", "secret", DESK, can_withdraw=True),
]


def new_venue() -> BybitVenue:
    btc = Market("BTC", "USDT", lot=D("0.000001"), min_quantity=D("0.00001"), max_quantity=D(100))
    exchange = Exchange([btc, Market("ETH", "USDT")], wall_clock_ms, ids_unique_for_ever=True)
    exchange.deposit(DESK, "USDT", D(10_000))
    exchange.move(BTC, D(50_000))
    return BybitVenue(exchange, KEYS)


def new_client(server: VenueServer, key: str = "key") -> ccxt.bybit:
    settings = {"apiKey": key, "secret": "secret", "timeout": 3000, "enableRateLimit": False, "newUpdates": True}
    client = ccxt.bybit({**settings, "options": {**OPTIONS, "fetchMarkets": {"types": ["spot"]}}})
    client.has["fetchCurrencies"] = False
    client.timeout_on_exit = 0  # there is no TLS to wait for
    streams = {"public": {"spot": f"{server.ws_url}/v5/public/spot"}, "private": {"contract": f"{server.ws_url}/v5/private"}}
    client.urls["api"] = {"public": server.base_url, "private": server.base_url, "ws": streams}
    return client


async def limit(client: ccxt.bybit, client_id: str, price: float = 40_000, amount: float = 0.01) -> str:
    placed = await client.create_order(BTC, "limit", "buy", amount, price, {"clientOrderId": client_id})
    return str(placed["id"])


def bybit(local: Local) -> BybitVenue:
    venue = local.server.venue
    assert isinstance(venue, BybitVenue)
    return venue


def resting(key: str = "c1", price: Decimal = FAR, quantity: str = "0.5") -> OrderRequest:
    return OrderRequest(key, BTC, Side.BUY, OrderType.LIMIT, D(quantity), limit_price=price)


def market(key: str, quantity: str, side: Side = Side.BUY) -> OrderRequest:
    return OrderRequest(key, BTC, side, OrderType.MARKET, D(quantity))


def stop(key: str, price: int, quantity: str = "0.1", limit: int | None = None, side: Side = Side.SELL) -> OrderRequest:
    kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    at = None if limit is None else D(limit)
    return OrderRequest(key, BTC, side, kind, D(quantity), limit_price=at, stop_price=D(price))


async def order(local: Local, key: str) -> OrderReport:
    report = await local.broker.order(key, BTC)
    assert report is not None
    return report
