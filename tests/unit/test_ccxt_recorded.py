"""Recorded bodies of five venues come out as the same domain objects, field by field."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.venues.local import QuickClock
from trading_core.brokers.base import Balance, OrderReport
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.profiles import PROFILES
from trading_core.domain.clock import from_ms
from trading_core.domain.instruments import FeeCurrency, Instrument
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, OrderState, Side

D = Decimal
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOTHING: Mapping[str, Any] = {}


@asynccontextmanager
async def replaying(venue: str, symbol: str, bodies: Mapping[str, object]) -> AsyncIterator[CcxtBroker]:
    """A broker whose venue answers each path with a recorded body, read by ccxt's own parsers; other paths have none."""
    profile, clock = PROFILES[venue], QuickClock()
    throttle = Throttle(1000, burst=1000, monotonic=time.monotonic, sleep=clock.sleep)
    client: Any = open_client(profile, Credentials("key", "c2VjcmV0", "phrase"), throttle, sandbox=False, base_url=None)

    async def fetch(url: str, method: str = "GET", headers: object = None, body: object = None) -> object:
        answer = next((body for path, body in bodies.items() if path in url), None)
        assert answer is not None, f"nothing recorded for {url}"
        return client.parse_json(json.dumps(answer))

    client.fetch = fetch
    client.sign = lambda path, api=None, method="GET", params=NOTHING, headers=None, body=None: {
        "url": f"/{path}",
        "method": method,
        "headers": None,
        "body": None,
    }
    client.options.update(enableUnifiedMargin=False, enableUnifiedAccount=True)
    broker = CcxtBroker(profile, client, [symbol], clock=clock, history_from=LONG_AGO, jitter=random.Random(1), is_paper=False)
    try:
        yield broker
    finally:
        await broker.close()


def recorded(root: Path, name: str) -> Any:
    return json.loads((root / "exchanges" / "nautilus" / name).read_text())


async def test_okx(shared_data: Path) -> None:
    bodies = {
        "public/time": {"code": "0", "data": [{"ts": "1700000000000"}]},
        "public/instruments": recorded(shared_data, "okx/http_get_instruments_spot.json"),
        "account/balance": recorded(shared_data, "okx/http_get_account_balance.json"),
        "trade/fills-history": {"code": "0", "data": [recorded(shared_data, "okx/http_transaction_detail.json")]},
        "orders-algo-pending": {"code": "0", "data": []},
        "orders-pending": recorded(shared_data, "okx/http_get_orders_pending.json"),
    }
    async with replaying("okx", "BTC/USD", bodies) as broker:
        assert (await broker.instruments())["BTC/USD"] == Instrument(
            "BTC/USD", D("0.1"), D("0.00000001"), D("0.00001"), D(0), max_quantity=D(9999999999), max_notional=D(1000000),
            maker_fee=D("0.001"), taker_fee=D("0.0015"),
        )  # fmt: skip
        assert await broker.balances() == {"USDT": Balance("USDT", D("94.42612990333333"), D("5.46856666666668"))}
        # OKX writes what it takes as a negative number; this one is a rebate.
        assert await broker.fills(since=LONG_AGO) == [
            Fill(
                "BTC/USDT:123456789:buy", "client_123", "BTC/USDT", Side.BUY, D("0.001"), D("42000.5"),
                Money(D("-0.042"), "USDT"), from_ms(1625097600000),
            )
        ]  # fmt: skip
        (order,) = await broker.open_orders()
        assert (order.client_order_id, order.venue_order_id) == ("client-order-1", "1234567890123456789")
        assert (order.state, order.filled, order.updated_at) == (OrderState.OPEN, 0, from_ms(1746947317000))


