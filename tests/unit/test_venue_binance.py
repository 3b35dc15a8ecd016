"""Unmodified ccxt trades at the local Binance, and meets each of its faults."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest
import pytest_asyncio
from ccxt import async_support as ccxt

from tests.venues import faults
from tests.venues.binance import OPTIONS, BinanceVenue, api_urls
from tests.venues.engine import Exchange
from tests.venues.engine_types import Fees, Market, Side, Status
from tests.venues.faults import Fault
from tests.venues.server import Key, VenueServer, wall_clock_ms

pytestmark = pytest.mark.asyncio(loop_scope="module")

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
DESK = "desk"
KEYS = [
    Key("key", "secret", DESK),
    Key("reader", "secret", DESK, can_trade=False),
    Key("rich", "secret", DESK, can_withdraw=True),
]
FAR = 40_000  # well below the market: such an order rests


def new_venue(fees: Fees | None = None) -> BinanceVenue:
    exchange = Exchange([Market("BTC", "USDT"), Market("ETH", "USDT", lot=D("0.0001"))], wall_clock_ms, fees=fees)
    exchange.deposit(DESK, "USDT", D(10_000))
    exchange.move(BTC, D(50_000))
    exchange.move(ETH, D(2_000))
    return BinanceVenue(exchange, KEYS)


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
async def connected(shared: VenueServer) -> AsyncIterator[ccxt.binance]:
    """One client for all tests: closing one takes ccxt a quarter of a second."""
    client = ccxt.binance({"apiKey": "key", "secret": "secret", "options": OPTIONS, "timeout": 1000, "enableRateLimit": False})
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.urls["api"] = api_urls(shared.base_url)
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


@pytest.fixture
def client(server: VenueServer, connected: ccxt.binance) -> ccxt.binance:
    connected.apiKey, connected.secret = "key", "secret"
    connected.options |= {"timeDifference": 0, "hasAlreadyAuthenticatedSuccessfully": False}
    return connected


async def limit(client: ccxt.binance, client_id: str, price: float = FAR, amount: float = 0.01) -> dict[str, object]:
    placed: dict[str, object] = await client.create_order(BTC, "limit", "buy", amount, price, {"clientOrderId": client_id})
    return placed


async def test_filters_arrive(client: ccxt.binance) -> None:
    market = client.market(ETH)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.0001, 0.01)
    assert market["limits"]["cost"] == {"min": 5.0, "max": 9_000_000.0}
    assert market["limits"]["amount"] == {"min": 1e-05, "max": 9000.0}


async def test_a_market_order_fills_and_pays_its_fee_in_what_it_received(client: ccxt.binance) -> None:
    order = await client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "m-1"})
    assert (order["status"], order["filled"], order["cost"], order["clientOrderId"]) == ("closed", 0.01, 500.0001, "m-1")
    balance = await client.fetch_balance()
    assert balance["BTC"] == {"free": 0.00999, "used": 0.0, "total": 0.00999}
    assert balance["USDT"]["free"] == 9499.9999
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["price"], trade["amount"], trade["side"]) == (order["id"], 50_000.01, 0.01, "buy")
    assert trade["fee"] == {"cost": 1e-05, "currency": "BTC"}


async def test_a_fee_in_a_third_coin(server: VenueServer, client: ccxt.binance) -> None:
    server.venue = new_venue(Fees(taken_in="BNB", coin_price=D(500)))
    server.venue.exchange.deposit(DESK, "BNB", D("0.0011"))
    for number in range(2):
        await client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": f"b-{number}"})
    fees = [trade["fee"] for trade in await client.fetch_my_trades(BTC)]
    assert fees == [{"cost": 0.001, "currency": "BNB"}, {"cost": 1e-05, "currency": "BTC"}]  # the coin was used up


async def test_a_resting_order_holds_money_fills_in_parts_and_is_cancelled(exchange: Exchange, client: ccxt.binance) -> None:
    placed = await limit(client, "r-1", 49_000, 0.1)
    assert (placed["status"], placed["filled"]) == ("open", 0.0)
    assert (await client.fetch_balance())["USDT"]["used"] == 4900.0
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    partly = await client.fetch_order(None, BTC, {"clientOrderId": "r-1"})
    assert (partly["status"], partly["filled"], partly["remaining"]) == ("open", 0.04, 0.06)
    assert partly["info"]["status"] == "PARTIALLY_FILLED"
    cancelled = await client.cancel_order(None, BTC, {"clientOrderId": "r-1"})
    assert (cancelled["status"], cancelled["filled"]) == ("canceled", 0.04)
    assert cancelled["clientOrderId"] != "r-1"  # Binance gives the cancel an id of its own
    assert cancelled["info"]["origClientOrderId"] == "r-1"
    assert (await client.fetch_balance())["USDT"]["used"] == 0.0
    assert [trade["takerOrMaker"] for trade in await client.fetch_my_trades(BTC)] == ["maker"]


async def test_a_stop_waits_triggers_and_sells(exchange: Exchange, client: ccxt.binance) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    placed = await client.create_order(BTC, "market", "sell", 0.09, None, {"stopLossPrice": 48_000, "clientOrderId": "s-1"})
    assert (placed["id"] is not None, placed["clientOrderId"]) == (True, "s-1")
    waiting = await client.fetch_order(None, BTC, {"clientOrderId": "s-1"})
    assert (waiting["status"], waiting["triggerPrice"], waiting["info"]["isWorking"]) == ("open", 48_000.0, False)
    exchange.move(BTC, D(47_990))
    sold = await client.fetch_order(None, BTC, {"clientOrderId": "s-1"})
    assert (sold["status"], sold["average"]) == ("closed", 47_989.99)


async def test_listings_and_pages(exchange: Exchange, client: ccxt.binance) -> None:
    for number in range(5):
        await limit(client, f"l-{number}", FAR + number)
    await client.create_order(ETH, "limit", "buy", 0.1, 1_000, {"clientOrderId": "e-1"})
    await client.cancel_order(None, BTC, {"clientOrderId": "l-3"})
    assert [o["clientOrderId"] for o in await client.fetch_open_orders(BTC)] == ["l-0", "l-1", "l-2", "l-4"]
    client.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
    assert len(await client.fetch_open_orders()) == 5
    assert [o["clientOrderId"] for o in await client.fetch_orders(BTC, limit=2)] == ["l-3", "l-4"]
    assert [o["status"] for o in await client.fetch_orders(BTC, params={"orderId": 8}, limit=2)] == ["canceled", "open"]
    await client.cancel_all_orders(BTC)
    assert await client.fetch_open_orders(BTC) == []
    exchange.move(ETH, D(900))
    assert [trade["price"] for trade in await client.fetch_my_trades(ETH)] == [1_000.0]  # at its own price, not the market's


async def test_public_data(client: ccxt.binance) -> None:
    await client.create_order(BTC, "market", "buy", 0.01)
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["ask"], ticker["last"], ticker["baseVolume"]) == (49_999.99, 50_000.01, 50_000.01, 0.01)
    assert (await client.fetch_bids_asks([BTC]))[BTC]["ask"] == 50_000.01
    assert (await client.fetch_order_book(BTC))["asks"] == [[50_000.01, 999.99]]
    candle = (await client.fetch_ohlcv(BTC, "1h"))[-1]
    assert candle[1:] in (
        [50_000.0, 50_000.01, 50_000.0, 50_000.01, 0.01],
        [50_000.01] * 4 + [0.0],
    )  # unless the hour just turned
    assert abs(await client.fetch_time() - wall_clock_ms()) < 5_000
    assert (await client.fetch_status())["status"] == "ok"
    assert (await client.fetch_trading_fee(BTC))["taker"] == 0.001


async def test_the_permissions_of_a_key_can_be_read(client: ccxt.binance) -> None:
    client.apiKey = "rich"
    assert (await client.sapiGetAccountApiRestrictions())["enableWithdrawals"] is True
    client.apiKey = "reader"
    assert (await client.sapiGetAccountApiRestrictions())["enableSpotAndMarginTrading"] is False


REFUSALS = {
    "off the lot": ({"quantity": "0.000015", "price": "40000"}, "-1013", "LOT_SIZE"),
    "too little": ({"quantity": "0.00001", "price": "40000"}, "-1013", "NOTIONAL"),
    "off the tick": ({"quantity": "0.01", "price": "40000.001"}, "-1013", "PRICE_FILTER"),
    "too many digits": ({"quantity": "0.0000000001", "price": "40000"}, "-1111", "too much precision"),
    "no number": ({"quantity": "1e-2", "price": "40000"}, "-1100", "Illegal characters"),
    "too dear": ({"quantity": "1", "price": "40000"}, "-2010", "insufficient balance"),
    "no price": ({"quantity": "0.01"}, "-1102", "'price' was not sent"),
    "unknown parameter": ({"quantity": "0.01", "price": "40000", "clientOrderId": "x"}, "-1104", "Not all sent parameters"),
    "no such symbol": ({"quantity": "0.01", "price": "40000", "symbol": "XXXUSDT"}, "-1121", "Invalid symbol"),
    "no such side": ({"quantity": "0.01", "price": "40000", "side": "HOLD"}, "-1117", "Invalid side"),
    "no such type": ({"quantity": "0.01", "price": "40000", "type": "PEGGED"}, "-1116", "Invalid orderType"),
    "no such lifetime": ({"quantity": "0.01", "price": "40000", "timeInForce": "DAY"}, "-1115", "Invalid timeInForce"),
    "stop price on a limit": ({"quantity": "0.01", "price": "40000", "stopPrice": "1"}, "-1106", "sent when not required"),
    "id too long": ({"quantity": "0.01", "price": "40000", "newClientOrderId": "x" * 37}, "-1100", "newClientOrderId"),
    "id of odd letters": ({"quantity": "0.01", "price": "40000", "newClientOrderId": "a b"}, "-1100", "newClientOrderId"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_bad_order_is_refused_in_binances_words(case: str, exchange: Exchange, client: ccxt.binance) -> None:
    given, code, words = REFUSALS[case]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"} | given
    with pytest.raises(ccxt.BaseError) as refused:
        await client.privatePostOrder(order)
    assert words in str(refused.value)
    assert code in str(refused.value) or isinstance(refused.value, ccxt.InsufficientFunds)
    assert exchange.orders_of(DESK) == []


async def test_what_the_book_refuses(client: ccxt.binance) -> None:
    await limit(client, "d-1")
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await limit(client, "d-1")
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="match and take"):
        await client.create_order(BTC, "limit", "buy", 0.01, 51_000, {"postOnly": True})
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="trigger immediately"):
        await client.create_order(BTC, "market", "buy", 0.01, None, {"stopLossPrice": 49_000})
    with pytest.raises(ccxt.OrderNotFound, match="Unknown order sent"):
        await client.cancel_order(None, BTC, {"clientOrderId": "never"})
    with pytest.raises(ccxt.OrderNotFound, match="Order does not exist"):
        await client.fetch_order(None, BTC, {"clientOrderId": "never"})


async def test_an_id_is_free_again_when_its_order_is_not_open(exchange: Exchange, client: ccxt.binance) -> None:
    first = await limit(client, "again")
    await client.cancel_order(None, BTC, {"clientOrderId": "again"})
    second = await limit(client, "again")
    found = await client.fetch_order(None, BTC, {"clientOrderId": "again"})
    assert (found["id"], found["status"]) == (second["id"], "open")
    assert first["id"] != second["id"]


# Keys, signatures, clocks


@pytest.mark.parametrize(
    ("key", "secret", "code"), [("nobody", "secret", "-2008"), ("key", "wrong", "-1022"), ("reader", "secret", "-2015")]
)
async def test_who_may_not_trade(key: str, secret: str, code: str, exchange: Exchange, client: ccxt.binance) -> None:
    client.apiKey, client.secret = key, secret
    # Only from Binance's own host name does ccxt read -2008 as an AuthenticationError, one kind of ExchangeError.
    with pytest.raises(ccxt.ExchangeError, match=code):
        await limit(client, "no")
    assert exchange.orders_of(DESK) == []


async def test_a_signature_is_of_the_bytes_that_were_sent(client: ccxt.binance) -> None:
    """A parameter added after signing is found out."""
    signed = client.sign("order", ["private"], "DELETE", {"symbol": "BTCUSDT", "orderId": 1})
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        await client.fetch(signed["url"].replace("orderId=1", "orderId=2"), "DELETE", signed["headers"])


async def test_a_clock_that_runs_ahead_is_refused_until_it_is_set(server: VenueServer, client: ccxt.binance) -> None:
    for skew, words in ((-30_000, "ahead of the server"), (30_000, "outside of the recvWindow")):
        server.venue.skew_ms = skew
        client.options["timeDifference"] = 0
        with pytest.raises(ccxt.InvalidNonce, match=words):
            await limit(client, f"skew{skew}")
        await client.load_time_difference()
        assert (await limit(client, f"skew{skew}"))["status"] == "open"


# Faults

FAULTS: list[tuple[Fault, type[Exception]]] = [
    (faults.REPLY_LOST, ccxt.ExchangeNotAvailable),
    (faults.RESET_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.RESET_AFTER, ccxt.ExchangeNotAvailable),
    (faults.ERROR_BEFORE, ccxt.OperationFailed),
    (faults.ERROR_AFTER, ccxt.RequestTimeout),
    (faults.HTML_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.HTML_AFTER, ccxt.RequestTimeout),
    (faults.late(2), ccxt.RequestTimeout),
    (faults.drip(4), ccxt.RequestTimeout),
    (faults.rate_limited(), ccxt.DDoSProtection),
    (faults.rate_limited(7), ccxt.DDoSProtection),
    (faults.banned(), ccxt.DDoSProtection),
    (faults.skewed(-60_000), ccxt.InvalidNonce),
    (faults.skewed(60_000), ccxt.InvalidNonce),
    (faults.maintenance(), ccxt.OnMaintenance),
    (faults.NO_PERMISSION, ccxt.AuthenticationError),
    (faults.BAD_KEY, ccxt.AuthenticationError),
]


@pytest.mark.parametrize(
    ("fault", "raised"), FAULTS, ids=lambda value: f"{value.name} {value.retry_after}" if isinstance(value, Fault) else ""
)
async def test_a_fault_on_placing(
    fault: Fault, raised: type[Exception], server: VenueServer, exchange: Exchange, client: ccxt.binance
) -> None:
    server.faults.queue("place", fault)
    with pytest.raises(raised):
        await limit(client, "f-1")
    assert server.count("place") == 1
    stands = exchange.find(DESK, BTC, client_id="f-1")
    assert (stands is not None) == (fault.executes and not fault.skew_ms)
    if fault.retry_after is not None:
        assert client.last_response_headers["Retry-After"] == str(fault.retry_after)
    if stands:
        assert (await client.fetch_order(None, BTC, {"clientOrderId": "f-1"}))["id"] == str(stands.number)
    else:
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, BTC, {"clientOrderId": "f-1"})


@pytest.mark.parametrize("fault", [faults.BROKEN_BODY, faults.HTML_200], ids=lambda fault: fault.name)
async def test_a_body_that_is_no_json_gives_an_order_without_an_id(
    fault: Fault, server: VenueServer, exchange: Exchange, client: ccxt.binance
) -> None:
    """ccxt raises nothing here: who trusts its answer loses an order."""
    server.faults.queue("place", fault)
    placed = await limit(client, "b-1")
    assert (placed["id"], placed["status"]) == (None, None)
    assert exchange.find(DESK, BTC, client_id="b-1") is not None


async def test_a_lost_answer_to_a_cancel_is_asked_for_again_by_the_http_client(server: VenueServer, client: ccxt.binance) -> None:
    """aiohttp sends GET and DELETE once more when a kept connection breaks; the second cancel then finds nothing open."""
    await limit(client, "c-1")
    server.faults.queue("cancel", faults.REPLY_LOST)
    with pytest.raises(ccxt.OrderNotFound, match="Unknown order sent"):
        await client.cancel_order(None, BTC, {"clientOrderId": "c-1"})
    assert server.count("cancel") == 2
    assert (await client.fetch_order(None, BTC, {"clientOrderId": "c-1"}))["status"] == "canceled"


async def test_after_a_good_request_ccxt_takes_missing_permission_for_a_ban(server: VenueServer, client: ccxt.binance) -> None:
    await client.fetch_balance()
    server.faults.queue("place", faults.NO_PERMISSION)
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):
        await limit(client, "p-1")


async def test_doubled_and_reordered_listings(server: VenueServer, client: ccxt.binance) -> None:
    for number in range(3):
        await limit(client, f"o-{number}", FAR + number)
    server.faults.queue("open_orders", faults.DOUBLED)
    doubled = await client.privateGetOpenOrders({"symbol": "BTCUSDT"})
    assert [row["clientOrderId"] for row in doubled] == ["o-0", "o-0", "o-1", "o-1", "o-2", "o-2"]
    server.faults.queue("open_orders", faults.REORDERED)
    reordered = await client.privateGetOpenOrders({"symbol": "BTCUSDT"})
    assert [row["clientOrderId"] for row in reordered] == ["o-2", "o-1", "o-0"]


async def test_a_standing_fault_lasts_until_it_is_cleared(server: VenueServer, client: ccxt.binance) -> None:
    server.faults.always(faults.maintenance())
    for _ in range(2):
        with pytest.raises(ccxt.OnMaintenance):
            await client.fetch_ticker(BTC)
    server.faults.clear()
    assert (await client.fetch_ticker(BTC))["last"] == 50_000.0


async def test_many_orders_through_random_faults_each_stand_once_or_not_at_all(
    server: VenueServer, exchange: Exchange, client: ccxt.binance
) -> None:
    server.faults.sample(random.Random(7), 0.4, faults.WRITE_FAULTS, ("place",))
    acknowledged: set[str] = set()
    for number in range(60):
        try:
            placed = await limit(client, f"n-{number}", amount=0.0002)
        except ccxt.BaseError:
            continue
        if placed["id"] is not None:
            acknowledged.add(f"n-{number}")
    standing = [order.ticket.client_id for order in exchange.orders_of(DESK) if order.status is Status.OPEN]
    assert len(standing) == len(set(standing))
    assert acknowledged < set(standing)  # some were executed and never acknowledged
    assert len(standing) < server.count("place") == 60  # and some never were
    assert {seen.fault for seen in server.seen if seen.fault} >= {faults.REPLY_LOST.name, faults.RESET_BEFORE.name}
