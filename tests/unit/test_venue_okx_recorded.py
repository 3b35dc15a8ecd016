"""What the local OKX answers and streams has what the real one's recorded bodies have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio
from ccxt import pro as ccxt

from tests.unit.okx_cases import BTC, limit, new_client, new_venue, soon, subscribed
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


RECORDED = {
    "http_get_instruments_spot": "/api/v5/public/instruments?instType=SPOT",
    "http_get_order_book": "/api/v5/market/books?instId=BTC-USDT",
    "http_get_trades": "/api/v5/market/trades?instId=BTC-USDT",
    "http_get_candlesticks_full": "/api/v5/market/candles?instId=BTC-USDT",
    "http_get_account_balance": "/api/v5/account/balance",
    "http_get_trade_fee_response": "/api/v5/account/trade-fee?instType=SPOT",
    "http_get_orders_history": "/api/v5/trade/orders-history?instType=SPOT",
    "http_get_orders_pending": "/api/v5/trade/orders-pending",
    "http_get_orders_algo_pending": "/api/v5/trade/orders-algo-pending?ordType=trigger",
    "http_get_orders_algo_history": "/api/v5/trade/orders-algo-history?ordType=trigger&state=canceled",
    "http_transaction_detail": "/api/v5/trade/fills-history?instType=SPOT",
}
STREAMED = ("ws_orders_ioc", "ws_orders_algo", "ws_tickers", "ws_trades", "ws_bbo_tbt", "ws_books_snapshot")


def first_row(body: object) -> object:
    return body["data"][0] if isinstance(body, dict) and "data" in body else body


def lacks(ours: object, recorded: object) -> list[str]:
    """Names that a recorded row has and ours has not, or has as something else. A flag of margin is empty here."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        inner = [f"{name}.{path}" for name in recorded.keys() & ours.keys() for path in lacks(ours[name], recorded[name])]
        return sorted(recorded.keys() - ours.keys() - CHECKSUM) + inner
    if isinstance(recorded, list) and isinstance(ours, list):
        return lacks(ours[0], recorded[0]) if recorded and ours else []
    return [] if isinstance(recorded, bool) or type(ours) is type(recorded) else [f"{ours!r} instead of {recorded!r}"]


CHECKSUM = {"checksum", "lever", "notionalUsd"}
"""What a stream of spot no longer has, and what an algo order has of derivatives only."""


def recorded_row(shared_data: Path, name: str) -> object:
    return first_row(json.loads((shared_data / "exchanges" / "nautilus" / "okx" / f"{name}.json").read_text()))


async def traded(client: ccxt.okx) -> None:
    """An order of each kind: filled, live, a stop that waits and one that was cancelled."""
    await client.create_order(BTC, "market", "buy", 0.01)
    await limit(client, "live")
    for name in ("waits", "ended"):
        placed = await client.create_order(BTC, "market", "buy", 0.01, None, {"triggerPrice": 60_000, "algoClOrdId": name})
    await client.cancel_order(placed["id"], BTC, {"trigger": True})


@pytest.mark.parametrize("name", RECORDED)
async def test_an_answer_has_what_a_recorded_one_has(name: str, shared_data: Path, server: VenueServer, client: ccxt.okx) -> None:
    await traded(client)
    path, _, query = RECORDED[name].partition("?")
    signed = client.sign(path.removeprefix("/api/v5/"), ["private"], "GET", dict(parse_qsl(query)))
    ours = await client.fetch(signed["url"], "GET", signed["headers"])
    assert lacks(first_row(ours), recorded_row(shared_data, name)) == []


async def test_what_is_streamed_has_what_was_recorded(shared_data: Path, server: VenueServer, client: ccxt.okx) -> None:
    own = new_client(server)
    own.set_markets(client.markets)
    heard: dict[str, object] = {}
    handle = own.handle_message

    def keep(socket: object, message: object) -> None:
        if isinstance(message, dict) and "data" in message:
            heard.setdefault(message["arg"]["channel"], first_row(message))
        handle(socket, message)

    own.handle_message = keep
    channels = ("orders", "orders-algo", "tickers", "trades", "bbo-tbt", "books")
    watched = [
        asyncio.ensure_future(watch)
        for watch in (
            own.watch_orders(),
            own.watch_orders(params={"trigger": True}),
            own.watch_ticker(BTC),
            own.watch_trades(BTC),
            own.watch_bids_asks([BTC]),
            own.watch_order_book(BTC),
        )
    ]
    try:
        await subscribed(server, *channels)
        await traded(client)
        await soon(asyncio.gather(*watched))
    finally:
        await own.close()
    for name, channel in zip(STREAMED, channels, strict=True):
        assert lacks(heard[channel], recorded_row(shared_data, name)) == [], name
