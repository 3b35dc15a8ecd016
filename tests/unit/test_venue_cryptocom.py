"""Unmodified ccxt trades at the local Crypto.com, meets its faults, and listens to its streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from ccxt import pro as ccxt

from data_channels.market.live import LiveFeed
from tests.venues import faults
from tests.venues.cryptocom import FEES, CryptocomVenue
from tests.venues.engine import Exchange
from tests.venues.engine_types import Market, Print, Side
from tests.venues.faults import Fault
from tests.venues.local import QuickClock
from tests.venues.server import Key, VenueServer, wall_clock_ms
from tests.waiting import until
from trading_core.domain.market import Timeframe

D = Decimal
BTC, DESK = "BTC/USD", "desk"
SECRET, OTHER = "a secret of the test", "some other secret"
KEYS = [Key("key", SECRET, DESK), Key("reader", SECRET, DESK, can_trade=False)]
MARKETS: list[dict[str, object]] = []
"""As ccxt parsed them once, so that each test's own client need not ask."""


def new_venue() -> CryptocomVenue:
    markets = [Market("BTC", "USD", min_notional=D(1)), Market("ETH", "USDT")]
    exchange = Exchange(markets, wall_clock_ms, fees=FEES, ids_unique_for_ever=True)
    exchange.deposit(DESK, "USD", D(10_000))
    exchange.move(BTC, D(50_000))
    return CryptocomVenue(exchange, KEYS)


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
def venue(server: VenueServer) -> CryptocomVenue:
    assert isinstance(server.venue, CryptocomVenue)
    return server.venue


@pytest.fixture
def exchange(venue: CryptocomVenue) -> Exchange:
    return venue.exchange


@pytest.fixture
async def client(server: VenueServer) -> AsyncIterator[ccxt.cryptocom]:
    client = ccxt.cryptocom({"apiKey": "key", "secret": SECRET, "timeout": 3000, "enableRateLimit": False})
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.has["fetchCurrencies"] = False
    client.urls["api"]["v1"] = f"{server.base_url}/exchange/v1"
    streams = f"{server.ws_url}/exchange/v1"
    client.urls["api"]["ws"] = {"public": f"{streams}/market", "private": f"{streams}/user"}
    if MARKETS:
        client.set_markets(MARKETS)
    else:
        MARKETS.extend((await client.load_markets()).values())
    try:
        yield client
    finally:
        await client.close()


async def limit(client: ccxt.cryptocom, client_id: str, price: float = 40_000, amount: float = 0.01) -> str:
    placed = await client.create_order(BTC, "limit", "buy", amount, price, {"client_oid": client_id})
    return str(placed["id"])


async def test_markets_and_prices_arrive(client: ccxt.cryptocom) -> None:
    market = client.market(BTC)
    assert (market["id"], market["precision"]["price"], market["precision"]["amount"]) == ("BTC_USD", 0.01, 0.00001)
    assert (market["spot"], market["active"], client.market("ETH/USDT")["id"]) == (True, True, "ETH_USDT")
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (49_999.99, 50_000.01, 50_000.0)
    assert (await client.fetch_ticker("ETH/USDT"))["last"] is None
    assert (await client.fetch_order_book(BTC, 1))["bids"][0][:2] == [49_999.99, 1000.0]


async def test_the_feed_reads_candles_and_the_tape_has_trades(
    server: VenueServer, exchange: Exchange, client: ccxt.cryptocom
) -> None:
    await client.create_order(BTC, "market", "buy", 0.01)
    (row,) = await client.fetch_trades(BTC)
    assert (row["price"], row["amount"], row["side"]) == (50_000.01, 0.01, "buy")
    exchange.tape[BTC][:] = [_earlier(done, minutes) for minutes, done in zip((3, 2), exchange.tape[BTC], strict=True)]
    clock = QuickClock()
    feed = LiveFeed("cryptocom", [BTC], clock=clock, base_url=server.base_url)
    try:
        bars = await feed.bars(BTC, Timeframe("1m"), as_of=clock.now(), limit=2)
        assert [(bar.close, bar.volume) for bar in bars] == [(D("50000.01"), D("0.01")), (D("50000.01"), D(0))]
        assert (await feed.ticker(BTC, as_of=clock.now())).last == D("50000.01")
    finally:
        await feed.close()


