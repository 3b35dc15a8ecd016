"""Unmodified ccxt hears the streams of the local Bybit, whose messages and answers are shaped as the real one's were recorded."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from ccxt import pro as ccxt
from websockets.asyncio.client import connect

from tests.unit.bybit_cases import BTC, limit, new_client, new_venue
from tests.unit.test_venue_recordings import recording, shape
from tests.venues.engine import Exchange
from tests.venues.engine_types import Side
from tests.venues.server import VenueServer, wall_clock_ms
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

D = Decimal
T = TypeVar("T")


@pytest.fixture(scope="module")
def shared() -> Iterator[VenueServer]:
    with VenueServer(new_venue()) as server:
        yield server


@pytest.fixture
def server(shared: VenueServer) -> VenueServer:
    shared.venue = new_venue()
    shared.faults.clear()
    shared.seen.clear()
    return shared


@pytest.fixture
def exchange(server: VenueServer) -> Exchange:
    return server.venue.exchange


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connected(shared: VenueServer) -> AsyncIterator[ccxt.bybit]:
    client = new_client(shared)
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


@pytest.fixture
def client(server: VenueServer, connected: ccxt.bybit) -> ccxt.bybit:
    connected.apiKey, connected.secret = "key", "secret"
    connected.options["timeDifference"] = 0
    return connected


@pytest_asyncio.fixture(loop_scope="module")
async def streaming(server: VenueServer, client: ccxt.bybit) -> AsyncIterator[ccxt.bybit]:
    """A client whose sockets belong to this test alone."""
    own = new_client(server)
    own.set_markets(client.markets)
    try:
        yield own
    finally:
        await own.close()


async def soon(waited: Awaitable[T]) -> T:
    return await asyncio.wait_for(waited, 30)


async def subscribed(server: VenueServer, *topics: str) -> None:
    """Wait until the venue was asked for each of these topics."""

    def was_asked() -> bool:
        heard = [said for stream in server.streams for said in stream.heard if isinstance(said, dict)]
        return set(topics) <= {topic for said in heard if said["op"] == "subscribe" for topic in said["args"]}

    await until(was_asked, lambda: str(topics))


async def test_orders_and_executions_are_streamed_to_their_account(
    server: VenueServer, exchange: Exchange, streaming: ccxt.bybit
) -> None:
    orders, trades = asyncio.ensure_future(streaming.watch_orders()), asyncio.ensure_future(streaming.watch_my_trades())
    await subscribed(server, "order", "execution")
    placed = await limit(streaming, "w-1", 49_000, 0.1)
    (taken,) = await soon(orders)
    assert (taken["id"], taken["clientOrderId"], taken["status"], taken["symbol"]) == (placed, "w-1", "open", BTC)
    more = asyncio.ensure_future(streaming.watch_orders())
    await asyncio.sleep(0)
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    (part,) = await soon(more)
    assert (part["status"], part["filled"], part["fee"]) == ("open", 0.04, {"cost": 0.00004, "currency": "BTC"})
    (trade,) = await soon(trades)
    assert (trade["order"], trade["price"], trade["amount"], trade["takerOrMaker"]) == (placed, 49_000.0, 0.04, "maker")
    (read,) = await streaming.fetch_my_trades(BTC)
    assert {name: trade[name] for name in trade if name != "info"} == {name: read[name] for name in read if name != "info"}
    ended = asyncio.ensure_future(streaming.watch_orders())
    await streaming.cancel_order(placed, BTC)
    assert [row["info"]["orderStatus"] for row in await soon(ended)] == ["PartiallyFilledCanceled"]


@pytest.mark.parametrize(("key", "secret"), [("nobody", "secret"), ("key", "other")])
async def test_a_wrong_login_is_refused(key: str, secret: str, streaming: ccxt.bybit) -> None:
    streaming.options.update(enableUnifiedMargin=False, enableUnifiedAccount=True)
    streaming.apiKey, streaming.secret = key, secret
    with pytest.raises(ccxt.AuthenticationError):
        await soon(streaming.watch_orders())


async def test_market_data_is_streamed(exchange: Exchange, server: VenueServer, streaming: ccxt.bybit) -> None:
    ticker = await soon(streaming.watch_ticker(BTC))
    assert (ticker["last"], ticker["bid"]) == (50_000.0, None)  # the spot stream has no book in it
    assert (await soon(streaming.watch_bids_asks([BTC])))[BTC]["ask"] == 50_000.01
    book = await soon(streaming.watch_order_book(BTC))
    assert (book["bids"], book["asks"]) == ([[49_999.99, 1000.0]], [[50_000.01, 1000.0]])
    trades = asyncio.ensure_future(streaming.watch_trades(BTC))
    await subscribed(server, "publicTrade.BTCUSDT")
    changed = asyncio.ensure_future(streaming.watch_order_book(BTC))
    await asyncio.sleep(0)
    await streaming.create_order(BTC, "market", "buy", 0.01)
    (trade,) = await soon(trades)
    assert (trade["side"], trade["price"], trade["amount"]) == ("buy", 50_000.01, 0.01)
    assert (await soon(changed))["asks"] == [[50_000.01, 999.99]]
    moved = asyncio.ensure_future(streaming.watch_order_book(BTC))
    await asyncio.sleep(0)
    exchange.move(BTC, D(51_000))
    assert (await soon(moved))["asks"] == [[51_000.01, 1000.0]]


async def test_what_a_socket_may_not_have_is_said_and_a_ping_answered(server: VenueServer, streaming: ccxt.bybit) -> None:
    streaming.options.update(enableUnifiedMargin=False, enableUnifiedAccount=True)
    with pytest.raises(ccxt.ExchangeError, match="Invalid topic"):
        await soon(streaming.watch_topics(f"{server.ws_url}/v5/public/spot", ["no"], ["tickers.XXXUSDT"]))
    many = [f"orderbook.{depth}.{name}" for depth in (1, 50, 200) for name in ("BTCUSDT", "ETHUSDT")] * 2
    with pytest.raises(ccxt.ExchangeError, match="args size"):
        await soon(streaming.watch_topics(f"{server.ws_url}/v5/public/spot", many, many))
    with pytest.raises(ccxt.ExchangeError, match="not authorized"):
        await soon(streaming.watch_topics(f"{server.ws_url}/v5/private", ["order"], ["order"]))
    for path in ("/v5/private", "/v5/public/spot"):
        socket = streaming.client(f"{server.ws_url}{path}")
        before = socket.lastPong = 0
        await socket.send(streaming.ping(socket))
        for _ in range(300):
            if socket.lastPong != before:
                break
            await asyncio.sleep(0.01)
        assert socket.lastPong > before


# What was recorded of the real one


RECORDED: dict[str, tuple[str, Mapping[str, object]]] = {
    "http_get_instruments_spot": ("v5/market/instruments-info", {}),
    "http_get_orderbook": ("v5/market/orderbook", {"symbol": "BTCUSDT"}),
    "http_get_trades_recent": ("v5/market/recent-trade", {"symbol": "BTCUSDT"}),
    "http_get_klines_linear": ("v5/market/kline", {"symbol": "BTCUSDT", "interval": "1"}),
    "http_get_orders_realtime": ("v5/order/realtime", {"symbol": "BTCUSDT"}),
    "http_get_orders_history": ("v5/order/history", {"symbol": "BTCUSDT"}),
    "http_get_executions": ("v5/execution/list", {"symbol": "BTCUSDT"}),
    "http_get_wallet_balance": ("v5/account/wallet-balance", {"accountType": "UNIFIED"}),
    "http_get_account_info": ("v5/account/info", {}),
    "http_get_fee_rate": ("v5/account/fee-rate", {"symbol": "BTCUSDT"}),
}


@pytest.mark.parametrize("name", RECORDED)
async def test_answers_have_the_names_and_types_that_were_recorded(name: str, client: ccxt.bybit) -> None:
    await client.create_order(BTC, "market", "buy", 0.01)
    await limit(client, "r-1")
    path, query = RECORDED[name]
    answer = await client.request(path, ["private"], "GET", query)
    assert lacking(recorded(name), shape(answer)) == []


async def test_the_permissions_have_the_names_that_were_recorded(client: ccxt.bybit) -> None:
    told, answer = recorded("http_get_user_query_api"), await client.privateGetV5UserQueryApi()
    derived = {"userIDInt64", "inviterIDInt64", "affiliateIDInt64"}
    assert told["result"].keys() - answer["result"].keys() == derived
    assert {"Spot", "Wallet", "ContractTrade", "Derivatives"} <= told["result"]["permissions"].keys() & answer["result"][
        "permissions"
    ].keys()


async def test_the_stream_has_the_names_and_types_that_were_recorded(server: VenueServer, client: ccxt.bybit) -> None:
    expires = wall_clock_ms() + 10_000
    sign = hmac.new(b"secret", f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    async with asyncio.timeout(30), connect(f"{server.ws_url}/v5/private", proxy=None) as socket:

        async def said(message: object) -> Mapping[str, object]:
            await socket.send(json.dumps(message))
            return await event()

        async def event() -> Mapping[str, object]:
            told: Mapping[str, object] = json.loads(await socket.recv())
            return told

        refused = await said({"op": "auth", "args": ["nobody", expires, sign]})
        accepted = await said({"op": "auth", "args": ["key", expires, sign]})
        unknown = await said({"op": "subscribe", "req_id": "sub-1", "args": ["orders"]})
        subscribed_to = await said({"op": "subscribe", "req_id": "sub-2", "args": ["order", "execution"]})
        await client.create_order(BTC, "market", "buy", 0.01)
        events = [await event() for _ in range(3)]
    frames = {"ws_auth_failure": refused, "ws_auth_success": accepted, "ws_subscription_ack": subscribed_to}
    frames |= {"ws_subscription_failure": unknown}
    frames |= {f"ws_account_{told['topic']}": told for told in events}
    assert len(frames) == 6
    assert [(name, lacking(recorded(name), shape(frame))) for name, frame in frames.items()] == [(name, []) for name in frames]


def recorded(name: str) -> Any:
    return json.loads(recording("nautilus", "bybit", f"{name}.json").read_text())


def lacking(told: object, ours: object) -> list[str]:
    """What of a recorded body our answer has not, or has in another type; of a recorded null only the name is known."""
    return _lacking(shape(told), ours, "")


def _lacking(told: object, ours: object, at: str) -> list[str]:
    if isinstance(told, dict) and isinstance(ours, dict):
        missing = [f"{at}.{name}" for name in told.keys() - ours.keys()]
        return missing + [
            found for name in told.keys() & ours.keys() for found in _lacking(told[name], ours[name], f"{at}.{name}")
        ]
    if isinstance(told, list) and isinstance(ours, list) and len(told) <= len(ours):
        return [found for one, other in zip(told, ours, strict=False) for found in _lacking(one, other, f"{at}[]")]
    return [] if told in (ours, "NoneType") else [f"{at}: {told} here {ours}"]
