"""The local Coinbase's WebSocket: unmodified ccxt.pro listens to it, and the frames are as Coinbase writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt.pro
import jwt
import pytest

from tests.venues.coinbase import FEES, LOCAL, CoinbaseVenue
from tests.venues.coinbase_keys import AUDIENCE, ISSUER, pem
from tests.venues.engine import Exchange
from tests.venues.engine_types import Kind, Market, Side, Ticket
from tests.venues.server import VenueServer, wall_clock_ms

D = Decimal
BTC, ETH, DESK = "BTC/USD", "ETH/USD", "desk"
SOON = 5.0
"""Seconds in which an event must have come."""


def new_venue() -> CoinbaseVenue:
    exchange = Exchange([*LOCAL.markets, Market("ETH", "USD")], wall_clock_ms, fees=FEES)
    for account in (DESK, "somebody"):
        exchange.deposit(account, "USD", D(100_000))
    exchange.move(BTC, D(50_000))
    exchange.move(ETH, D(2_000))
    return CoinbaseVenue(exchange, LOCAL.keys)


@pytest.fixture(scope="module")
def shared() -> Iterator[VenueServer]:
    with VenueServer(new_venue()) as server:
        yield server


@pytest.fixture
def server(shared: VenueServer) -> VenueServer:
    shared.venue = new_venue()
    shared.faults.clear()
    return shared


@pytest.fixture
def exchange(server: VenueServer) -> Exchange:
    return server.venue.exchange


@pytest.fixture
async def client(server: VenueServer) -> AsyncIterator[ccxt.pro.coinbase]:
    client = ccxt.pro.coinbase({"apiKey": "key", "secret": pem(7), "timeout": 2000, "enableRateLimit": False})
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.urls["api"] = {"rest": server.base_url, "ws": server.ws_url}
    client.has["fetchCurrencies"] = False
    try:
        yield client
    finally:
        await client.close()


def rest(exchange: Exchange, client_id: str, symbol: str = BTC, account: str = DESK, price: int = 1_000) -> None:
    exchange.place(Ticket(account, symbol, Side.BUY, Kind.LIMIT, client_id, D("0.1"), limit=D(price)))


async def next_of(watching: Any) -> Any:
    return await asyncio.wait_for(watching, SOON)


# Through ccxt


async def test_an_order_is_told_from_its_first_day_to_its_last(exchange: Exchange, client: ccxt.pro.coinbase) -> None:
    rest(exchange, "before")
    (first,) = await next_of(client.watch_orders())
    assert (first["clientOrderId"], first["status"], first["symbol"], first["side"]) == ("before", "open", BTC, "buy")
    placed = await client.create_order(BTC, "limit", "buy", 0.1, 49_000, {"client_order_id": "mine"})
    told: list[tuple[str, float]] = []

    async def until(state: tuple[str, float]) -> None:
        while state not in told:
            for order in await next_of(client.watch_orders()):
                assert order["id"] == placed["id"]
                told.append((order["status"], order["filled"]))

    await until(("open", 0.0))
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    await until(("open", 0.04))
    await client.cancel_order(placed["id"], BTC)
    await until(("canceled", 0.04))


async def test_prices_trades_and_the_book_are_told(exchange: Exchange, client: ccxt.pro.coinbase) -> None:
    assert (await next_of(client.watch_ticker(BTC)))["ask"] == 50_000.01
    watching = asyncio.ensure_future(client.watch_ticker(BTC))
    await asyncio.sleep(0)
    exchange.move(BTC, D(51_000))
    ticker = await next_of(watching)
    assert (ticker["bid"], ticker["ask"], ticker["last"], ticker["high"]) == (50_999.99, 51_000.01, 51_000.0, 51_000.0)

    exchange.place(Ticket(DESK, BTC, Side.BUY, Kind.MARKET, "taken", D("0.1")))
    (trade,) = await next_of(client.watch_trades(BTC))
    assert (trade["price"], trade["amount"], trade["side"]) == (51_000.01, 0.1, "sell")  # of the maker

    book = await next_of(client.watch_order_book(BTC))
    assert (book["bids"][0], book["asks"][0]) == ([50_999.99, 1000.0], [51_000.01, 999.9])
    exchange.quote(BTC, [(D(50_000), D(2))], [(D(52_000), D(3))])
    book = await next_of(client.watch_order_book(BTC))
    assert (book["bids"], book["asks"]) == ([[50_000.0, 2.0]], [[52_000.0, 3.0]])


async def test_a_socket_that_broke_is_opened_anew_with_what_is_live(
    server: VenueServer, exchange: Exchange, client: ccxt.pro.coinbase
) -> None:
    assert await next_of(client.watch_orders()) == []
    watching = asyncio.ensure_future(client.watch_orders())
    await asyncio.sleep(0)
    server.faults.streams.drop()
    with pytest.raises(ccxt.NetworkError):
        await next_of(watching)
    rest(exchange, "meanwhile")
    (told,) = await next_of(client.watch_orders())
    assert told["clientOrderId"] == "meanwhile"


# Frame by frame


def token(number: int = 7, **given: object) -> str:
    now = wall_clock_ms() // 1000
    claims = {"aud": [AUDIENCE], "iss": ISSUER, "nbf": now, "exp": now + 120, "sub": "key"} | given
    return jwt.encode(claims, pem(number), "ES256", headers={"kid": "key"})


@asynccontextmanager
async def talking(server: VenueServer) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(server.ws_url) as socket:
        yield socket


async def said(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return await next_of(socket.receive_json())


async def subscribe(socket: aiohttp.ClientWebSocketResponse, channel: str, *products: str, **more: object) -> None:
    await socket.send_json({"type": "subscribe", "channel": channel, "product_ids": list(products)} | more)


async def test_a_subscription_is_confirmed_and_everything_is_numbered(server: VenueServer, exchange: Exchange) -> None:
    async with talking(server) as socket:
        await subscribe(socket, "heartbeats")
        confirmed, beat = await said(socket), await said(socket)
        assert confirmed["events"] == [{"subscriptions": {"heartbeats": []}}]
        assert (beat["channel"], beat["events"][0]["heartbeat_counter"]) == ("heartbeats", 1)
        await subscribe(socket, "user", "ETH-USD", jwt=token())
        confirmed, snapshot = await said(socket), await said(socket)
        assert confirmed["events"] == [{"subscriptions": {"heartbeats": [], "user": [DESK]}}]
        assert snapshot["events"] == [{"type": "snapshot", "orders": []}]
        rest(exchange, "theirs", ETH, "somebody")
        rest(exchange, "bitcoin", BTC)
        rest(exchange, "ether", ETH)
        update = await said(socket)
        assert [order["client_order_id"] for order in update["events"][0]["orders"]] == ["ether"]
        assert update["sequence_num"] == 4


async def test_a_channel_can_be_left(server: VenueServer, exchange: Exchange) -> None:
    async with talking(server) as socket:
        await subscribe(socket, "market_trades", "BTC-USD", "ETH-USD")
        await said(socket), await said(socket), await said(socket)
        await socket.send_json({"type": "unsubscribe", "channel": "market_trades", "product_ids": ["BTC-USD"]})
        assert (await said(socket))["events"] == [{"subscriptions": {"market_trades": ["ETH-USD"]}}]
        for symbol in (BTC, ETH):
            exchange.place(Ticket(DESK, symbol, Side.BUY, Kind.MARKET, f"taken {symbol}", D("0.1")))
        assert {trade["product_id"] for trade in (await said(socket))["events"][0]["trades"]} == {"ETH-USD"}
        await socket.send_json({"type": "unsubscribe", "channel": "market_trades"})
        assert (await said(socket))["events"] == [{"subscriptions": {}}]


async def test_open_orders_come_in_batches(server: VenueServer, exchange: Exchange) -> None:
    for number in range(120):
        rest(exchange, f"o{number}", price=500)
    async with talking(server) as socket:
        await subscribe(socket, "user", jwt=token())
        await said(socket)
        batches = [(await said(socket))["events"][0] for _ in range(3)]
    assert [(batch["type"], len(batch["orders"])) for batch in batches] == [("snapshot", 50), ("snapshot", 50), ("snapshot", 20)]


async def test_a_level_that_is_gone_has_no_quantity(server: VenueServer, exchange: Exchange) -> None:
    async with talking(server) as socket:
        await subscribe(socket, "level2", "BTC-USD")
        await said(socket)
        snapshot = await said(socket)
        assert (snapshot["channel"], snapshot["events"][0]["type"]) == ("l2_data", "snapshot")
        exchange.quote(BTC, [(D("49999.99"), D(1000))], [(D(50_010), D(1))])
        (event,) = (await said(socket))["events"]
        changed = {(row["side"], row["price_level"]): row["new_quantity"] for row in event["updates"]}
        assert changed == {("offer", "50000.01"): "0", ("offer", "50010"): "1"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "subscribe", "channel": "user", "product_ids": []}, "authentication failure"),
        ({"type": "subscribe", "channel": "user", "jwt": token(8)}, "authentication failure"),
        ({"type": "subscribe", "channel": "user", "jwt": token(uri="GET here/")}, "authentication failure"),
        ({"type": "subscribe", "channel": "user", "jwt": token(nbf=0, exp=120)}, "authentication failure"),
        ({"type": "subscribe", "channel": "ticker", "jwt": "nonsense"}, "authentication failure"),
        ({"type": "subscribe", "channel": "ticker", "product_ids": ["XXX-USD"]}, "not a valid product"),
        ({"type": "subscribe", "channel": "gossip"}, "required"),
        ({"type": "sing", "channel": "ticker"}, "required"),
    ],
    ids=["no token", "another's", "of a request", "too old", "nonsense", "product", "channel", "type"],
)
async def test_what_it_cannot_do_is_an_error(message: dict[str, object], words: str, server: VenueServer) -> None:
    async with talking(server) as socket:
        await socket.send_json(message)
        answer = await said(socket)
    assert answer["type"] == "error"
    assert words in answer["message"]
