"""Unmodified ccxt hears the local OKX's streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from ccxt import pro as ccxt

from tests.unit.okx_cases import BTC, D, limit, new_client, new_venue, soon, subscribed
from tests.venues.engine import Exchange
from tests.venues.engine_types import Side
from tests.venues.okx import PASSPHRASE
from tests.venues.server import VenueServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
async def connected(shared: VenueServer) -> AsyncIterator[ccxt.okx]:
    client = new_client(shared)
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


@pytest.fixture
def client(server: VenueServer, connected: ccxt.okx) -> ccxt.okx:
    connected.apiKey, connected.secret, connected.password = "key", "secret", PASSPHRASE
    connected.options["timeDifference"] = 0
    return connected


@pytest_asyncio.fixture(loop_scope="module")
async def streaming(server: VenueServer, client: ccxt.okx) -> AsyncIterator[ccxt.okx]:
    """A client whose sockets belong to this test alone."""
    own = new_client(server)
    own.newUpdates = True
    own.set_markets(client.markets)
    try:
        yield own
    finally:
        await own.close()


async def test_an_order_is_streamed_from_its_beginning_to_its_end(
    server: VenueServer, exchange: Exchange, streaming: ccxt.okx
) -> None:
    watched = asyncio.ensure_future(streaming.watch_orders())
    trades = asyncio.ensure_future(streaming.watch_my_trades())
    await subscribed(server, "orders")
    placed = await limit(streaming, "w1", 49_000, 0.1)
    (live,) = await soon(watched)
    assert (live["id"], live["status"], live["clientOrderId"]) == (placed, "open", "w1")
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    (part,) = await soon(streaming.watch_orders())
    assert (part["status"], part["filled"], part["info"]["state"]) == ("open", 0.04, "partially_filled")
    (trade,) = await soon(trades)
    assert (trade["order"], trade["amount"], trade["price"], trade["takerOrMaker"]) == (placed, 0.04, 49_000.0, "maker")
    # ccxt turns the sign of a fee round over REST and leaves it over the stream.
    assert trade["fee"] == {"cost": -0.000032, "currency": "BTC"}
    await streaming.cancel_order(placed, BTC)
    (ended,) = await soon(streaming.watch_orders())
    assert (ended["status"], ended["filled"]) == ("canceled", 0.04)


async def test_a_triggered_stop_is_streamed_in_both_books(server: VenueServer, exchange: Exchange, streaming: ccxt.okx) -> None:
    await streaming.create_order(BTC, "market", "buy", 0.1)
    algos = asyncio.ensure_future(streaming.watch_orders(params={"trigger": True}))
    plain = asyncio.ensure_future(streaming.watch_orders())
    await subscribed(server, "orders", "orders-algo")
    await streaming.create_order(BTC, "market", "sell", 0.05, None, {"triggerPrice": 48_000, "algoClOrdId": "s1"})
    (waiting,) = await soon(algos)
    assert (waiting["status"], waiting["triggerPrice"]) == ("open", 48_000.0)
    exchange.move(BTC, D(47_900))
    (sent,) = await soon(plain)
    assert (sent["info"]["algoClOrdId"], sent["info"]["clOrdId"]) == ("s1", "")
    assert sorted(stream.path for stream in server.streams) == ["/ws/v5/business", "/ws/v5/private"]


async def test_prices_are_streamed(server: VenueServer, exchange: Exchange, streaming: ccxt.okx) -> None:
    assert (await soon(streaming.watch_ticker(BTC)))["last"] == 50_000.0
    book = await soon(streaming.watch_order_book(BTC))
    assert (book["bids"][0][0], book["asks"][0][0]) == (49_999.9, 50_000.1)
    best = await soon(streaming.watch_bids_asks([BTC]))
    assert best[BTC]["bid"] == 49_999.9
    trades = asyncio.ensure_future(streaming.watch_trades(BTC))
    await subscribed(server, "trades")
    exchange.move(BTC, D(51_000))
    await streaming.create_order(BTC, "market", "buy", 0.01)
    (trade,) = await soon(trades)
    assert (trade["price"], trade["amount"], trade["side"]) == (51_000.1, 0.01, "buy")
    book = streaming.orderbooks[BTC]  # told before the trade, which was subscribed to last
    assert (book["bids"][0][0], book["asks"][0]) == (50_999.9, [51_000.1, 999.99])
    assert streaming.tickers[BTC]["ask"] == 51_000.1


@pytest.mark.parametrize(
    ("changed", "raised"),
    [({"apiKey": "nobody"}, "60005"), ({"secret": "wrong"}, "60007"), ({"password": "wrong"}, "60024")],
)
async def test_a_stream_wants_the_right_key(changed: dict[str, str], raised: str, streaming: ccxt.okx) -> None:
    for name, value in changed.items():
        setattr(streaming, name, value)
    with pytest.raises(ccxt.AuthenticationError, match=raised):
        await soon(streaming.watch_orders())


async def test_what_a_socket_may_not_ask_is_refused(server: VenueServer, client: ccxt.okx) -> None:
    async with client.session.ws_connect(f"{server.ws_url}/ws/v5/private") as socket:
        await socket.send_str("ping")
        assert (await socket.receive()).data == "pong"
        codes = []
        wrong: list[object] = [
            {"op": "subscribe", "args": [{"channel": "orders", "instType": "ANY"}]},
            {"op": "subscribe", "args": [{"channel": "tickers", "instId": "BTC-USDT"}]},
            {"op": "shout"},
        ]
        for message in wrong:
            await socket.send_str(json.dumps(message))
            codes.append(json.loads((await socket.receive()).data)["code"])
        assert codes == ["60011", "60018", "60012"]
