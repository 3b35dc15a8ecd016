"""Unmodified ccxt.pro listens at the local Kraken: its account's executions, and market data."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal

import pytest
from ccxt import pro
from ccxt.base.errors import NetworkError
from websockets.asyncio.client import connect

from tests.venues.engine import Exchange
from tests.venues.engine_types import Market, Side
from tests.venues.kraken import FEES, KrakenVenue
from tests.venues.kraken_feed import Feed, Wish
from tests.venues.kraken_orders import ticket
from tests.venues.kraken_stream import ws_urls
from tests.venues.server import Key, VenueServer, wall_clock_ms
from tests.waiting import until

D = Decimal
BTC, DESK = "BTC/USD", "desk"
SECRET = base64.b64encode(b"a secret of the test").decode()
MARKETS: list[dict[str, object]] = []
"""As ccxt parsed them once, so that each test's own client need not ask."""


def new_venue() -> KrakenVenue:
    market = Market("BTC", "USD", tick=D("0.1"), lot=D("0.00000001"), min_quantity=D("0.0001"), min_notional=D("0.5"))
    exchange = Exchange([market], wall_clock_ms, fees=FEES)
    exchange.deposit(DESK, "USD", D(10_000))
    exchange.move(BTC, D(50_000))
    return KrakenVenue(exchange, [Key("key", SECRET, DESK)])


@pytest.fixture(scope="module")
def shared() -> Iterator[VenueServer]:
    with VenueServer(new_venue()) as server:
        yield server


@pytest.fixture
def venue(shared: VenueServer) -> KrakenVenue:
    shared.venue = venue = new_venue()
    shared.faults.clear()
    shared.seen.clear()
    return venue


@pytest.fixture
def exchange(venue: KrakenVenue) -> Exchange:
    return venue.exchange


@pytest.fixture
async def client(shared: VenueServer, venue: KrakenVenue) -> AsyncIterator[pro.kraken]:
    client = pro.kraken({"apiKey": "key", "secret": SECRET, "timeout": 2000, "enableRateLimit": False})
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.urls["api"] = {"public": shared.base_url, "private": shared.base_url, "ws": ws_urls(shared.ws_url)}
    if MARKETS:
        client.set_markets(MARKETS)
    else:
        MARKETS.extend((await client.load_markets()).values())
    try:
        yield client
    finally:
        await client.close()


async def subscribed(server: VenueServer, words: str) -> None:
    """Wait until the venue has heard of it, and its answer has come, too."""
    await until(lambda: any(words in str(stream.heard) for stream in server.streams))
    await asyncio.sleep(0.05)


async def executions(server: VenueServer, venue: KrakenVenue, act: Callable[[], object]) -> list[dict[str, object]]:
    """What the channel says of an act, as it comes over the line, numbers exact."""
    async with asyncio.timeout(30), connect(f"{server.ws_url}/v2", proxy=None) as socket:
        assert json.loads(await socket.recv())["channel"] == "status"
        params = {"channel": "executions", "token": venue.streams.token(Key("key", SECRET, DESK))}
        await socket.send(json.dumps({"method": "subscribe", "params": params, "req_id": 7}))
        answer = json.loads(await socket.recv())
        assert (answer["success"], answer["req_id"], answer["result"]["channel"]) == (True, 7, "executions")
        assert json.loads(await socket.recv())["type"] == "snapshot"
        act()
        await socket.send('{"method": "ping"}')
        rows: list[dict[str, object]] = []
        while (message := json.loads(await socket.recv(), parse_float=D)).get("method") != "pong":
            assert message["sequence"] == len(rows) + 2
            rows += message["data"]
        return rows


async def test_a_fill_is_told_whole_and_an_end_in_a_few_words(shared: VenueServer, venue: KrakenVenue) -> None:
    market = venue.exchange.markets[BTC]
    asked = {"type": "buy", "ordertype": "limit", "volume": "0.1", "price": "40000", "cl_ord_id": "mine"}

    def act() -> None:
        venue.exchange.place(ticket(asked, DESK, market))
        venue.exchange.trade_at(BTC, Side.SELL, D(40_000), D("0.04"))
        venue.exchange.cancel(DESK, BTC, client_id="mine")

    rows = await executions(shared, venue, act)
    assert [(row["exec_type"], row["order_status"], "symbol" in row) for row in rows] == [
        ("pending_new", "pending_new", True),
        ("new", "new", False),
        ("trade", "partially_filled", True),
        ("canceled", "canceled", False),
    ]
    assert {row["cl_ord_id"] for row in rows} == {"mine"}
    trade = rows[2]
    assert (trade["last_qty"], trade["last_price"], trade["liquidity_ind"]) == (D("0.04"), 40_000, "m")
    assert trade["fees"] == [{"asset": "USD", "qty": D("4.00000000")}]
    assert (rows[3]["cum_qty"], rows[3]["cum_cost"]) == (D("0.04"), 1600)