def _earlier(done: Print, minutes: int) -> Print:
    return replace(done, at_ms=done.at_ms - 60_000 * minutes)


async def test_a_market_order_says_nothing_but_ids_and_pays_in_what_it_received(client: ccxt.cryptocom) -> None:
    placed = await client.create_order(BTC, "market", "buy", 0.01, None, {"client_oid": "m-1"})
    assert (placed["status"], placed["filled"], placed["clientOrderId"]) == (None, None, "m-1")
    order = await client.fetch_order(placed["id"])
    assert (order["status"], order["filled"], order["average"], order["clientOrderId"]) == ("closed", 0.01, 50_000.01, "m-1")
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["amount"], trade["takerOrMaker"], trade["side"]) == (placed["id"], 0.01, "taker", "buy")
    assert trade["fee"] == {"cost": 0.00005, "currency": "BTC"}
    balance = await client.fetch_balance()
    assert (balance["BTC"]["total"], balance["USD"]["free"]) == (0.00995, 9499.9999)


async def test_an_order_rests_fills_in_part_and_is_cancelled(exchange: Exchange, client: ccxt.cryptocom) -> None:
    placed = await limit(client, "r-1", 49_000, 0.1)
    assert (await client.fetch_balance())["USD"]["used"] == 4900.0
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    (found,) = await client.fetch_open_orders(BTC)
    assert (found["id"], found["filled"], found["price"], found["status"]) == (placed, 0.04, 49_000.0, "open")
    assert (await client.cancel_order(placed))["clientOrderId"] == "r-1"
    (ended,) = await client.fetch_orders(BTC)
    assert (ended["status"], ended["filled"]) == ("canceled", 0.04)
    with pytest.raises(ccxt.ExchangeError, match="NO_ACTIVE_ORDER"):
        await client.cancel_order(placed)
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order("1")


async def test_an_order_is_found_by_its_client_id_alone(client: ccxt.cryptocom) -> None:
    placed = await limit(client, "r-1")
    found = await client.v1PrivatePostPrivateGetOrderDetail({"client_oid": "r-1"})
    assert found["result"]["order_id"] == placed
    with pytest.raises(ccxt.OrderNotFound):
        await client.v1PrivatePostPrivateGetOrderDetail({"client_oid": "other"})
    # What ccxt makes of an order id that is not given is signed otherwise than the venue reads it.
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_order(None, BTC, {"client_oid": "r-1"})


async def test_all_orders_of_a_market_are_cancelled(exchange: Exchange, client: ccxt.cryptocom) -> None:
    for number in range(3):
        await limit(client, f"r-{number}")
    await client.cancel_all_orders(BTC)
    assert exchange.orders_of(DESK, only_open=True) == []


async def test_the_venue_has_taken_stops_away_from_where_ccxt_sends_them(client: ccxt.cryptocom) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    with pytest.raises(ccxt.ExchangeError, match="API_DISABLED"):
        await client.create_order(BTC, "market", "sell", 0.05, None, {"stopLossPrice": 48_000})


async def test_a_stop_is_an_order_apart_until_it_triggers(exchange: Exchange, client: ccxt.cryptocom) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    asked = {"instrument_name": "BTC_USD", "side": "SELL", "type": "STOP_LIMIT", "quantity": "0.05", "client_oid": "s-1"}
    prices = {"price": "47900", "ref_price": "48000", "ref_price_type": "LAST_PRICE"}
    stop = (await advanced(client, "create-order", asked | prices))["order_id"]
    (row,) = (await advanced(client, "get-open-orders", {}))["data"]
    assert (row["order_id"], row["order_type"], row["ref_price"], row["status"]) == (stop, "STOP_LIMIT", "48000", "ACTIVE")
    assert "exchange_order_id" not in row
    assert await client.fetch_open_orders() == []
    exchange.move(BTC, D(47_800))
    sent = (await advanced(client, "get-order-detail", {"client_oid": "s-1"}))["exchange_order_id"]
    assert ((await client.fetch_order(sent))["type"], sent != stop) == ("limit", True)
    assert (await advanced(client, "get-open-orders", {}))["data"] == []
    with pytest.raises(ccxt.ExchangeError, match="NO_ACTIVE_ORDER"):
        await advanced(client, "cancel-order", {"order_id": stop})
    await client.cancel_order(sent)
    (ended,) = (await advanced(client, "get-order-history", {}))["data"]
    assert (ended["order_id"], ended["status"]) == (stop, "CANCELED")


