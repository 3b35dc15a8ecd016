"""Unmodified ccxt.pro listens at the local Binance: its account's events, and market data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest
from ccxt import pro
from ccxt.base.errors import AuthenticationError, ExchangeError, InvalidNonce, NetworkError

from tests.venues.binance import OPTIONS, BinanceVenue, api_urls
from tests.venues.binance_stream import ws_urls
from tests.venues.engine import Exchange
from tests.venues.engine_types import Fees, Market, Side
from tests.venues.server import Key, VenueServer, wall_clock_ms
from tests.waiting import until

D = Decimal
BTC = "BTC/USDT"
DESK = "desk"
Trade = dict[str, object]
MARKETS: list[dict[str, object]] = []
"""As ccxt parsed them once, so that each test's own client need not ask."""


@pytest.fixture(scope="module")
def shared() -> Iterator[VenueServer]:
    with VenueServer(new_venue()) as server:
        yield server


def new_venue() -> BinanceVenue:
    exchange = Exchange([Market("BTC", "USDT")], wall_clock_ms, fees=Fees(maker=D("0.0005")))
    exchange.deposit(DESK, "USDT", D(10_000))
    exchange.move(BTC, D(50_000))
    return BinanceVenue(exchange, [Key("key", "secret", DESK)])


@pytest.fixture
def venue(shared: VenueServer) -> BinanceVenue:
    shared.venue = venue = new_venue()
    shared.faults.clear()
    return venue


@pytest.fixture
def exchange(venue: BinanceVenue) -> Exchange:
    return venue.exchange


@pytest.fixture
async def client(shared: VenueServer, venue: BinanceVenue) -> AsyncIterator[pro.binance]:
    client = pro.binance({"apiKey": "key", "secret": "secret", "options": OPTIONS, "timeout": 2000, "enableRateLimit": False})
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.urls["api"] = api_urls(shared.base_url) | {"ws": ws_urls(shared.ws_url)}
    if MARKETS:
        client.set_markets(MARKETS)
    else:
        MARKETS.extend((await client.load_markets()).values())
    try:
        yield client
    finally:
        await client.close()


async def soon(waiting: asyncio.Future[object] | asyncio.Task[object]) -> list[Trade]:
    async with asyncio.timeout(30):
        told = await waiting
        assert isinstance(told, list)
        return told


async def subscribed(server: VenueServer, words: str, client: pro.binance, *calls: str) -> list[asyncio.Task[object]]:
    """Start to watch, and wait until the venue has heard of it."""
    tasks = [asyncio.ensure_future(getattr(client, call)(BTC)) for call in calls]
    await until(lambda: any(words in str(stream.heard) for stream in server.streams), lambda: words)
    await asyncio.sleep(0.05)  # mostly the venue's answer has come by then, too
    return tasks


async def test_an_order_is_told_from_its_birth_to_its_end(shared: VenueServer, exchange: Exchange, client: pro.binance) -> None:
    trades, orders = await subscribed(shared, "subscribe.signature", client, "watch_my_trades", "watch_orders")
    placed = await client.create_order(BTC, "limit", "buy", 0.02, 40_000, {"clientOrderId": "mine"})
    (order,) = await soon(orders)
    assert (order["id"], order["clientOrderId"], order["status"]) == (placed["id"], "mine", "open")
    orders = asyncio.ensure_future(client.watch_orders(BTC))
    exchange.trade_at(BTC, Side.SELL, D(40_000), D("0.005"))
    (order,) = await soon(orders)
    assert (order["status"], order["filled"], order["remaining"]) == ("open", 0.005, 0.015)
    (trade,) = await soon(trades)
    (told,) = await client.fetch_my_trades(BTC)
    for name in ("id", "order", "timestamp", "side", "price", "amount", "fee", "takerOrMaker", "symbol"):
        assert trade[name] == told[name], name
    orders = asyncio.ensure_future(client.watch_orders(BTC))
    await client.cancel_order(placed["id"], BTC)
    (order,) = await soon(orders)
    assert (order["status"], order["clientOrderId"], order["filled"]) == ("canceled", "mine", 0.005)


async def test_a_market_order_is_told_in_the_steps_that_it_took(
    shared: VenueServer, exchange: Exchange, client: pro.binance
) -> None:
    exchange.quote(BTC, [(D(49_999), D(1))], [(D(50_000), D("0.001")), (D(50_010), D(1))])
    (trades,) = await subscribed(shared, "subscribe.signature", client, "watch_my_trades")
    placed = await client.create_order(BTC, "market", "buy", 0.003, None, {"clientOrderId": "mine"})
    await soon(trades)
    await until(lambda: len(client.myTrades) == 2)
    assert [(row["price"], row["amount"]) for row in client.myTrades] == [(50_000.0, 0.001), (50_010.0, 0.002)]
    (final,) = [order for order in client.orders if order["id"] == placed["id"]]
    assert (final["status"], final["filled"]) == ("closed", 0.003)


async def test_balances_are_told_after_each_act(shared: VenueServer, exchange: Exchange, client: pro.binance) -> None:
    client.options["watchBalance"] = {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False}
    watching = asyncio.ensure_future(client.watch_balance())
    await subscribed(shared, "subscribe.signature", client)
    await client.create_order(BTC, "limit", "buy", 0.02, 40_000)
    async with asyncio.timeout(30):
        balance = await watching
    assert balance["USDT"] == {"free": 9200.0, "used": 800.0, "total": 10_000.0}