async def test_bybit(shared_data: Path) -> None:
    orders = recorded(shared_data, "bybit/http_get_orders_realtime.json")
    broken = recorded(shared_data, "bybit/http_get_order_partially_filled_rejected.json")
    bodies = {
        "market/time": {"retCode": 0, "result": {"timeSecond": "1700000000", "timeNano": "1700000000000000000"}, "time": 1},
        "instruments-info": recorded(shared_data, "bybit/http_get_instruments_spot.json"),
        "wallet-balance": recorded(shared_data, "bybit/http_get_wallet_balance.json"),
        "execution/list": recorded(shared_data, "bybit/http_get_executions.json"),
        "order/realtime": orders,
    }  # fmt: skip
    async with replaying("bybit", "ETH/USDT", bodies) as broker:
        instrument = (await broker.instruments())["ETH/USDT"]
        assert instrument == Instrument(
            "ETH/USDT", D("0.01"), D("0.00001"), D("0.001"), D(10), max_quantity=D(1000), max_notional=D(1000000)
        )
        assert (await broker.balances())["USDT"].total > 0
        found = {report.client_order_id: report for report in await broker.open_orders()}
        assert found["client-open-1"] == OrderReport(
            "client-open-1", "open-order-1", "ETH/USDT", OrderState.OPEN, D(0), from_ms(1761355905606)
        )
        fill = next(fill for fill in await broker.fills(since=LONG_AGO) if fill.client_order_id == "test-order-002")
        assert (fill.side, fill.price, fill.symbol) == (Side.SELL, D(3000), "ETH/USDT")
        assert fill.fee == Money(D("0.9"), "USDT")
    async with replaying("bybit", "BTC/USDT", {**bodies, "order/realtime": broken}) as broker:
        # Bybit calls rejected what was first filled in part: it traded, so it was not refused.
        assert await broker.order("O-20251001-164609-APEX-000-49", "BTC/USDT") == OrderReport(
            "O-20251001-164609-APEX-000-49", "5cf98598-39a7-459e-97bf-76ca765ee021", "BTC/USDT", OrderState.CANCELLED,
            D("0.005"), from_ms(1672364262457), "INSUFFICIENT_MARGIN",
        )  # fmt: skip


async def test_coinbase(shared_data: Path) -> None:
    order, product = recorded(shared_data, "coinbase/http_order.json"), recorded(shared_data, "coinbase/http_product.json")
    ether = {**product, "product_id": "ETH-USD", "base_currency_id": "ETH", "base_display_symbol": "ETH"}
    bodies = {
        "/time": {"data": {"iso": "2024-01-15T10:30:00Z", "epoch": 1705314600}},
        "brokerage/market/products": {"products": [product, ether], "num_products": 2},
        "brokerage/transaction_summary": {"fee_tier": {"taker_fee_rate": "0.006", "maker_fee_rate": "0.004"}},
        "brokerage/accounts": recorded(shared_data, "coinbase/http_accounts.json"),
        "historical/fills": recorded(shared_data, "coinbase/http_fills.json"),
        "historical/batch": {"orders": [order["order"]], "cursor": "", "has_next": False},
        "historical/{order_id}": order,
        "v2/currencies": {"data": []},
        "currencies": {"data": []},
    }
    async with replaying("coinbase", "BTC/USD", bodies) as broker:
        assert (await broker.instruments())["BTC/USD"] == Instrument(
            "BTC/USD", D("0.01"), D("0.00000001"), D("0.00000001"), D(1), max_quantity=D(3400), max_notional=D(150000000),
            maker_fee=D("0.004"), taker_fee=D("0.006"), fee_currency=FeeCurrency.QUOTE,
        )  # fmt: skip
        assert await broker.balances() == {
            "BTC": Balance("BTC", D("1.23456789"), D("0.005")),
            "USD": Balance("USD", D("10000.50"), D(450)),
        }
        bought = (await broker.fills(since=LONG_AGO))[-1]
        assert bought == Fill(
            "BTC/USD:1111-11111-111111:buy", "11111-000000-000000", "BTC/USD", Side.BUY, D("0.005"), D("45123.45"),
            Money(D("1.14"), "USD"), datetime(2024, 1, 15, 10, 30, tzinfo=UTC), is_maker=True,
        )  # fmt: skip
        (report,) = await broker.open_orders()
        assert (report.client_order_id, report.state, report.filled) == (
            "11111-000000-000000", OrderState.PARTIALLY_FILLED, D("0.001"),
        )  # fmt: skip
        assert await broker.order("nobody", "BTC/USD") is None