async def advanced(client: ccxt.cryptocom, name: str, params: dict[str, object]) -> dict[str, object]:
    """A method that ccxt has no name for."""
    answer = await client.request(f"private/advanced/{name}", ["v1", "private"], "POST", params)
    return answer["result"]


REFUSALS = {
    "below the minimum": ({"quantity": "0.00001"}, ccxt.InvalidOrder, "BELOW_MIN_ORDER_SIZE"),
    "off the lot": ({"quantity": "0.010000001"}, ccxt.InvalidOrder, "INVALID_ORDERQTY"),
    "off the tick": ({"price": "40000.001"}, ccxt.ExchangeError, "INVALID_PRICE"),
    "a number that is no text": ({"quantity": 0.01}, ccxt.BadRequest, "MISSING_OR_INVALID_ARGUMENT"),
    "too dear": ({"quantity": "1"}, ccxt.InsufficientFunds, "INSUFFICIENT_AVAILABLE_BALANCE"),
    "no such market": ({"instrument_name": "XXX_USD"}, ccxt.ExchangeError, "INVALID_INSTRUMENT"),
    "no such type": ({"type": "PEGGED"}, ccxt.ExchangeError, "INVALID_ORDTYPE"),
    "no such side": ({"side": "buy"}, ccxt.ExchangeError, "INVALID_SIDE"),
    "no such lifetime": ({"time_in_force": "GTC"}, ccxt.ExchangeError, "INVALID_TIF"),
    "no such instruction": ({"exec_inst": ["HIDDEN"]}, ccxt.InvalidOrder, "INVALID_EXECINST"),
    "id too long": ({"client_oid": "x" * 37}, ccxt.BadRequest, "MISSING_OR_INVALID_ARGUMENT"),
    "would take": ({"price": "51000", "exec_inst": ["POST_ONLY"]}, ccxt.InvalidOrder, "POST_ONLY_REJ"),
    "quantity and notional": (
        {"type": "MARKET", "notional": "100"},
        ccxt.BadRequest,
        "MISSING_OR_INVALID_ARGUMENT",
    ),
}
GOOD = {"instrument_name": "BTC_USD", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "40000"}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_bad_order_is_refused(case: str, exchange: Exchange, client: ccxt.cryptocom) -> None:
    changed, raised, words = REFUSALS[case]
    with pytest.raises(raised, match=words):
        await client.v1PrivatePostPrivateCreateOrder(GOOD | changed)
    assert exchange.orders_of(DESK) == []


async def test_ids_of_thirty_six_characters_taken_once_for_ever(client: ccxt.cryptocom) -> None:
    placed = await limit(client, "x" * 36)
    await client.cancel_order(placed)
    with pytest.raises(ccxt.ExchangeError, match="DUPLICATE_CLORDID"):
        await limit(client, "x" * 36)


async def test_an_immediate_order_that_gets_nothing_is_an_error_that_names_it(client: ccxt.cryptocom) -> None:
    for lifetime, words in (("IOC", "IMMEDIATE_OR_CANCEL"), ("FOK", "FILL_OR_KILL")):
        with pytest.raises(ccxt.InvalidOrder, match=f'(?=.*"{words}")(?=.*"order_id")'):
            await client.create_order(BTC, "limit", "buy", 0.01, 40_000, {"timeInForce": lifetime})
    assert [order["status"] for order in await client.fetch_orders(BTC)] == ["expired", "expired"]


