"""What the local venues answer has the names and types of what the real ones answered when they were recorded."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.adversarial.injections import data_folder
from tests.venues.binance import BinanceVenue
from tests.venues.engine import Exchange
from tests.venues.engine_types import Kind, Market, Side, Ticket
from tests.venues.kraken import KrakenVenue
from tests.venues.server import Call

D = Decimal
BINANCE = {
    "/api/v3/ticker/24hr": "symbol=BTCUSDT",
    "/api/v3/ticker/bookTicker": "symbol=BTCUSDT",
    "/api/v3/ticker/price": "symbol=BTCUSDT",
    "/api/v3/depth": "symbol=BTCUSDT",
    "/api/v3/trades": "symbol=BTCUSDT",
    "/api/v3/klines": "symbol=BTCUSDT&interval=1m",
    "/api/v3/exchangeInfo": "",
}
CHOSEN = (
    "filters",
    "rateLimits",
    "orderTypes",
    "permissionSets",
    "permissions",
    "exchangeFilters",
    "allowedSelfTradePreventionModes",
)
"""Lists that differ from market to market."""


def recording(*path: str) -> Path:
    file = data_folder().joinpath("exchanges", *path)
    if not file.exists():
        pytest.skip(f"the recorded bodies are not at {file}")
    return file


def exchange(market: Market, price: int) -> Exchange:
    """With one trade on the tape."""
    made = Exchange([market], lambda: 1_700_000_000_000)
    made.deposit("desk", market.quote, D(10_000))
    made.move(market.symbol, D(price))
    made.place(Ticket("desk", market.symbol, Side.BUY, Kind.MARKET, "one", D("0.01")))
    return made


def shape(body: object) -> object:
    """Names and types of a body; of a list of rows only those of the first."""
    if isinstance(body, dict):
        return {name: shape(value) for name, value in body.items() if name not in CHOSEN}
    if isinstance(body, list):
        is_row = bool(body) and not isinstance(body[0], dict | list)
        return [shape(value) for value in (body if is_row else body[:1])]
    return type(body).__name__


@pytest.mark.parametrize("path", BINANCE)
def test_binance(path: str) -> None:
    routes = json.loads(gzip.decompress(recording("gct", "binance_http.json.gz").read_bytes()))["routes"]
    venue = BinanceVenue(exchange(Market("BTC", "USDT"), 50_000), [])
    ours = venue.answer(Call("GET", path, BINANCE[path], "", {})).body
    assert shape(ours) == shape(routes[path]["GET"][0]["data"])


def test_kraken_pairs() -> None:
    """The recording is of 2021; since then Kraken has added fields and taken none away."""
    text = gzip.decompress(recording("cryptofeed", "KRAKEN.0.gz").read_bytes()).decode()
    start = text.index('"XXBTZUSD":') + len('"XXBTZUSD":')
    recorded, _ = json.JSONDecoder().raw_decode(text[start:].lstrip())
    market = Market("BTC", "USD", tick=D("0.1"), lot=D("0.00000001"))
    answer = KrakenVenue(exchange(market, 50_000), []).answer(Call("GET", "/0/public/AssetPairs", "", "", {})).body
    ours = json.loads(json.dumps(answer))["result"]["XXBTZUSD"]
    assert ours.keys() >= recorded.keys()
    same = ("altname", "wsname", "base", "quote", "pair_decimals", "lot_decimals", "lot_multiplier", "lot", "aclass_base")
    assert {name: ours[name] for name in same} == {name: recorded[name] for name in same}
    assert {name: type(ours[name]) for name in recorded} == {name: type(recorded[name]) for name in recorded}