async def test_kraken(shared_data: Path) -> None:
    lines = gzip.decompress((shared_data / "exchanges/cryptofeed/KRAKEN.0.gz").read_bytes()).decode().splitlines()
    pairs = json.loads(next(line for line in lines if "AssetPairs" in line).split(": ", 1)[1])
    streamed = json.loads((shared_data / "exchanges/gct/kraken_wsOpenTrades.json").read_text().splitlines()[0])
    live = {txid: order for row in streamed[0] for txid, order in row.items()}
    for order in live.values():
        order["descr"]["pair"] = "XBTUSD"  # REST's name of what the stream calls XBT/USD
    bodies = {
        "Time": {"error": [], "result": {"unixtime": 1700000000}},
        "AssetPairs": pairs,
        "Assets": {"error": [], "result": {}},
        "OpenOrders": {"error": [], "result": {"open": live}},
        "BalanceEx": {"error": [], "result": {"XXBT": {"balance": "1.5", "hold_trade": "0.5"}, "ZUSD": {"balance": "0.0000"}}},
    }
    async with replaying("kraken", "BTC/USD", bodies) as broker:
        instrument = (await broker.instruments())["BTC/USD"]
        assert (instrument.tick_size, instrument.lot_size, instrument.fee_currency) == (D("0.1"), D("1E-8"), FeeCurrency.QUOTE)
        assert (instrument.maker_fee, instrument.taker_fee) == (D("0.0016"), D("0.0026"))
        assert await broker.balances() == {"BTC": Balance("BTC", D(1), D("0.5"))}
        found = {report.venue_order_id: report for report in await broker.open_orders()}
        assert set(found) == set(live)
        assert {(report.symbol, report.state, report.filled) for report in found.values()} == {("BTC/USD", OrderState.OPEN, D(0))}


async def test_binance(shared_data: Path) -> None:
    with gzip.open(shared_data / "exchanges/gct/binance_http.json.gz") as file:
        routes = json.load(file)["routes"]
    bodies = {
        "time": {"serverTime": 1700000000000},
        "exchangeInfo": routes["/api/v3/exchangeInfo"]["GET"][0]["data"],
        "openOrders": routes["/api/v3/openOrders"]["GET"][0]["data"],
        "account": routes["/api/v3/account"]["GET"][0]["data"],
        "order": routes["/api/v3/order"]["GET"][0]["data"],
    }
    async with replaying("binance", "BTC/USDT", bodies) as broker:
        instrument = (await broker.instruments())["BTC/USDT"]
        listed = next(row for row in bodies["exchangeInfo"]["symbols"] if row["symbol"] == "BTCUSDT")
        filters = {row["filterType"]: row for row in listed["filters"]}
        assert instrument.tick_size == D(filters["PRICE_FILTER"]["tickSize"])
        assert instrument.lot_size == D(filters["LOT_SIZE"]["stepSize"])
        assert await broker.order("eliteOrder", "BTC/USDT") == OrderReport(
            "eliteOrder", "1337", "BTC/USDT", OrderState.OPEN, D(0), from_ms(1499827319559)
        )
        (report,) = await broker.open_orders()
        assert (report.client_order_id, report.symbol, report.state) == ("myOrder1", "LTC/BTC", OrderState.OPEN)
        told = {row["asset"]: (D(row["free"]), D(row["locked"])) for row in bodies["account"]["balances"]}
        held = {asset: (balance.free, balance.locked) for asset, balance in (await broker.balances()).items()}
        assert held == {asset: amounts for asset, amounts in told.items() if sum(amounts)}