async def test_a_market_buy_by_cost(client: ccxt.cryptocom) -> None:
    asked = {"instrument_name": "BTC_USD", "side": "BUY", "type": "MARKET", "notional": "1000"}
    placed = await client.v1PrivatePostPrivateCreateOrder(asked)
    order = await client.fetch_order(placed["result"]["order_id"])
    assert (order["status"], order["filled"]) == ("closed", 0.01999)


async def test_pages_end_before_their_end_and_hold_a_hundred(exchange: Exchange, client: ccxt.cryptocom) -> None:
    await limit(client, "r-1", 49_000, 0.12)
    for _ in range(120):
        exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.001"))
    done = exchange.executions[DESK]
    assert len(await client.fetch_my_trades(BTC)) == 100
    last = done[-1].at_ms
    before = await client.fetch_my_trades(BTC, last - 1000, 100, {"until": last})
    assert len(before) == min(100, sum(execution.at_ms < last for execution in done))
    with pytest.raises(ccxt.BadRequest, match="INVALID_DATE"):
        await client.fetch_my_trades(BTC, last - 8 * 86_400_000, 100, {"until": last})
    with pytest.raises(ccxt.BadRequest, match="MISSING_OR_INVALID_ARGUMENT"):
        await client.fetch_my_trades(BTC, None, 101)


WHO = [("nobody", SECRET), ("key", OTHER), ("reader", SECRET)]


@pytest.mark.parametrize(("key", "secret"), WHO, ids=["nobody", "wrong secret", "reader"])
async def test_who_may_not_trade(key: str, secret: str, exchange: Exchange, client: ccxt.cryptocom) -> None:
    client.apiKey, client.secret = key, secret
    with pytest.raises(ccxt.AuthenticationError, match="UNAUTHORIZED"):
        await limit(client, "no")
    assert exchange.orders_of(DESK) == []


async def test_a_reader_reads_and_the_account_tells_its_fees(client: ccxt.cryptocom) -> None:
    client.apiKey = "reader"
    assert (await client.fetch_balance())["USD"]["total"] == 10_000.0
    fees = await client.fetch_trading_fees()
    assert (fees[BTC]["maker"], fees[BTC]["taker"]) == (0.0025, 0.005)
    assert [account["id"] for account in await client.fetch_accounts()] == [DESK]


@pytest.mark.parametrize("skew_ms", [61_000, -61_000])
async def test_a_clock_that_is_a_minute_off_is_refused(skew_ms: int, venue: CryptocomVenue, client: ccxt.cryptocom) -> None:
    venue.skew_ms = skew_ms
    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch_balance()
    venue.skew_ms = skew_ms // 2
    await client.fetch_balance()


FAULTS: list[tuple[Fault, type[Exception]]] = [
    (faults.REPLY_LOST, ccxt.ExchangeNotAvailable),
    (faults.RESET_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.RESET_AFTER, ccxt.ExchangeNotAvailable),
    (faults.ERROR_BEFORE, ccxt.ExchangeError),
    (faults.ERROR_AFTER, ccxt.ExchangeError),
    (faults.HTML_AFTER, ccxt.ExchangeError),
    (faults.BROKEN_BODY, ccxt.ExchangeError),
    (faults.rate_limited(), ccxt.RateLimitExceeded),
    (faults.rate_limited(3), ccxt.RateLimitExceeded),
    (faults.banned(), ccxt.RateLimitExceeded),
    (faults.maintenance(), ccxt.OnMaintenance),
    (faults.NO_PERMISSION, ccxt.AuthenticationError),
    (faults.BAD_KEY, ccxt.AuthenticationError),
    (faults.skewed(70_000), ccxt.InvalidNonce),
]


@pytest.mark.parametrize(
    ("fault", "raised"), FAULTS, ids=lambda value: f"{value.name} {value.retry_after}" if isinstance(value, Fault) else ""
)
async def test_a_fault_on_placing(fault: Fault, raised: type[Exception], server: VenueServer, client: ccxt.cryptocom) -> None:
    server.faults.queue("place", fault)
    with pytest.raises(raised):
        await limit(client, "f-1")
    assert server.count("place") == 1
    assert len(await client.fetch_open_orders()) == int(fault.executes and not fault.skew_ms)


