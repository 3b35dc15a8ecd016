"""What the local Coinbase answers and streams has the names and types of what the real one did when it was recorded."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.adversarial.injections import data_folder
from tests.venues import coinbase_orders as orders
from tests.venues.coinbase import LOCAL, CoinbaseVenue
from tests.venues.coinbase_keys import Keys
from tests.venues.coinbase_streams import Client, CoinbaseStreams
from tests.venues.engine import Exchange
from tests.venues.engine_types import Kind, Side, Ticket
from tests.venues.server import Call

D = Decimal
NOW_MS = 1_700_000_000_000
MARKET = LOCAL.markets[0]
BROKERAGE = "/api/v3/brokerage"
PUBLIC = {
    "http_products": (f"{BROKERAGE}/market/products", ""),
    "http_ticker": (f"{BROKERAGE}/market/products/BTC-USD/ticker", "limit=1"),
    "http_product_book": (f"{BROKERAGE}/market/product_book", "product_id=BTC-USD"),
    "http_candles": (
        f"{BROKERAGE}/market/products/BTC-USD/candles",
        f"granularity=ONE_MINUTE&start={NOW_MS // 1000 - 60}&end={NOW_MS // 1000}",
    ),
}
TOLD = {"ws_l2_data_snapshot": "level2", "ws_market_trades": "market_trades", "ws_ticker": "ticker", "ws_user": "user"}


def recorded(name: str) -> object:
    file = data_folder().joinpath("exchanges", "nautilus", "coinbase", f"{name}.json")
    if not file.exists():
        pytest.skip(f"the recorded bodies are not at {file}")
    body: object = json.loads(file.read_text())
    return body


@pytest.fixture
def exchange() -> Exchange:
    """With an order that has filled and one that rests."""
    made = Exchange(LOCAL.markets, lambda: NOW_MS, fees=LOCAL.fees)
    made.deposit("desk", "USD", D(10_000))
    made.move(MARKET.symbol, D(50_000))
    made.place(Ticket("desk", MARKET.symbol, Side.BUY, Kind.MARKET, "one", D("0.01")))
    made.place(Ticket("desk", MARKET.symbol, Side.BUY, Kind.LIMIT, "two", D("0.01"), limit=D(40_000)))
    return made


def shape(body: object) -> object:
    """Names and types of a body; of a list only those of its first row."""
    if isinstance(body, dict):
        return {name: shape(value) for name, value in body.items()}
    if isinstance(body, list):
        return [shape(value) for value in body[:1]]
    return type(body).__name__


def without(body: object, *names: str) -> object:
    return {name: value for name, value in body.items() if name not in names} if isinstance(body, dict) else body


@pytest.mark.parametrize("name", PUBLIC)
def test_public_answers(name: str, exchange: Exchange) -> None:
    path, query = PUBLIC[name]
    ours = shape(CoinbaseVenue(exchange, []).answer(Call("GET", path, query, "", {})).body)
    theirs = shape(recorded(name))
    if name != "http_products":
        assert ours == theirs
        return
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    (ours_row,), (theirs_row,) = ours["products"], theirs["products"]
    # A market that has an alias names it; what stands under a product of a future is not told of spot.
    assert without(ours_row, "alias_to") == without(theirs_row, "alias_to", "future_product_details")


def test_orders_and_fills(exchange: Exchange) -> None:
    done = exchange.executions["desk"]
    first, second = exchange.orders_of("desk")
    order = recorded("http_order")
    fills = recorded("http_fills")
    assert isinstance(order, dict)
    assert isinstance(fills, dict)
    unfilled = without(orders.order_row(second, MARKET, []), "last_fill_time")
    assert shape(unfilled) == shape(without(order["order"], "last_fill_time"))
    filled = without(orders.order_row(first, MARKET, done), "order_configuration")
    assert shape(filled) == shape(without(order["order"], "order_configuration"))
    assert shape(orders.fill_row(done[0], MARKET)) == shape(fills["fills"][0])


@pytest.mark.parametrize("name", TOLD)
def test_frames(name: str, exchange: Exchange) -> None:
    streams = CoinbaseStreams(exchange, Keys([], lambda: NOW_MS), lambda: NOW_MS)
    client = Client(account="desk", channels={TOLD[name]: set()})
    (frame,) = streams.snapshots(client, TOLD[name])
    ours, theirs = shape(json.loads(json.dumps(frame))), shape(recorded(name))
    if name == "ws_user":  # since it was recorded, the venue tells more of an order
        assert isinstance(ours, dict)
        assert isinstance(theirs, dict)
        assert ours["events"][0]["orders"][0].keys() >= theirs["events"][0]["orders"][0].keys()
    else:
        assert ours == theirs