@pytest.mark.parametrize(
    ("key", "secret", "skew_ms", "reason"),
    [
        ("key", "wrong", 0, AuthenticationError),
        ("unknown", "secret", 0, ExchangeError),
        ("key", "secret", 60_000, InvalidNonce),
    ],
)
async def test_key_signature_and_clock_are_checked(
    key: str, secret: str, skew_ms: int, reason: type[Exception], venue: BinanceVenue, client: pro.binance
) -> None:
    client.apiKey, client.secret, venue.skew_ms = key, secret, skew_ms
    # ccxt forgets the refused subscription twice, and stumbles the second time over its own tidying up.
    with pytest.raises(KeyError) as stumbled:
        await client.watch_orders(BTC)
    assert isinstance(stumbled.value.__context__, reason)


async def test_an_account_hears_nothing_of_another(shared: VenueServer, exchange: Exchange, client: pro.binance) -> None:
    (trades,) = await subscribed(shared, "subscribe.signature", client, "watch_my_trades")
    exchange.deposit("other", "USDT", D(10_000))
    other = Key("other", "other", "other")
    assert isinstance(shared.venue, BinanceVenue)
    shared.venue.keys["other"] = other
    client.apiKey, client.secret = "other", "other"
    await client.create_order(BTC, "market", "buy", 0.001)
    done, _ = await asyncio.wait([trades], timeout=0.1)
    assert not done
    trades.cancel()


async def test_a_line_that_breaks_in_a_frame_is_an_error_of_the_network_and_can_be_opened_anew(
    shared: VenueServer, exchange: Exchange, client: pro.binance
) -> None:
    (trades,) = await subscribed(shared, "subscribe.signature", client, "watch_my_trades")
    shared.faults.streams.drop()
    with pytest.raises(NetworkError):
        await soon(trades)
    (trades,) = await subscribed(shared, "subscribe.signature", client, "watch_my_trades")
    await client.create_order(BTC, "market", "buy", 0.001)
    assert [row["amount"] for row in await soon(trades)] == [0.001]


async def test_the_venue_ends_a_subscription_on_a_socket_that_stays_open(
    shared: VenueServer, venue: BinanceVenue, client: pro.binance
) -> None:
    (trades,) = await subscribed(shared, "subscribe.signature", client, "watch_my_trades")
    venue.end_user_streams()
    await client.create_order(BTC, "market", "buy", 0.001)
    done, _ = await asyncio.wait([trades], timeout=0.1)
    # ccxt forgets the subscription, and who waited for its events waits on.
    assert not done
    assert len(shared.streams) == 1
    assert "spot" not in next(iter(client.clients.values())).subscriptions
    trades.cancel()


# Market data


async def test_the_book_is_followed_level_by_level(shared: VenueServer, exchange: Exchange, client: pro.binance) -> None:
    async with asyncio.timeout(30):
        assert (await client.watch_order_book(BTC))["bids"] == [[49_999.99, 1000.0]]
        for step in range(1, 6):
            waiting = asyncio.ensure_future(client.watch_order_book(BTC))
            await asyncio.sleep(0)
            exchange.quote(BTC, [(D(49_990 + step), D(step)), (D(49_000), D(1))], [(D(50_010), D(step))])
            book = await waiting
            assert (book["bids"], book["asks"]) == ([[49_990.0 + step, step], [49_000.0, 1.0]], [[50_010.0, step]])


async def test_trades_tickers_and_candles(shared: VenueServer, exchange: Exchange, client: pro.binance) -> None:
    async with asyncio.timeout(30):
        assert (await client.watch_ticker(BTC, {"name": "ticker"}))["last"] == 50_000.0
        ((_, *prices, volume),) = await client.watch_ohlcv(BTC, "1d")
        assert (prices, volume) == ([50_000.0] * 4, 0.0)
        (trades,) = await subscribed(shared, "@trade", client, "watch_trades")
        exchange.move(BTC, D(51_000))
        await client.create_order(BTC, "market", "buy", 0.002)
        (trade,) = await soon(trades)
        assert (trade["price"], trade["amount"], trade["side"]) == (51_000.01, 0.002, "buy")
        await until(lambda: client.tickers[BTC]["last"] == 51_000.01)
        ticker = client.tickers[BTC]
        assert (ticker["baseVolume"], ticker["high"], ticker["bid"]) == (0.002, 51_000.01, 50_999.99)
        await until(lambda: client.ohlcvs[BTC]["1d"][-1][1:] == [50_000.0, 51_000.01, 50_000.0, 51_000.01, 0.002])


async def test_the_best_prices_and_joined_trades(shared: VenueServer, exchange: Exchange, client: pro.binance) -> None:
    async with asyncio.timeout(30):
        watching = asyncio.ensure_future(client.watch_bids_asks([BTC]))
        joined = asyncio.ensure_future(client.watch_trades(BTC, None, None, {"name": "aggTrade"}))
        await subscribed(shared, "bookTicker", client)
        await subscribed(shared, "aggTrade", client)
        exchange.move(BTC, D(52_000))
        best = (await watching)[BTC]
        assert (best["bid"], best["ask"], best["bidVolume"]) == (51_999.99, 52_000.01, 1000.0)
        await client.create_order(BTC, "market", "buy", 0.001)
        (trade,) = await joined
        assert (trade["price"], trade["amount"]) == (52_000.01, 0.001)


async def test_an_unknown_stream_is_refused(client: pro.binance) -> None:
    market = client.market(BTC)
    market["lowercaseId"] = "nothing"
    with pytest.raises(ExchangeError):
        await client.watch_trades(BTC)
    market["lowercaseId"] = "btcusdt"
