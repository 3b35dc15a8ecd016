"""Unmodified ccxt trades at the local OKX."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
from ccxt import pro as ccxt

from data_channels.market.live import LiveFeed
from tests.unit.okx_cases import BTC, KEYS, ORDER, D, limit, new_client, new_venue
from tests.venues.engine import Exchange
from tests.venues.engine_types import Side
from tests.venues.okx import PASSPHRASE
from tests.venues.server import VenueServer, wall_clock_ms
from trading_core.domain.clock import SystemClock
from trading_core.domain.market import Timeframe

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


# Markets, prices and the account


async def test_markets_and_prices_arrive(exchange: Exchange, client: ccxt.okx) -> None:
    market = client.market(BTC)
    assert (market["id"], market["precision"]["amount"], market["precision"]["price"]) == ("BTC-USDT", 1e-08, 0.1)
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["max"]) == (0.00001, 1_000_000)
    await client.create_order(BTC, "market", "buy", 0.01)
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (49_999.9, 50_000.1, 50_000.1)
    assert (await client.fetch_order_book(BTC, 1))["bids"][0][:2] == [49_999.9, 1000.0]
    (done,) = await client.fetch_trades(BTC)
    assert (done["price"], done["amount"], done["side"]) == (50_000.1, 0.01, "buy")
    assert abs(await client.fetch_time() - wall_clock_ms()) < 5_000
    assert (await client.fetch_status())["status"] == "ok"
    assert (await client.fetch_tickers([BTC]))[BTC]["last"] == 50_000.1


async def test_candles_come_from_either_end_of_an_hour(exchange: Exchange, client: ccxt.okx) -> None:
    newest = (await client.fetch_ohlcv(BTC, "1m"))[-1]
    assert newest[1:5] == [50_000.0] * 4
    began = newest[0] - 3_600_000
    assert [row[0] for row in await client.fetch_ohlcv(BTC, "1m", began, 100)][-1] == newest[0]
    assert (await client.fetch_ohlcv(BTC, "1d", limit=1))[0][4] == 50_000.0
    with pytest.raises(ccxt.BadRequest):
        await client.publicGetMarketCandles({"instId": "BTC-USDT", "bar": "7m"})


async def test_the_desks_feed_reads_it(server: VenueServer) -> None:
    clock = SystemClock()
    feed = LiveFeed("okx", [BTC], clock=clock, base_url=server.base_url)
    try:
        instrument = (await feed.instruments())[BTC]
        assert (instrument.tick_size, instrument.lot_size, instrument.min_quantity) == (D("0.1"), D("1E-8"), D("0.00001"))
        ticker = await feed.ticker(BTC, as_of=clock.now())
        assert (ticker.bid, ticker.ask, ticker.last) == (D("49999.9"), D("50000.1"), D(50_000))
        server.venue.skew_ms = 0
        server.venue.exchange.tape[BTC][0] = replace(server.venue.exchange.tape[BTC][0], at_ms=wall_clock_ms() - 500 * 60_000)
        bars = await feed.bars(BTC, Timeframe("1m"), as_of=clock.now(), limit=400)
        assert len(bars) == 400
        assert {bar.close for bar in bars} == {D(50_000)}
    finally:
        await feed.close()


async def test_a_key_tells_what_it_may_do(client: ccxt.okx) -> None:
    told = {}
    for key in KEYS:
        client.apiKey = key.key
        (config,) = (await client.privateGetAccountConfig())["data"]
        told[key.key] = (config["perm"], config["ip"], config["acctLv"])
    assert told == {
        "key": ("read_only,trade", "", "1"),
        "reader": ("read_only", "", "1"),
        "treasurer": ("read_only,withdraw,trade", "", "1"),
    }
    fee = await client.fetch_trading_fee(BTC)
    assert (fee["maker"], fee["taker"]) == (0.0008, 0.001)


# Orders


async def test_a_market_buy_counts_base_and_pays_its_fee_in_base(client: ccxt.okx) -> None:
    placed = await client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "m1", "tgtCcy": "base_ccy"})
    assert (placed["status"], placed["filled"], placed["clientOrderId"]) == (None, None, "m1")
    order = await client.fetch_order(placed["id"], BTC)
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.01, 50_000.1)
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["takerOrMaker"], trade["info"]["clOrdId"]) == (placed["id"], "taker", "m1")
    assert trade["fee"] == {"cost": 0.00001, "currency": "BTC"}
    balance = await client.fetch_balance()
    assert (balance["BTC"]["total"], balance["USDT"]["free"]) == (0.00999, 9499.999)


async def test_a_market_buy_can_count_quote(client: ccxt.okx) -> None:
    placed = await client.create_order(BTC, "market", "buy", 500, None, {"tgtCcy": "quote_ccy"})
    order = await client.fetch_order(placed["id"], BTC)
    assert (order["status"], order["info"]["sz"], order["info"]["tgtCcy"]) == ("closed", "500", "quote_ccy")
    (trade,) = await client.fetch_my_trades(BTC)
    assert 499.999 < trade["cost"] <= 500


async def test_an_order_is_found_and_cancelled_by_its_client_id(exchange: Exchange, client: ccxt.okx) -> None:
    placed = await limit(client, "r1", 49_000, 0.1)
    assert (await client.fetch_balance())["USDT"]["used"] == 4900
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    found = await client.fetch_order(None, BTC, {"clientOrderId": "r1"})
    assert (found["id"], found["filled"], found["status"]) == (placed, 0.04, "open")
    assert [row["id"] for row in await client.fetch_open_orders()] == [placed]
    assert (await client.cancel_order(None, BTC, {"clientOrderId": "r1"}))["id"] == placed
    ended = await client.fetch_order(placed, BTC)
    assert (ended["status"], ended["filled"], ended["info"]["cancelSource"]) == ("canceled", 0.04, "1")
    assert [row["id"] for row in await client.fetch_canceled_orders(BTC)] == [placed]
    with pytest.raises(ccxt.OrderNotFound, match="51400"):
        await client.cancel_order(placed, BTC)
    with pytest.raises(ccxt.OrderNotFound, match="51603"):
        await client.fetch_order(None, BTC, {"clientOrderId": "nobody"})


async def test_a_stop_has_a_book_of_its_own_and_sends_an_order_of_its_own(exchange: Exchange, client: ccxt.okx) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    stop = {"triggerPrice": 48_000, "algoClOrdId": "s1"}
    placed = await client.create_order(BTC, "market", "sell", 0.05, None, stop)
    assert await client.fetch_open_orders(BTC) == []
    (waiting,) = await client.fetch_open_orders(BTC, params={"trigger": True})
    assert (waiting["id"], waiting["triggerPrice"], waiting["info"]["algoClOrdId"]) == (placed["id"], 48_000.0, "s1")
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order(None, BTC, {"clientOrderId": "s1"})
    exchange.move(BTC, D(47_900))
    algo = await client.fetch_order(placed["id"], BTC, {"trigger": True})
    assert (algo["status"], algo["info"]["state"]) == ("closed", "effective")
    sent = await client.fetch_order(algo["info"]["ordId"], BTC)
    assert (sent["status"], sent["filled"], sent["clientOrderId"]) == ("closed", 0.05, None)
    assert sent["id"] == sent["info"]["algoId"] == placed["id"] != sent["info"]["ordId"]  # ccxt tells the stop's id
    assert sent["info"]["algoClOrdId"] == "s1"
    assert [trade["order"] for trade in await client.fetch_my_trades(BTC)][-1] == sent["info"]["ordId"]
    assert [row["id"] for row in await client.fetch_closed_orders(BTC, params={"trigger": True})] == [placed["id"]]
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], BTC, {"trigger": True})


async def test_a_trigger_is_reached_from_the_side_it_lies_on_when_it_is_placed(exchange: Exchange, client: ccxt.okx) -> None:
    """A sell stop above the price is not refused, and does not sell: it waits for the price to rise."""
    await client.create_order(BTC, "market", "buy", 0.1)
    placed = await client.create_order(BTC, "market", "sell", 0.05, None, {"triggerPrice": 51_000, "algoClOrdId": "up"})
    exchange.move(BTC, D(45_000))
    assert (await client.fetch_order(placed["id"], BTC, {"trigger": True}))["status"] == "open"
    exchange.move(BTC, D(51_000))
    assert (await client.fetch_order(placed["id"], BTC, {"trigger": True}))["info"]["state"] == "effective"


async def test_a_post_only_order_that_would_take_is_taken_and_cancelled(client: ccxt.okx) -> None:
    placed = await client.create_order(BTC, "limit", "buy", 0.01, 51_000, {"postOnly": True, "clientOrderId": "p1"})
    assert placed["info"]["sCode"] == "0"
    ended = await client.fetch_order(None, BTC, {"clientOrderId": "p1"})
    assert (ended["id"], ended["status"], ended["info"]["cancelSource"]) == (placed["id"], "canceled", "31")


async def test_an_order_that_was_cancelled_unfilled_is_forgotten_after_two_hours(server: VenueServer, client: ccxt.okx) -> None:
    placed = await limit(client, "gone")
    await client.cancel_order(placed, BTC)
    assert (await client.fetch_order(placed, BTC))["status"] == "canceled"
    server.venue.skew_ms = 2 * 3_600_000 + 1000
    await client.load_time_difference()
    with pytest.raises(ccxt.OrderNotFound, match="51603"):
        await client.fetch_order(placed, BTC)
    assert await client.fetch_canceled_orders(BTC) == []


async def test_what_an_immediate_order_did_not_get_is_cancelled(exchange: Exchange, client: ccxt.okx) -> None:
    exchange.quote(BTC, [], [(D(50_001), D("0.01"))])
    placed = await client.create_order(BTC, "limit", "buy", 0.03, 50_001, {"timeInForce": "IOC"})
    ended = await client.fetch_order(placed["id"], BTC)
    assert (ended["status"], ended["filled"], ended["info"]["cancelSource"]) == ("canceled", 0.01, "14")


async def test_listings_come_in_pages_of_a_hundred_newest_first(exchange: Exchange, client: ccxt.okx) -> None:
    for _ in range(6):
        await client.privatePostTradeBatchOrders([ORDER | {"clOrdId": "", "ordType": "ioc", "px": "50001", "sz": "0.00001"}] * 20)
    numbers = []
    page = (await client.privateGetTradeFillsHistory({"instType": "SPOT"}))["data"]
    assert len(page) == 100
    numbers += [row["tradeId"] for row in page]
    rest = (await client.privateGetTradeFillsHistory({"instType": "SPOT", "after": page[-1]["billId"]}))["data"]
    numbers += [row["tradeId"] for row in rest]
    assert numbers == [str(number) for number in range(120, 0, -1)]
    at = rest[0]["ts"]
    between = (await client.privateGetTradeFillsHistory({"instType": "SPOT", "begin": at, "end": at}))["data"]
    assert {row["ts"] for row in between} == {at}
    history = (await client.privateGetTradeOrdersHistory({"instType": "SPOT", "state": "filled", "limit": "2"}))["data"]
    older = await client.privateGetTradeOrdersHistory({"instType": "SPOT", "after": history[-1]["ordId"], "limit": "1"})
    assert [int(row["ordId"][1:]) for row in [*history, *older["data"]]] == [122, 121, 120]
    with pytest.raises(ccxt.BadRequest):
        await client.privateGetTradeFillsHistory({"instType": "SPOT", "limit": "101"})