async def test_a_fill_has_the_id_and_amounts_of_the_history(shared: VenueServer, client: pro.kraken) -> None:
    watching = asyncio.ensure_future(client.watch_my_trades(BTC))
    await subscribed(shared, "executions")
    await client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "mine"})
    async with asyncio.timeout(30):
        (trade,) = await watching
    (told,) = await client.fetch_my_trades(BTC)
    for name in ("id", "order", "side", "price", "amount", "cost", "fee", "takerOrMaker", "symbol"):
        assert trade[name] == told[name], name
    assert shared.count("stream_token") == 1


async def test_orders_are_told_by_their_ids(shared: VenueServer, exchange: Exchange, client: pro.kraken) -> None:
    watching = asyncio.ensure_future(client.watch_orders())
    await subscribed(shared, "executions")
    placed = await client.create_order(BTC, "limit", "buy", 0.02, 40_000, {"clientOrderId": "mine"})
    async with asyncio.timeout(30):
        await watching
    await until(lambda: client.orders and client.orders[-1]["info"]["exec_type"] == "new")
    assert {order["id"] for order in client.orders} == {placed["id"]}
    exchange.trade_at(BTC, Side.SELL, D(40_000), D("0.02"))
    await until(lambda: client.orders[-1]["status"] == "closed")
    assert client.orders[-1]["cost"] == 800.0


async def test_open_orders_come_with_the_subscription(shared: VenueServer, client: pro.kraken) -> None:
    placed = await client.create_order(BTC, "limit", "buy", 0.02, 40_000, {"clientOrderId": "mine"})
    async with asyncio.timeout(30):
        (order,) = await client.watch_orders(BTC)
    assert (order["id"], order["status"], order["amount"], order["price"]) == (placed["id"], "open", 0.02, 40_000.0)


async def test_a_stop_is_told_when_it_triggers(shared: VenueServer, venue: KrakenVenue) -> None:
    venue.exchange.deposit(DESK, "BTC", D(1))
    asked = {"type": "sell", "ordertype": "stop-loss", "volume": "0.1", "price": "45000", "cl_ord_id": "stop"}

    def act() -> None:
        venue.exchange.place(ticket(asked, DESK, venue.exchange.markets[BTC]))
        venue.exchange.move(BTC, D(44_000))

    rows = await executions(shared, venue, act)
    assert [row["exec_type"] for row in rows] == ["pending_new", "new", "status", "trade", "filled"]
    assert (rows[0]["triggers"], rows[2]["triggers"]) == (
        {"reference": "last", "price": 45_000, "price_type": "static", "status": "untriggered"},
        {"reference": "last", "price": 45_000, "price_type": "static", "status": "triggered"},
    )


async def test_a_token_that_has_expired_opens_nothing(shared: VenueServer, venue: KrakenVenue) -> None:
    async with asyncio.timeout(30), connect(f"{shared.ws_url}/v2", proxy=None) as socket:
        await socket.recv()
        params = {"channel": "executions", "token": venue.streams.token(Key("key", SECRET, DESK))}
        venue.streams.expire_tokens()
        await socket.send(json.dumps({"method": "subscribe", "params": params}))
        answer = json.loads(await socket.recv())
    assert (answer["success"], answer["error"]) == (False, "ESession:Invalid session")


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channel": "ticker", "symbol": ["XXX/USD"]}, "Currency pair not supported XXX/USD"),
        ({"channel": "book", "symbol": [BTC], "depth": 7}, "Subscription depth not supported"),
        ({"channel": "ohlc", "symbol": [BTC], "interval": 7}, "Subscription ohlc interval not supported"),
        ({"channel": "level3", "symbol": [BTC]}, "Unsupported channel"),
    ],
)
async def test_what_cannot_be_subscribed_to(params: object, error: str, shared: VenueServer, venue: KrakenVenue) -> None:
    async with asyncio.timeout(30), connect(f"{shared.ws_url}/v2", proxy=None) as socket:
        await socket.recv()
        await socket.send(json.dumps({"method": "subscribe", "params": params}))
        assert json.loads(await socket.recv())["error"] == error


