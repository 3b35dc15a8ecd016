"""Unmodified ccxt trades at the local Kraken, and meets its faults."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest
import pytest_asyncio
from ccxt import async_support as ccxt

from tests.venues import faults
from tests.venues.engine import Exchange
from tests.venues.engine_types import Market, Side
from tests.venues.faults import Fault
from tests.venues.kraken import FEES, KrakenVenue
from tests.venues.server import Key, VenueServer, wall_clock_ms

pytestmark = pytest.mark.asyncio(loop_scope="module")

D = Decimal
BTC, DESK = "BTC/USD", "desk"
SECRET = base64.b64encode(b"a secret of the test").decode()
OTHER = base64.b64encode(b"some other secret").decode()
KEYS = [Key("key", SECRET, DESK), Key("reader", SECRET, DESK, can_trade=False)]


def new_venue() -> KrakenVenue:
    market = Market("BTC", "USD", tick=D("0.1"), lot=D("0.00000001"), min_quantity=D("0.0001"), min_notional=D("0.5"))
    exchange = Exchange([market, Market("ETH", "USDT", tick=D("0.01"))], wall_clock_ms, fees=FEES)
    exchange.deposit(DESK, "USD", D(10_000))
    exchange.move(BTC, D(50_000))
    return KrakenVenue(exchange, KEYS)


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
async def connected(shared: VenueServer) -> AsyncIterator[ccxt.kraken]:
    client = ccxt.kraken({"apiKey": "key", "secret": SECRET, "timeout": 3000, "enableRateLimit": False})
    client.timeout_on_exit = 0  # there is no TLS to wait for
    client.urls["api"] = {"public": shared.base_url, "private": shared.base_url}
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


@pytest.fixture
def client(server: VenueServer, connected: ccxt.kraken) -> ccxt.kraken:
    connected.apiKey, connected.secret = "key", SECRET
    return connected


async def limit(client: ccxt.kraken, client_id: str, price: float = 40_000, amount: float = 0.01) -> str:
    placed = await client.create_order(BTC, "limit", "buy", amount, price, {"clientOrderId": client_id})
    return str(placed["id"])


async def test_markets_and_prices_arrive(client: ccxt.kraken) -> None:
    market = client.market(BTC)
    assert (market["id"], market["precision"]) == (
        "XXBTZUSD",
        {"amount": 1e-08, "price": 0.1}
        | {name: market["precision"][name] for name in market["precision"] if name not in ("amount", "price")},
    )
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.0001, 0.5)
    assert (market["taker"], client.market("ETH/USDT")["id"]) == (0.004, "ETHUSDT")
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (49_999.9, 50_000.1, 50_000.0)
    assert (await client.fetch_order_book(BTC))["bids"][0][:2] == [49_999.9, 1000.0]
    assert abs(await client.fetch_time() - wall_clock_ms()) < 5_000
    assert (await client.fetch_status())["status"] == "ok"


async def test_a_market_order_says_little_and_pays_its_fee_in_quote(client: ccxt.kraken) -> None:
    placed = await client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "m-1"})
    assert (placed["status"], placed["filled"], placed["clientOrderId"]) == (None, None, None)
    order = await client.fetch_order(placed["id"])
    assert (order["status"], order["filled"], order["average"], order["clientOrderId"]) == ("closed", 0.01, 50_000.1, "m-1")
    assert float(order["fee"]["cost"]) == 2.000004  # ccxt leaves a fee of an order as text
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["amount"], trade["takerOrMaker"]) == (placed["id"], 0.01, "taker")
    assert trade["fee"] == {"cost": 2.000004, "currency": "USD"}
    balance = await client.fetch_balance()
    assert (balance["BTC"]["total"], balance["USD"]["free"]) == (0.01, 9497.998996)


async def test_an_order_is_found_and_cancelled_by_its_client_id(exchange: Exchange, client: ccxt.kraken) -> None:
    placed = await limit(client, "r-1", 49_000, 0.1)
    assert (await client.fetch_balance())["USD"]["used"] == 4919.6  # the taker fee is held, too
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    (found,) = await client.fetch_open_orders(params={"clientOrderId": "r-1"})
    assert (found["id"], found["filled"], found["price"]) == (placed, 0.04, 49_000.0)
    assert await client.fetch_open_orders(params={"clientOrderId": "other"}) == []
    answer = await client.cancel_order(None, BTC, {"clientOrderId": "r-1"})
    assert (answer["id"], answer["info"]["result"]["count"]) == (None, 1)
    (ended,) = await client.fetch_closed_orders(params={"cl_ord_id": "r-1"})
    assert (ended["status"], ended["filled"]) == ("canceled", 0.04)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed, BTC)


async def test_a_stop_waits_as_pending_and_triggers(exchange: Exchange, client: ccxt.kraken) -> None:
    await client.create_order(BTC, "market", "buy", 0.1)
    placed = await client.create_order(BTC, "market", "sell", 0.1, None, {"stopLossPrice": 48_000})
    assert (placed["triggerPrice"], placed["side"]) == (48_000.0, "sell")
    waiting = await client.fetch_order(placed["id"])
    assert (waiting["info"]["status"], waiting["stopLossPrice"]) == ("pending", 48_000.0)
    exchange.move(BTC, D(47_900))
    assert (await client.fetch_order(placed["id"]))["status"] == "closed"


REFUSALS = {
    "below the minimum": ({"volume": "0.00001"}, ccxt.InvalidOrder),
    "off the tick": ({"price": "40000.05"}, ccxt.ExchangeError),
    "too dear": ({"volume": "1"}, ccxt.InsufficientFunds),
    "no such pair": ({"pair": "XXXUSD"}, ccxt.ExchangeError),
    "no such type": ({"ordertype": "pegged"}, ccxt.ExchangeError),
    "id too long": ({"cl_ord_id": "x" * 19}, ccxt.ExchangeError),
    "would take": ({"price": "51000", "oflags": "post"}, ccxt.ExchangeError),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_bad_order_is_refused(case: str, exchange: Exchange, client: ccxt.kraken) -> None:
    given, raised = REFUSALS[case]
    order = {"pair": "XXBTZUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "40000"} | given
    with pytest.raises(raised):
        await client.privatePostAddOrder(order)
    assert exchange.orders_of(DESK) == []


async def test_ids_of_eighteen_characters_or_a_uuid_unique_while_open(client: ccxt.kraken) -> None:
    await limit(client, "d15708c1-dbb6-465d-b77d-47258319cc90")
    await limit(client, "x" * 18)
    with pytest.raises(ccxt.ExchangeError, match="cl_ord_id"):
        await limit(client, "x" * 18)
    await client.cancel_order(None, BTC, {"clientOrderId": "x" * 18})
    assert await limit(client, "x" * 18)


@pytest.mark.parametrize(
    ("key", "secret", "words"),
    [("nobody", SECRET, "Invalid key"), ("key", OTHER, "Invalid signature"), ("reader", SECRET, "Permission denied")],
)
async def test_who_may_not_trade(key: str, secret: str, words: str, exchange: Exchange, client: ccxt.kraken) -> None:
    client.apiKey, client.secret = key, secret
    with pytest.raises(ccxt.ExchangeError, match=words):
        await limit(client, "no")
    assert exchange.orders_of(DESK) == []


async def test_a_nonce_must_grow(server: VenueServer, client: ccxt.kraken) -> None:
    signed = client.sign("BalanceEx", ["private"], "POST", {})
    assert (await client.fetch(signed["url"], "POST", signed["headers"], signed["body"]))["error"] == []
    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch(signed["url"], "POST", signed["headers"], signed["body"])


FAULTS: list[tuple[Fault, type[Exception]]] = [
    (faults.REPLY_LOST, ccxt.ExchangeNotAvailable),
    (faults.RESET_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_AFTER, ccxt.ExchangeNotAvailable),
    (faults.HTML_AFTER, ccxt.RequestTimeout),
    (faults.rate_limited(), ccxt.DDoSProtection),
    (faults.rate_limited(3), ccxt.DDoSProtection),
    (faults.banned(), ccxt.DDoSProtection),
    (faults.maintenance(), ccxt.ExchangeNotAvailable),
    (faults.NO_PERMISSION, ccxt.PermissionDenied),
    (faults.BAD_KEY, ccxt.AuthenticationError),
]


@pytest.mark.parametrize(
    ("fault", "raised"), FAULTS, ids=lambda value: f"{value.name} {value.retry_after}" if isinstance(value, Fault) else ""
)
async def test_a_fault_on_placing(fault: Fault, raised: type[Exception], server: VenueServer, client: ccxt.kraken) -> None:
    server.faults.queue("place", fault)
    with pytest.raises(raised):
        await limit(client, "f-1")
    assert server.count("place") == 1
    assert len(await client.fetch_open_orders(params={"clientOrderId": "f-1"})) == int(fault.executes)


async def test_a_reordered_listing(server: VenueServer, client: ccxt.kraken) -> None:
    placed = [await limit(client, f"o-{number}") for number in range(3)]
    server.faults.queue("open_orders", faults.REORDERED)
    assert list((await client.privatePostOpenOrders())["result"]["open"]) == placed[::-1]
