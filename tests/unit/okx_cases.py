"""A local OKX and unmodified ccxt at it, for the tests of both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import TypeVar

from ccxt import pro as ccxt

from tests.venues.engine import Exchange
from tests.venues.engine_types import Market
from tests.venues.okx import FEES, PASSPHRASE, OkxVenue
from tests.venues.server import Key, VenueServer, wall_clock_ms
from tests.waiting import until

D = Decimal
T = TypeVar("T")
BTC, DESK = "BTC/USDT", "desk"
KEYS = [
    Key("key", "secret", DESK),
    Key("reader", "secret", DESK, can_trade=False),
    Key("treasurer", "secret", DESK, can_withdraw=True),
]
ORDER = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "0.01", "px": "40000", "clOrdId": "c1"}
"""A good order, as OKX is sent it."""


def new_venue() -> OkxVenue:
    market = Market("BTC", "USDT", D("0.1"), D("0.00000001"), D("0.00001"), min_notional=D(0), max_notional=D(1_000_000))
    exchange = Exchange([market, Market("ETH", "USDT")], wall_clock_ms, fees=FEES)
    exchange.deposit(DESK, "USDT", D(10_000))
    exchange.move(BTC, D(50_000))
    return OkxVenue(exchange, KEYS)


def new_client(server: VenueServer) -> ccxt.okx:
    options = {"fetchMarkets": {"types": ["spot"]}}
    known = {"apiKey": "key", "secret": "secret", "password": PASSPHRASE, "timeout": 3000, "enableRateLimit": False}
    client = ccxt.okx({**known, "options": options})
    client.has["fetchCurrencies"] = False
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.urls["api"] = {"rest": server.base_url, "ws": f"{server.ws_url}/ws/v5"}
    return client


async def limit(client: ccxt.okx, client_id: str, price: float = 40_000, amount: float = 0.01) -> str:
    placed = await client.create_order(BTC, "limit", "buy", amount, price, {"clientOrderId": client_id})
    return str(placed["id"])


async def soon(waited: Awaitable[T]) -> T:
    return await asyncio.wait_for(waited, 30)


async def subscribed(server: VenueServer, *channels: str) -> None:
    """Return when the venue was asked for each of these channels: what happens from then on is told."""

    def asked() -> set[str]:
        heard = [said for stream in server.streams for said in stream.heard if isinstance(said, dict)]
        return {each["channel"] for said in heard if said.get("op") == "subscribe" for each in said["args"]}

    await until(lambda: set(channels) <= asked(), lambda: f"{channels}; asked for {asked()}")
