"""Unmodified ccxt trades at the local Coinbase, and meets its refusals and its faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import jwt
import pytest
import pytest_asyncio
from ccxt import async_support as ccxt

from tests.venues import faults
from tests.venues.coinbase import FEES, LOCAL, CoinbaseVenue
from tests.venues.coinbase_keys import AUDIENCE, ISSUER, pem
from tests.venues.coinbase_orders import order_id, order_number
from tests.venues.engine import Exchange
from tests.venues.engine_types import Kind, Market, Side, Ticket
from tests.venues.faults import Fault
from tests.venues.server import VenueServer, wall_clock_ms

pytestmark = pytest.mark.asyncio(loop_scope="module")

D = Decimal
BTC, DESK = "BTC/USD", "desk"
OPTIONS = {"fetchBalance": "v3PrivateGetBrokerageAccounts"}


def new_venue() -> CoinbaseVenue:
    exchange = Exchange([*LOCAL.markets, Market("ETH", "USD")], wall_clock_ms, fees=FEES)
    exchange.deposit(DESK, "USD", D(10_000))
    exchange.move(BTC, D(50_000))
    exchange.move("ETH/USD", D(2_000))
    return CoinbaseVenue(exchange, LOCAL.keys)


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
async def connected(shared: VenueServer) -> AsyncIterator[ccxt.coinbase]:
    settings = {"apiKey": "key", "secret": pem(7), "timeout": 3000, "enableRateLimit": False, "options": OPTIONS}
    client = ccxt.coinbase(settings)
    client.urls["api"] = {"rest": shared.base_url}
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


@pytest.fixture
def client(server: VenueServer, connected: ccxt.coinbase) -> ccxt.coinbase:
    connected.apiKey, connected.secret = "key", pem(7)
    return connected


def body_of(client_id: str, **given: object) -> dict[str, object]:
    """A resting limit buy, with what is `given` instead."""
    configuration = {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "40000", "post_only": False}}
    body = {"client_order_id": client_id, "product_id": "BTC-USD", "side": "BUY", "order_configuration": configuration}
    return body | given


async def limit(client: ccxt.coinbase, client_id: str, price: float = 40_000, amount: float = 0.01) -> str:
    placed = await client.create_order(BTC, "limit", "buy", amount, price, {"client_order_id": client_id})
    return str(placed["id"])


# Market data


async def test_markets_and_prices_arrive(client: ccxt.coinbase) -> None:
    market = client.market(BTC)
    assert (market["id"], market["precision"]["amount"], market["precision"]["price"]) == ("BTC-USD", 1e-08, 0.01)
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (1e-08, 1.0)
    assert (market["maker"], market["taker"]) == (0.004, 0.006)
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (49_999.99, 50_000.01, 50_000.0)
    assert (await client.fetch_order_book(BTC))["bids"][0][:2] == [49_999.99, 1000.0]
    for method in ("v2PublicGetTime", "v3PublicGetBrokerageTime"):
        assert abs(await client.fetch_time({"method": method}) - wall_clock_ms()) < 5_000


async def test_trades_make_candles(exchange: Exchange, client: ccxt.coinbase) -> None:
    minute = 60_000
    began = wall_clock_ms() // minute * minute
    for number, (price, at) in enumerate([(50_000, 0), (51_000, 10), (49_000, 30), (50_500, 3 * minute)]):
        exchange.clock = partial(int, began + at)
        exchange.move(BTC, D(price))
        exchange.place(Ticket(DESK, BTC, Side.BUY, Kind.MARKET, f"c{number}", D("0.01")))
    rows = await client.fetch_ohlcv(BTC, "1m", began, 10)
    assert [row[0] for row in rows] == [began, began + 3 * minute]  # a quiet minute has none
    assert rows[0][1:] == [50_000.0, 51_000.01, 49_000.0, 49_000.01, 0.03]
    trades = await client.fetch_trades(BTC, limit=2)
    assert [trade["price"] for trade in trades] == [50_500.0, 50_500.01]
    assert [trade["amount"] for trade in trades] == [0.0, 0.01]
    with pytest.raises(ccxt.BadRequest, match="less than 350"):
        await client.fetch_ohlcv(BTC, "1m", began, params={"until": began + 400 * minute})


# Orders


async def test_a_market_order_pays_its_fee_in_quote(client: ccxt.coinbase) -> None:
    placed = await client.create_order(BTC, "market", "buy", 0.01, 50_000.01, {"client_order_id": "m-1"})
    assert (placed["status"], placed["filled"], placed["clientOrderId"]) == (None, None, "m-1")
    order = await client.fetch_order(placed["id"], BTC)
    assert (order["status"], order["average"], order["info"]["size_in_quote"]) == ("closed", 50_000.01, True)
    assert order["cost"] == pytest.approx(500, rel=1e-5)  # what 0.01 at that price comes to, in whole lots
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["side"], trade["takerOrMaker"]) == (placed["id"], "buy", "taker")
    assert (trade["fee"]["currency"], trade["fee"]["cost"]) == ("USD", pytest.approx(trade["cost"] * 0.006))
    balance = await client.fetch_balance()
    assert balance["BTC"]["total"] == trade["amount"]
    assert balance["USD"]["free"] == pytest.approx(10_000 - trade["cost"] * 1.006)


async def test_an_order_rests_holds_fills_in_part_and_is_cancelled(exchange: Exchange, client: ccxt.coinbase) -> None:
    placed = await limit(client, "r-1", 49_000, 0.1)
    assert (await client.fetch_balance())["USD"]["used"] == 4929.4  # the taker's fee is held, too
    exchange.trade_at(BTC, Side.SELL, D(49_000), D("0.04"))
    (live,) = await client.fetch_open_orders(BTC)
    assert (live["id"], live["clientOrderId"], live["filled"], live["status"]) == (placed, "r-1", 0.04, "open")
    answer = await client.cancel_order(placed, BTC)
    assert answer["info"]["success"] is True
    (ended,) = await client.fetch_canceled_orders(BTC)
    assert (ended["status"], ended["filled"], ended["remaining"]) == ("canceled", 0.04, 0.06)
    assert await client.fetch_open_orders(BTC) == []
    for order in (placed, order_id(10_000), "nonsense"):
        with pytest.raises(ccxt.BadRequest):
            await client.cancel_order(order, BTC)
    with pytest.raises(ccxt.ExchangeError, match="order with this orderID was not found"):
        await client.fetch_order(order_id(10_000), BTC)


async def test_a_stop_waits_triggers_and_fills_up_to_its_limit(exchange: Exchange, client: ccxt.coinbase) -> None:
    exchange.place(Ticket(DESK, BTC, Side.BUY, Kind.MARKET, "bought", D("0.1")))
    placed = await client.create_order(BTC, "limit", "sell", 0.1, 47_000, {"stopLossPrice": 48_000})
    waiting = await client.fetch_order(placed["id"], BTC)
    assert (waiting["status"], waiting["triggerPrice"], waiting["price"]) == ("open", 48_000.0, 47_000.0)
    assert waiting["info"]["trigger_status"] == "STOP_PENDING"
    exchange.move(BTC, D(47_900))
    order = await client.fetch_order(placed["id"], BTC)
    assert (order["status"], order["info"]["trigger_status"]) == ("closed", "STOP_TRIGGERED")


async def test_a_direction_against_the_side_takes_a_profit(exchange: Exchange, client: ccxt.coinbase) -> None:
    exchange.place(Ticket(DESK, BTC, Side.BUY, Kind.MARKET, "bought", D("0.1")))
    placed = await client.create_order(BTC, "limit", "sell", 0.1, 52_000, {"takeProfitPrice": 52_000})
    exchange.move(BTC, D(47_000))
    assert (await client.fetch_order(placed["id"], BTC))["status"] == "open"
    exchange.move(BTC, D(52_100))
    assert (await client.fetch_order(placed["id"], BTC))["status"] == "closed"


@pytest.mark.parametrize(
    ("time_in_force", "filled", "status"), [("IOC", 0.02, "canceled"), ("FOK", 0.0, "canceled"), ("GTC", 0.02, "open")]
)
async def test_how_long_an_order_lives(
    time_in_force: str, filled: float, status: str, exchange: Exchange, client: ccxt.coinbase
) -> None:
    exchange.quote(BTC, [], [(D(50_000), D("0.02"))])
    placed = await client.create_order(BTC, "limit", "buy", 0.05, 50_000, {"timeInForce": time_in_force})
    order = await client.fetch_order(placed["id"], BTC)
    assert (order["filled"], order["status"], order["timeInForce"]) == (filled, status, time_in_force)


async def test_a_client_order_id_is_good_for_one_order_for_ever(exchange: Exchange, client: ccxt.coinbase) -> None:
    """The answer to the second looks like that to a new order: only its order id is the first one's."""
    first = await limit(client, "same")
    for _ in range(2):
        again = await client.create_order(BTC, "market", "sell", 0.5, None, {"client_order_id": "same"})
        assert (again["id"], again["clientOrderId"], again["side"]) == (first, "same", "sell")
        await client.v3PrivatePostBrokerageOrdersBatchCancel({"order_ids": [first]})
    (only,) = exchange.orders_of(DESK)
    assert (only.ticket.side, only.filled) == (Side.BUY, 0)


