"""Unmodified ccxt trades at the local Bybit, and meets its faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal

import pytest
import pytest_asyncio
from ccxt import pro as ccxt

from tests.unit.bybit_cases import BTC, DESK, KEYS, limit, new_client, new_venue
from tests.venues import faults
from tests.venues.bybit import BybitVenue
from tests.venues.engine import Exchange
from tests.venues.engine_types import Print, Side
from tests.venues.faults import Fault
from tests.venues.server import VenueServer, wall_clock_ms

pytestmark = pytest.mark.asyncio(loop_scope="module")

D = Decimal


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


# Markets, prices and the account


async def test_markets_and_prices_arrive(exchange: Exchange, client: ccxt.bybit) -> None:
    market = client.market(BTC)
    assert (market["id"], market["precision"]["amount"], market["precision"]["price"]) == ("BTCUSDT", 1e-06, 0.01)
    limits = market["limits"]
    assert (limits["amount"]["min"], limits["amount"]["max"], limits["cost"]["min"]) == (1e-05, 100.0, 5.0)
    await client.create_order(BTC, "market", "buy", 0.01)
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["ask"], ticker["last"], ticker["baseVolume"]) == (49_999.99, 50_000.01, 50_000.01, 0.01)
    book = await client.fetch_order_book(BTC)
    assert (book["bids"][0], book["asks"][0]) == ([49_999.99, 1000.0], [50_000.01, 999.99])
    (trade,) = await client.fetch_trades(BTC)
    assert (trade["side"], trade["price"], trade["amount"]) == ("buy", 50_000.01, 0.01)
    exchange.move(BTC, D(49_000))
    (*_, candle) = await client.fetch_ohlcv(BTC, "1d")
    assert candle[1:] == [50_000.0, 50_000.01, 49_000.0, 49_000.0, 0.01]
    assert abs(await client.fetch_time() - wall_clock_ms()) < 5_000
    fee = await client.fetch_trading_fee(BTC)
    assert (fee["maker"], fee["taker"]) == (0.001, 0.001)


async def test_candles_come_from_the_start_that_was_asked_for(exchange: Exchange, client: ccxt.bybit) -> None:
    minute = wall_clock_ms() // 60_000 * 60_000
    exchange.tape[BTC][0:0] = [Print(0, minute - back * 60_000, D(price), D(1), Side.BUY) for back, price in ((9, 9), (5, 5))]
    rows = await client.fetch_ohlcv(BTC, "1m", minute - 6 * 60_000, 2)
    assert [(row[0], row[4], row[5]) for row in rows] == [(minute - 360_000, 9.0, 0.0), (minute - 300_000, 5.0, 1.0)]


async def test_the_permissions_of_a_key_can_be_read(client: ccxt.bybit) -> None:
    told = {}
    for key in KEYS:
        client.apiKey = key.key
        result = (await client.privateGetV5UserQueryApi())["result"]
        told[key.key] = (
            result["readOnly"],
            "SpotTrade" in result["permissions"]["Spot"],
            "Withdraw" in result["permissions"]["Wallet"],
        )
    assert told == {"key": (0, True, False), "reader": (1, True, False), "rich": (0, True, True)}


# Orders


async def test_a_market_order_says_nothing_but_its_ids_and_pays_in_what_it_received(client: ccxt.bybit) -> None:
    placed = await client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "m-1"})
    assert (placed["status"], placed["filled"], placed["clientOrderId"]) == (None, None, "m-1")
    order = await client.fetch_order(placed["id"], BTC, {"acknowledged": True})
    assert (order["status"], order["filled"], order["average"], order["amount"]) == ("closed", 0.01, 50_000.01, 0.01)
    assert order["fee"] == {"cost": 0.00001, "currency": "BTC"}
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["takerOrMaker"], trade["fee"]["cost"]) == (placed["id"], "taker", 0.00001)
    assert [row["id"] for row in await client.fetch_order_trades(placed["id"], BTC)] == [trade["id"]]
    assert await client.fetch_order_trades("1900000000000000999", BTC) == []
    balance = await client.fetch_balance()
    assert (balance["BTC"]["free"], balance["USDT"]["total"]) == (0.00999, 9_499.9999)


async def test_a_market_buy_with_a_price_is_of_the_quote_coin(client: ccxt.bybit) -> None:
    """What the desk never sends: ccxt multiplies, and Bybit buys for that much."""
    placed = await client.create_order(BTC, "market", "buy", 0.01, 40_000)
    order = await client.fetch_order(placed["id"], BTC, {"acknowledged": True})
    assert (order["status"], order["filled"], order["cost"]) == ("closed", 0.007999, 399.95007999)


async def test_a_resting_order_holds_money_fills_in_parts_and_is_cancelled(exchange: Exchange, client: ccxt.bybit) -> None:
    placed = await limit(client, "r-1", 49_000, 0.1)
    assert (await client.fetch_balance())["USDT"]["used"] == 4_900.0
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    (found,) = await client.fetch_open_orders(BTC)
    assert (found["id"], found["clientOrderId"], found["filled"], found["remaining"]) == (placed, "r-1", 0.04, 0.06)
    answer = await client.cancel_order(placed, BTC)
    assert (answer["id"], answer["status"]) == (placed, None)
    (ended,) = await client.fetch_canceled_and_closed_orders(BTC)
    assert (ended["info"]["orderStatus"], ended["filled"]) == ("PartiallyFilledCanceled", 0.04)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed, BTC)


async def test_a_stop_is_a_book_of_its_own_until_it_triggers(exchange: Exchange, client: ccxt.bybit) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    placed = await client.create_order(BTC, "limit", "sell", 0.05, 48_500, {"triggerPrice": 48_000, "clientOrderId": "s-1"})
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], BTC)
    (waiting,) = await client.fetch_open_orders(BTC)
    assert (waiting["info"]["orderStatus"], waiting["triggerPrice"]) == ("Untriggered", 48_000.0)
    exchange.move(BTC, D(47_900))
    (resting,) = await client.fetch_open_orders(BTC)
    assert (resting["id"], resting["info"]["orderStatus"]) == (placed["id"], "New")
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], BTC, {"trigger": True})
    await client.cancel_order(placed["id"], BTC)
    other = await client.create_order(BTC, "market", "sell", 0.05, None, {"triggerPrice": 40_000})
    await client.cancel_order(other["id"], BTC, {"trigger": True})
    told = {row["id"]: row["info"]["orderStatus"] for row in await client.fetch_canceled_and_closed_orders(BTC)}
    assert (told.pop(placed["id"]), told.pop(other["id"]), *told.values()) == ("Cancelled", "Deactivated", "Filled")


async def test_a_stop_on_the_other_side_of_the_market_waits_for_the_price_to_come(exchange: Exchange, client: ccxt.bybit) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    await client.create_order(BTC, "market", "sell", 0.05, None, {"triggerPrice": 51_000})
    exchange.move(BTC, D(45_000))
    assert [row["info"]["orderStatus"] for row in await client.fetch_open_orders(BTC)] == ["Untriggered"]
    exchange.move(BTC, D(51_000))
    assert await client.fetch_open_orders(BTC) == []


async def test_a_post_only_order_that_would_take_is_accepted_and_cancelled(exchange: Exchange, client: ccxt.bybit) -> None:
    placed = await client.create_order(BTC, "limit", "buy", 0.01, 51_000, {"postOnly": True, "clientOrderId": "p-1"})
    order = await client.fetch_order(placed["id"], BTC, {"acknowledged": True})
    assert (order["status"], order["filled"], order["info"]["rejectReason"]) == ("canceled", 0.0, "EC_PostOnlyWillTakeLiquidity")
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate"):
        await limit(client, "p-1")
    assert exchange.executions[DESK] == []


async def test_the_realtime_list_forgets_and_the_history_tells_a_week(server: VenueServer, client: ccxt.bybit) -> None:
    venue, week = server.venue, 7 * 86_400_000
    assert isinstance(venue, BybitVenue)
    placed = await limit(client, "old")
    live = await limit(client, "live")
    await client.cancel_order(placed, BTC)
    (row,) = await client.fetch_open_orders(BTC, None, None, {"orderLinkId": "old"})
    assert row["status"] == "canceled"
    venue.restart()
    assert await client.fetch_open_orders(BTC, None, None, {"orderLinkId": "old"}) == []
    assert [row["id"] for row in await client.fetch_open_orders(BTC)] == [live]
    venue.exchange.orders[max(venue.exchange.orders) - 1].created_ms -= week + 1000
    assert await client.fetch_canceled_and_closed_orders(BTC, None, None, {"orderLinkId": "old"}) == []
    span = {"orderLinkId": "old", "until": wall_clock_ms() - week}
    (row,) = await client.fetch_canceled_and_closed_orders(BTC, wall_clock_ms() - 2 * week, None, span)
    assert (row["clientOrderId"], row["info"]["orderId"]) == ("old", placed)
    with pytest.raises(ccxt.BadRequest, match="7 days"):
        await client.fetch_canceled_and_closed_orders(BTC, wall_clock_ms() - 2 * week, None, {"until": wall_clock_ms()})


async def test_pages_follow_their_cursor_from_young_to_old(exchange: Exchange, client: ccxt.bybit) -> None:
    placed = [await limit(client, f"o-{number}") for number in range(5)]
    query: dict[str, object] = {"category": "spot", "symbol": "BTCUSDT", "limit": 2}
    pages = []
    while True:
        result = (await client.privateGetV5OrderRealtime(query))["result"]
        if not result["list"]:
            break
        pages.append([row["orderId"] for row in result["list"]])
        query["cursor"] = result["nextPageCursor"]
    assert pages == [[placed[4], placed[3]], [placed[2], placed[1]], [placed[0]]]
    with pytest.raises(ccxt.BadRequest, match="limit"):
        await client.fetch_open_orders(BTC, None, 51)


REFUSALS: dict[str, tuple[Mapping[str, object], type[Exception], str]] = {
    "below the minimum": ({"qty": "0.000001"}, ccxt.InvalidOrder, "170136"),
    "above the maximum": ({"qty": "101"}, ccxt.InvalidOrder, "170135"),
    "off the lot": ({"qty": "0.0100001"}, ccxt.InvalidOrder, "170137"),
    "off the tick": ({"price": "40000.001"}, ccxt.InvalidOrder, "170134"),
    "too small": ({"qty": "0.0001"}, ccxt.InvalidOrder, "170140"),
    "too dear": ({"qty": "1"}, ccxt.InsufficientFunds, "170131"),
    "nothing to sell": ({"side": "Sell"}, ccxt.InsufficientFunds, "170131"),
    "no such market": ({"symbol": "XXXUSDT"}, ccxt.BadSymbol, "10001"),
    "no such type": ({"orderType": "Pegged"}, ccxt.InvalidOrder, "170116"),
    "no such lifetime": ({"timeInForce": "DAY"}, ccxt.InvalidOrder, "170115"),
    "an amount that is a number": ({"qty": 0.01}, ccxt.BadRequest, "10001"),
    "an amount with an exponent": ({"qty": "1e-2"}, ccxt.BadRequest, "170130"),
    "no amount": ({"qty": ""}, ccxt.BadRequest, "170105"),
    "id too long": ({"orderLinkId": "x" * 37}, ccxt.BadRequest, "170130"),
    "id with a point": ({"orderLinkId": "a.b"}, ccxt.BadRequest, "170130"),
    "a trigger without its filter": ({"triggerPrice": "45000"}, ccxt.InvalidOrder, "170202"),
    "another category": ({"category": "linear"}, ccxt.BadRequest, "10001"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_bad_order_is_refused_in_bybits_words(case: str, exchange: Exchange, client: ccxt.bybit) -> None:
    given, raised, code = REFUSALS[case]
    order = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "40000"}
    with pytest.raises(raised, match=code):
        await client.privatePostV5OrderCreate({**order, **given})
    assert exchange.orders_of(DESK) == []


async def test_an_id_is_taken_once_and_for_ever(client: ccxt.bybit) -> None:
    placed = await limit(client, "x" * 36)
    await client.cancel_order(placed, BTC)
    with pytest.raises(ccxt.InvalidOrder, match="170141"):
        await limit(client, "x" * 36)


# Who may


@pytest.mark.parametrize(
    ("key", "secret", "raised"),
    [
        ("nobody", "secret", ccxt.AuthenticationError),
        ("key", "other", ccxt.AuthenticationError),
        ("reader", "secret", ccxt.PermissionDenied),
    ],
)
async def test_who_may_not_trade(key: str, secret: str, raised: type[Exception], exchange: Exchange, client: ccxt.bybit) -> None:
    client.apiKey, client.secret = key, secret
    with pytest.raises(raised):
        await limit(client, "no")
    assert exchange.orders_of(DESK) == []


async def test_a_signature_is_of_the_bytes_that_were_sent(client: ccxt.bybit) -> None:
    query = {"category": "spot", "symbol": "BTCUSDT"}
    signed = client.sign("v5/order/realtime", ["private"], "GET", query)
    assert (await client.fetch(signed["url"], "GET", signed["headers"]))["retCode"] == 0
    with pytest.raises(ccxt.AuthenticationError, match="10004"):
        await client.fetch(signed["url"].replace("BTC", "ETH"), "GET", signed["headers"])


@pytest.mark.parametrize(("ahead_ms", "passes"), [(-900, True), (-1_500, False), (4_500, True), (5_500, False)])
async def test_a_time_counts_from_five_seconds_ago_to_one_ahead(
    ahead_ms: int, passes: bool, server: VenueServer, client: ccxt.bybit
) -> None:
    server.venue.skew_ms = ahead_ms
    if passes:
        assert await client.fetch_balance()
        return
    with pytest.raises(ccxt.InvalidNonce, match="10002"):
        await client.fetch_balance()
    await client.load_time_difference()
    assert await client.fetch_balance()


async def test_the_headers_tell_what_is_left_of_a_second(server: VenueServer, client: ccxt.bybit) -> None:
    now = wall_clock_ms()
    server.venue.exchange.clock = lambda: now
    left = []
    for number in range(3):
        await limit(client, f"l-{number}")
        headers = {name.lower(): value for name, value in client.last_response_headers.items()}
        left.append(headers["x-bapi-limit-status"])
    assert left == ["19", "18", "17"]


# Faults


FAULTS: list[tuple[Fault, type[Exception]]] = [
    (faults.REPLY_LOST, ccxt.ExchangeNotAvailable),
    (faults.RESET_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_AFTER, ccxt.ExchangeNotAvailable),
    (faults.HTML_AFTER, ccxt.RequestTimeout),
    (faults.rate_limited(), ccxt.RateLimitExceeded),
    (faults.banned(), ccxt.RateLimitExceeded),
    (faults.maintenance(), ccxt.ExchangeNotAvailable),
    (faults.NO_PERMISSION, ccxt.PermissionDenied),
    (faults.BAD_KEY, ccxt.AuthenticationError),
]


@pytest.mark.parametrize(("fault", "raised"), FAULTS, ids=lambda value: value.name if isinstance(value, Fault) else "")
async def test_a_fault_on_placing(fault: Fault, raised: type[Exception], server: VenueServer, client: ccxt.bybit) -> None:
    server.faults.queue("place", fault)
    with pytest.raises(raised):
        await limit(client, "f-1")
    assert server.count("place") == 1
    assert len(await client.fetch_open_orders(BTC, None, None, {"orderLinkId": "f-1"})) == int(fault.executes)


async def test_doubled_and_reordered_listings(server: VenueServer, client: ccxt.bybit) -> None:
    placed = [await limit(client, f"o-{number}") for number in range(2)]
    server.faults.queue("open_orders", faults.DOUBLED, faults.REORDERED)
    query = {"category": "spot", "symbol": "BTCUSDT"}
    told = [[row["orderId"] for row in (await client.privateGetV5OrderRealtime(query))["result"]["list"]] for _ in range(2)]
    assert told == [[placed[1], placed[1], placed[0], placed[0]], placed]
