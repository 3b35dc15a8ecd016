"""What the local OKX turns away, and what goes wrong on the way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from ccxt import pro as ccxt

from tests.unit.okx_cases import BTC, DESK, ORDER, limit, new_client, new_venue
from tests.venues import faults
from tests.venues.engine import Exchange
from tests.venues.faults import Fault
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


# Orders

REFUSALS = {
    "below the minimum": ({"sz": "0.000001"}, ccxt.InvalidOrder, "51020"),
    "off the lot": ({"sz": "0.010000001"}, ccxt.InvalidOrder, "51121"),
    "off the tick": ({"px": "40000.05"}, ccxt.BadRequest, "51000"),
    "too dear": ({"sz": "1"}, ccxt.InsufficientFunds, "51008"),
    "worth too much": ({"sz": "30"}, ccxt.InvalidOrder, "51201"),
    "no such market": ({"instId": "XXX-USDT"}, ccxt.BadSymbol, "51001"),
    "no such type": ({"ordType": "pegged"}, ccxt.BadRequest, "51000"),
    "id too long": ({"clOrdId": "x" * 33}, ccxt.BadRequest, "51000"),
    "id with a dash": ({"clOrdId": "a-1"}, ccxt.BadRequest, "51000"),
    "on margin": ({"tdMode": "cross"}, ccxt.BadRequest, "51000"),
    "no size": ({"sz": ""}, ccxt.BadRequest, "50014"),
    "a number that is no text": ({"sz": 0.01}, ccxt.BadRequest, "50002"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_bad_order_is_refused(case: str, exchange: Exchange, client: ccxt.okx) -> None:
    given, raised, code = REFUSALS[case]
    with pytest.raises(raised, match=code):
        await client.privatePostTradeBatchOrders([ORDER | given])
    assert exchange.orders_of(DESK) == []


async def test_of_a_batch_the_good_orders_stand(exchange: Exchange, client: ccxt.okx) -> None:
    answer = await client.privatePostTradeBatchOrders([ORDER, ORDER | {"sz": "1", "clOrdId": "c2"}])
    assert answer["code"] == "2"
    assert [row["sCode"] for row in answer["data"]] == ["0", "51008"]
    assert [order.ticket.client_id for order in exchange.orders_of(DESK)] == ["c1"]


async def test_ids_are_unique_while_open_and_the_youngest_is_found(client: ccxt.okx) -> None:
    first = await limit(client, "again")
    with pytest.raises(ccxt.InvalidOrder, match="51016"):
        await limit(client, "again")
    await client.cancel_order(first, BTC)
    second = await limit(client, "again")
    assert (await client.fetch_order(None, BTC, {"clientOrderId": "again"}))["id"] == second != first
    stop = {"triggerPrice": 55_000, "algoClOrdId": "again"}
    await client.create_order(BTC, "market", "buy", 0.01, None, stop)
    with pytest.raises(ccxt.ExchangeError, match="51065"):
        await client.create_order(BTC, "market", "buy", 0.01, None, stop)


# Keys, signatures, clocks


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"apiKey": "nobody"}, "50111"),
        ({"secret": "wrong"}, "50113"),
        ({"password": "wrong"}, "50105"),
        ({"apiKey": "reader"}, "50120"),
    ],
)
async def test_who_may_not_trade(changed: dict[str, str], code: str, exchange: Exchange, client: ccxt.okx) -> None:
    for name, value in changed.items():
        setattr(client, name, value)
    with pytest.raises(ccxt.ExchangeError, match=code):
        await limit(client, "no")
    assert exchange.orders_of(DESK) == []


async def test_a_signature_is_of_the_bytes_that_were_sent(client: ccxt.okx) -> None:
    signed = client.sign("account/balance", ["private"], "GET", {"ccy": "BTC"})
    with pytest.raises(ccxt.AuthenticationError, match="50113"):
        await client.fetch(signed["url"].replace("BTC", "USDT"), "GET", signed["headers"])
    del signed["headers"]["OK-ACCESS-PASSPHRASE"]
    with pytest.raises(ccxt.AuthenticationError, match="50104"):
        await client.fetch(signed["url"], "GET", signed["headers"])


@pytest.mark.parametrize("skew", [-40_000, 40_000])
async def test_a_clock_that_is_off_is_refused_until_it_is_set(skew: int, server: VenueServer, client: ccxt.okx) -> None:
    server.venue.skew_ms = skew
    with pytest.raises(ccxt.InvalidNonce, match="50102"):
        await limit(client, "skewed")
    await client.load_time_difference()
    assert await limit(client, "skewed")


# Faults

FAULTS: list[tuple[Fault, type[Exception]]] = [
    (faults.REPLY_LOST, ccxt.ExchangeNotAvailable),
    (faults.RESET_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_AFTER, ccxt.RequestTimeout),
    (faults.HTML_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.rate_limited(), ccxt.RateLimitExceeded),
    (faults.rate_limited(2), ccxt.RateLimitExceeded),
    (faults.banned(), ccxt.RateLimitExceeded),
    (faults.skewed(-60_000), ccxt.InvalidNonce),
    (faults.maintenance(), ccxt.OnMaintenance),
    (faults.NO_PERMISSION, ccxt.ExchangeError),
    (faults.BAD_KEY, ccxt.AuthenticationError),
]


@pytest.mark.parametrize(
    ("fault", "raised"), FAULTS, ids=lambda value: f"{value.name} {value.retry_after}" if isinstance(value, Fault) else ""
)
async def test_a_fault_on_placing(
    fault: Fault, raised: type[Exception], server: VenueServer, exchange: Exchange, client: ccxt.okx
) -> None:
    server.faults.queue("place", fault)
    with pytest.raises(raised):
        await limit(client, "f1")
    assert server.count("place") == 1
    assert len(exchange.orders_of(DESK)) == int(fault.executes and not fault.skew_ms)


async def test_doubled_and_reordered_listings(server: VenueServer, client: ccxt.okx) -> None:
    for number in range(2):
        await limit(client, f"o{number}")
    server.faults.queue("open_orders", faults.DOUBLED, faults.REORDERED)
    told = [[row["clOrdId"] for row in (await client.privateGetTradeOrdersPending())["data"]] for _ in range(3)]
    assert told == [["o1", "o1", "o0", "o0"], ["o0", "o1"], ["o1", "o0"]]