async def test_listings_that_are_doubled_or_reordered(server: VenueServer, client: ccxt.cryptocom) -> None:
    placed = [await limit(client, f"o-{number}") for number in range(3)]
    server.faults.queue("open_orders", faults.DOUBLED, faults.REORDERED)
    doubled = (await client.v1PrivatePostPrivateGetOpenOrders())["result"]["data"]
    assert len(doubled) == 6
    reordered = (await client.v1PrivatePostPrivateGetOpenOrders())["result"]["data"]
    assert [row["order_id"] for row in reordered] == placed[::-1]


async def test_an_account_hears_of_its_orders_and_trades(exchange: Exchange, client: ccxt.cryptocom) -> None:
    orders, trades = asyncio.create_task(client.watch_orders()), asyncio.create_task(client.watch_my_trades())
    balance = asyncio.create_task(client.watch_balance())
    assert (await balance)["USD"]["total"] == 10_000.0
    placed = await limit(client, "w-1", 49_000, 0.1)
    (opened,) = await orders
    assert (opened["id"], opened["clientOrderId"], opened["status"], opened["filled"]) == (placed, "w-1", "open", 0.0)
    changed = asyncio.create_task(client.watch_orders())
    await asyncio.sleep(0.05)  # so that it waits before there is something to hear
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    told = (await trades)[0]
    assert (told["order"], told["amount"], told["takerOrMaker"]) == (placed, 0.04, "maker")
    assert told == (await client.fetch_my_trades(BTC))[0]
    assert (await changed)[-1]["filled"] == 0.04


async def test_subscribing_to_orders_tells_those_that_are_live(client: ccxt.cryptocom) -> None:
    placed = await limit(client, "w-1")
    (opened,) = await client.watch_orders(BTC)
    assert (opened["id"], opened["symbol"]) == (placed, BTC)


async def test_prices_and_books_are_streamed_to_who_asked(
    server: VenueServer, exchange: Exchange, client: ccxt.cryptocom
) -> None:
    assert (await client.watch_ticker(BTC))["last"] == 50_000.0
    exchange.move(BTC, D(51_000))
    assert (await client.watch_ticker(BTC))["last"] == 51_000.0
    book = await client.watch_order_book(BTC)
    assert (book["bids"][0][0], book["asks"][0][0]) == (50_999.99, 51_000.01)
    printed = asyncio.create_task(client.watch_trades(BTC))
    await until(lambda: any("'trade." in str(stream.heard) for stream in server.streams))
    await limit(client, "w-1", 50_500, 0.1)
    exchange.trade_at(BTC, Side.SELL, D(50_500), D("0.1"))
    (trade,) = await printed
    assert (trade["price"], trade["amount"], trade["side"]) == (50_500.0, 0.1, "sell")


async def test_nobody_listens_to_an_account_with_a_wrong_secret(client: ccxt.cryptocom) -> None:
    client.secret = OTHER
    with pytest.raises(ccxt.AuthenticationError, match="UNAUTHORIZED"):
        await client.watch_orders()


async def test_who_does_not_answer_a_heartbeat_is_parted_from(
    server: VenueServer, venue: CryptocomVenue, client: ccxt.cryptocom
) -> None:
    await client.watch_ticker(BTC)
    (stream,) = server.streams
    for times in (1, 2):
        venue.heartbeat()
        await until(lambda wanted=times: str(stream.heard).count("public/respond-heartbeat") == wanted)
    client.pong = _mute
    waiting = asyncio.create_task(client.watch_ticker(BTC))
    venue.heartbeat()
    await asyncio.sleep(0.1)
    venue.heartbeat()
    with pytest.raises(ccxt.NetworkError):
        await waiting


async def _mute(socket: object, message: object) -> None:
    """Answers nothing."""


async def test_a_socket_that_breaks_fails_who_waits(server: VenueServer, client: ccxt.cryptocom) -> None:
    await client.watch_ticker(BTC)
    waiting = asyncio.create_task(client.watch_ticker(BTC))
    await asyncio.sleep(0.05)
    server.faults.streams.drop()
    with pytest.raises(ccxt.NetworkError):
        await waiting