# The past


async def test_lists_come_youngest_first_in_pages(exchange: Exchange, client: ccxt.coinbase) -> None:
    for number in range(5):
        exchange.place(Ticket(DESK, BTC, Side.BUY, Kind.MARKET, f"o{number}", D("0.001")))
    found: list[str] = []
    query: dict[str, object] = {"limit": 2}
    while True:
        page = await client.v3PrivateGetBrokerageOrdersHistoricalBatch(query)
        found += [row["client_order_id"] for row in page["orders"]]
        if not page["has_next"]:
            break
        query["cursor"] = page["cursor"]
    assert (found, page["cursor"]) == (["o4", "o3", "o2", "o1", "o0"], "")
    first = await client.v3PrivateGetBrokerageOrdersHistoricalFills({"limit": 3})
    rest = await client.v3PrivateGetBrokerageOrdersHistoricalFills({"limit": 3, "cursor": first["cursor"]})
    assert [len(page["fills"]) for page in (first, rest)] == [3, 2]
    assert len({fill["trade_id"] for page in (first, rest) for fill in page["fills"]}) == 5
    assert rest["cursor"] == ""
    assert len({fill["entry_id"] for page in (first, rest) for fill in page["fills"]}) == 5


async def test_lists_are_filtered_by_state_product_and_time(exchange: Exchange, client: ccxt.coinbase) -> None:
    now = wall_clock_ms()
    exchange.clock = lambda: now - 60_000
    exchange.place(Ticket(DESK, BTC, Side.BUY, Kind.LIMIT, "old", D("0.01"), limit=D(40_000)))
    exchange.clock = lambda: now
    exchange.place(Ticket(DESK, "ETH/USD", Side.BUY, Kind.MARKET, "ether", D("0.1")))
    await limit(client, "new")

    async def ids(**query: object) -> list[str]:
        rows = (await client.v3PrivateGetBrokerageOrdersHistoricalBatch(query))["orders"]
        return [row["client_order_id"] for row in rows]

    assert await ids() == ["new", "ether", "old"]
    assert await ids(order_status="OPEN", start_date=client.iso8601(now)) == ["new", "old"]  # dates do not count there
    assert await ids(order_status="FILLED") == ["ether"]
    assert await ids(product_ids="ETH-USD") == ["ether"]
    assert await ids(product_id="ETH-USD") == ["new", "ether", "old"]  # a name it does not know
    assert await ids(start_date=client.iso8601(now - 1000)) == ["new", "ether"]
    assert await ids(end_date=client.iso8601(now - 1000)) == ["old"]
    with pytest.raises(ccxt.BadRequest):
        await ids(order_status=["OPEN", "FILLED"])
    fills = client.v3PrivateGetBrokerageOrdersHistoricalFills
    assert (await fills({"end_sequence_timestamp": client.iso8601(now)}))["fills"] == []  # it is written down later
    assert len((await fills({"product_ids": "ETH-USD"}))["fills"]) == 1