async def test_a_line_that_breaks_in_a_frame_is_an_error_of_the_network_and_can_be_opened_anew(
    shared: VenueServer, client: pro.kraken
) -> None:
    watching = asyncio.ensure_future(client.watch_my_trades(BTC))
    await subscribed(shared, "executions")
    shared.faults.streams.drop()
    with pytest.raises(NetworkError):
        await watching
    watching = asyncio.ensure_future(client.watch_my_trades(BTC))
    await subscribed(shared, "executions")
    await client.create_order(BTC, "market", "buy", 0.01)
    async with asyncio.timeout(30):
        assert [row["amount"] for row in await watching] == [0.01]


# Market data


async def test_the_book_is_followed_and_its_checksum_holds(exchange: Exchange, client: pro.kraken) -> None:
    async with asyncio.timeout(30):
        assert (await client.watch_order_book(BTC))["bids"] == [[49_999.9, 1000.0]]
        for step in range(1, 6):
            waiting = asyncio.ensure_future(client.watch_order_book(BTC))
            await asyncio.sleep(0)
            exchange.quote(BTC, [(D(49_990 + step), D(step)), (D(49_000), D(1))], [(D(50_010), D(step))])
            book = await waiting
            assert (book["bids"], book["asks"]) == ([[49_990.0 + step, step], [49_000.0, 1.0]], [[50_010.0, step]])


ASKS = """45285.2 0.00100000  45286.4 1.54571953  45286.6 1.54571109  45289.6 1.54560911  45290.2 0.15890660
45291.8 1.54553491  45294.7 0.04454749  45296.1 0.35380000  45297.5 0.09945542  45299.5 0.18772827"""
BIDS = """45283.5 0.10000000  45283.4 1.54582015  45282.1 0.10000000  45281.0 0.10000000  45280.3 1.54592586
45279.0 0.07990000  45277.6 0.03310103  45277.5 0.30000000  45277.3 1.54602737  45276.6 0.15445238"""


def test_the_checksum_of_krakens_own_example(exchange: Exchange) -> None:
    """https://docs.kraken.com/api/docs/guides/spot-ws-book-v2"""
    asks, bids = (zip(*[map(D, side.split())] * 2, strict=True) for side in (ASKS, BIDS))
    exchange.quote(BTC, bids, asks)
    (row,) = Feed(exchange, wall_clock_ms).snapshot(Wish("book", BTC))
    assert row["checksum"] == 3310070434


async def test_tickers_trades_and_candles(shared: VenueServer, exchange: Exchange, client: pro.kraken) -> None:
    async with asyncio.timeout(30):
        assert (await client.watch_ticker(BTC))["last"] == 50_000.0
        assert (await client.watch_ohlcv(BTC, "1d"))[-1][1:] == [50_000.0] * 4 + [0.0]
        trades = asyncio.ensure_future(client.watch_trades(BTC))
        await subscribed(shared, "'trade'")
        exchange.move(BTC, D(51_000))
        await client.create_order(BTC, "market", "buy", 0.002)
        (trade,) = await trades
    assert (trade["price"], trade["amount"], trade["side"], trade["type"]) == (51_000.1, 0.002, "buy", "market")
    await until(lambda: client.tickers[BTC]["last"] == 51_000.1)
    ticker = client.tickers[BTC]
    assert (ticker["baseVolume"], ticker["high"], ticker["bid"]) == (0.002, 51_000.1, 50_999.9)
    await until(lambda: client.ohlcvs[BTC]["1d"][-1][1:] == [50_000.0, 51_000.1, 50_000.0, 51_000.1, 0.002])


async def test_the_best_prices_are_told_when_they_change(exchange: Exchange, shared: VenueServer, client: pro.kraken) -> None:
    async with asyncio.timeout(30):
        assert (await client.watch_bids_asks([BTC]))[BTC]["ask"] == 50_000.1
        watching = asyncio.ensure_future(client.watch_bids_asks([BTC]))
        await asyncio.sleep(0.05)
        exchange.quote(BTC, [(D(49_000), D(1))], [(D(51_000), D(2))])
        best = (await watching)[BTC]
    assert (best["bid"], best["ask"], best["askVolume"]) == (49_000.0, 51_000.0, 2.0)


async def test_candles_over_rest(exchange: Exchange, client: pro.kraken) -> None:
    await client.create_order(BTC, "market", "buy", 0.01)
    candle = (await client.fetch_ohlcv(BTC, "1d"))[-1]
    assert candle[1:] == [50_000.0, 50_000.1, 50_000.0, 50_000.1, 0.01]