# Refusals


REFUSALS: dict[str, tuple[dict[str, object], type[Exception], str]] = {
    "too dear": ({"base_size": "1"}, ccxt.InsufficientFunds, "INSUFFICIENT_FUND"),
    "off the tick": ({"limit_price": "40000.001"}, ccxt.ExchangeError, "INVALID_PRICE_PRECISION"),
    "off the lot": ({"base_size": "0.010000001"}, ccxt.ExchangeError, "INVALID_SIZE_PRECISION"),
    "too small": ({"base_size": "0.00001"}, ccxt.ExchangeError, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    "would take": ({"limit_price": "51000", "post_only": True}, ccxt.ExchangeError, "POST_ONLY"),
    "a number": ({"base_size": 0.01}, ccxt.BadRequest, "base_size is invalid"),
    "no size": ({"base_size": "0"}, ccxt.BadRequest, "base_size is invalid"),
    "a field it does not know": ({"max_floor": "1"}, ccxt.ExchangeError, "unknown field"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_bad_order_is_refused(case: str, exchange: Exchange, client: ccxt.coinbase) -> None:
    given, raised, words = REFUSALS[case]
    asked = {"base_size": "0.01", "limit_price": "40000", "post_only": False} | given
    with pytest.raises(raised, match=words):
        await client.v3PrivatePostBrokerageOrders(body_of("no", order_configuration={"limit_limit_gtc": asked}))
    assert exchange.orders_of(DESK) == []


MISTAKES: dict[str, dict[str, object]] = {
    "no id": {"client_order_id": ""},
    "no such product": {"product_id": "XXX-USD"},
    "no such side": {"side": "HOLD"},
    "no configuration": {"order_configuration": {}},
    "no such configuration": {"order_configuration": {"pegged": {}}},
    "quote for a sell": {"side": "SELL", "order_configuration": {"market_market_ioc": {"quote_size": "100"}}},
    "stop without direction": {
        "order_configuration": {"stop_limit_stop_limit_gtc": {"base_size": "1", "limit_price": "1", "stop_price": "1"}}
    },
    "a field it does not know": {"leverage_of_mine": "3"},
}


@pytest.mark.parametrize("case", MISTAKES)
async def test_a_request_that_cannot_be_read_is_an_error(case: str, exchange: Exchange, client: ccxt.coinbase) -> None:
    with pytest.raises(ccxt.ExchangeError):
        await client.v3PrivatePostBrokerageOrders(body_of("no", **MISTAKES[case]))
    assert exchange.orders_of(DESK) == []


# Keys


@pytest.mark.parametrize(
    ("key", "secret", "raised"),
    [
        ("nobody", pem(7), ccxt.AuthenticationError),
        ("key", pem(8), ccxt.AuthenticationError),
        ("key", "an old secret", ccxt.AuthenticationError),
        ("reader", pem(8), ccxt.PermissionDenied),
    ],
    ids=["unknown", "another's", "old", "reader"],
)
async def test_who_may_not_trade(
    key: str, secret: str, raised: type[Exception], exchange: Exchange, client: ccxt.coinbase
) -> None:
    client.apiKey, client.secret = key, secret
    with pytest.raises(raised):
        await limit(client, "no")
    assert exchange.orders_of(DESK) == []


@pytest.mark.parametrize(
    ("key", "number", "may"), [("key", 7, (True, False)), ("reader", 8, (False, False)), ("treasurer", 9, (True, True))]
)
async def test_what_a_key_may_do(key: str, number: int, may: tuple[bool, bool], client: ccxt.coinbase) -> None:
    client.apiKey, client.secret = key, pem(number)
    told = await client.v3PrivateGetBrokerageKeyPermissions()
    assert (told["can_view"], told["can_trade"], told["can_transfer"]) == (True, *may)


def claims(host: str, **given: object) -> dict[str, object]:
    now, uri = wall_clock_ms() // 1000, f"GET {host}/api/v3/brokerage/accounts"
    right = {"aud": [AUDIENCE], "iss": ISSUER, "nbf": now, "exp": now + 120, "sub": "key", "uri": uri}
    return {name: value for name, value in (right | given).items() if value is not None}


TOKENS: dict[str, dict[str, Any]] = {
    "for another path": {"uri": "GET api.coinbase.com/api/v3/brokerage/orders"},
    "for a socket": {"uri": None},
    "too old": {"nbf": 0, "exp": 120},
    "of tomorrow": {"nbf": wall_clock_ms() // 1000 + 86_400, "exp": wall_clock_ms() // 1000 + 86_520},
    "of another service": {"aud": ["somebody"]},
    "of another key": {"sub": "treasurer"},
}


@pytest.mark.parametrize("case", [None, *TOKENS])
async def test_a_token_is_good_for_one_request_at_one_time(case: str | None, server: VenueServer, client: ccxt.coinbase) -> None:
    url = f"{server.base_url}/api/v3/brokerage/accounts"
    given = claims(server.base_url.removeprefix("http://"), **TOKENS.get(case or "", {}))
    token = jwt.encode(given, pem(7), "ES256", headers={"kid": "key"})
    asking = client.fetch(url, "GET", {"Authorization": f"Bearer {token}"})
    if case is None:
        assert (await asking)["size"] == 1
    else:
        with pytest.raises(ccxt.AuthenticationError):
            await asking


# Faults


FAULTS: list[tuple[Fault, type[Exception]]] = [
    (faults.REPLY_LOST, ccxt.ExchangeNotAvailable),
    (faults.RESET_BEFORE, ccxt.ExchangeNotAvailable),
    (faults.ERROR_BEFORE, ccxt.ExchangeError),  # ccxt has no class for the venue's own words
    (faults.ERROR_AFTER, ccxt.ExchangeError),
    (faults.HTML_AFTER, ccxt.RequestTimeout),
    (faults.rate_limited(), ccxt.RateLimitExceeded),
    (faults.rate_limited(3), ccxt.RateLimitExceeded),
    (faults.banned(), ccxt.ExchangeNotAvailable),
    (faults.maintenance(), ccxt.ExchangeError),
    (faults.NO_PERMISSION, ccxt.PermissionDenied),
    (faults.BAD_KEY, ccxt.AuthenticationError),
    (faults.skewed(180_000), ccxt.AuthenticationError),
    (faults.skewed(-180_000), ccxt.AuthenticationError),
]


@pytest.mark.parametrize(
    ("fault", "raised"), FAULTS, ids=lambda value: f"{value.name} {value.retry_after}" if isinstance(value, Fault) else ""
)
async def test_a_fault_on_placing(fault: Fault, raised: type[Exception], server: VenueServer, client: ccxt.coinbase) -> None:
    server.faults.queue("place", fault)
    with pytest.raises(raised):
        await limit(client, "f-1")
    assert server.count("place") == 1
    executed = fault.executes and not fault.skew_ms
    assert len(await client.fetch_open_orders(BTC)) == int(executed)


@pytest.mark.parametrize(("fault", "order"), [(faults.REORDERED, [0, 1, 2]), (faults.DOUBLED, [2, 2, 1, 1, 0, 0])])
async def test_a_listing_that_is_wrong(fault: Fault, order: list[int], server: VenueServer, client: ccxt.coinbase) -> None:
    placed = [await limit(client, f"o-{number}") for number in range(3)]
    server.faults.queue("orders", fault)
    told = await client.v3PrivateGetBrokerageOrdersHistoricalBatch()
    assert [row["order_id"] for row in told["orders"]] == [placed[number] for number in order]


async def test_order_ids_lead_back_to_their_orders() -> None:
    assert [order_number(order_id(number)) for number in (1, 255, 10**9)] == [1, 255, 10**9]
    assert [order_number(text) for text in ("", "12", "c01bba5e-0000-4000-8000-xyz")] == [None, None, None]
