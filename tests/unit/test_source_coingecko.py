"""CoinGecko over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from data_channels.aggregates.coingecko import PRICE_PATH, PRO_URL, CoinGecko
from tests.channels.faults import Fault
from tests.channels.server import ServiceServer
from tests.unit.source_cases import EVERY_FAULT, KEY, TIMEOUT, check, recorded, stands
from trading_core.domain.errors import ChannelUnavailable

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
UPDATED = NOW - timedelta(seconds=40)
AT = int(UPDATED.timestamp())
BODY = {
    "bitcoin": {
        "usd": 76_975,
        "usd_market_cap": 1_542_226_908_349.8406,
        "usd_24h_vol": 29_096_603_418.89408,
        "usd_24h_change": -1.4093297098441402,
        "btc": 1,
        "btc_24h_change": 0,
        "eur": 70_000.5,
        "eur_24h_change": -1.5,
        "last_updated_at": AT,
    },
    "ethereum": {"usd": 3000, "usd_market_cap": None, "usd_24h_vol": None, "btc": 0.039, "last_updated_at": AT},
}


@pytest.fixture(scope="module")
def running() -> Iterator[ServiceServer]:
    with ServiceServer() as server:
        yield server


@pytest.fixture
def server(running: ServiceServer) -> ServiceServer:
    running.reset({PRICE_PATH: BODY})
    return running


async def test_prices_come_exact_with_the_time_they_were_so(server: ServiceServer) -> None:
    source = CoinGecko(base_url=server.base_url)
    symbols = ["BTC/USDT", "ETH/BTC", "BTC/EUR", "BTC/JPY", "NOBODY/USDT"]
    readings = await source.fetch(symbols, now=NOW)
    await source.close()
    check(readings, source, symbols, NOW)
    told = {(entry.symbol, entry.name): (str(entry.value), entry.unit) for entry in readings}
    assert told == {
        ("BTC/USDT", "price"): ("76975", "USD"),
        ("BTC/USDT", "market_cap"): ("1542226908349.8406", "USD"),
        ("BTC/USDT", "volume_24h"): ("29096603418.89408", "USD"),
        ("BTC/USDT", "change_24h"): ("-1.4093297098441402", "percent"),
        ("ETH/BTC", "price"): ("0.039", "BTC"),
        ("BTC/EUR", "price"): ("70000.5", "EUR"),
        ("BTC/EUR", "market_cap"): ("1542226908349.8406", "USD"),
        ("BTC/EUR", "volume_24h"): ("29096603418.89408", "USD"),
        ("BTC/EUR", "change_24h"): ("-1.5", "percent"),
        ("BTC/JPY", "market_cap"): ("1542226908349.8406", "USD"),
        ("BTC/JPY", "volume_24h"): ("29096603418.89408", "USD"),
    }
    assert {(entry.observed_at, entry.published_at) for entry in readings} == {(UPDATED, NOW)}
    [call] = server.seen
    assert (call.params["ids"], call.params["vs_currencies"]) == ("bitcoin,ethereum", "btc,eur,usd")


@pytest.mark.parametrize(("pro", "header"), [(False, "x-cg-demo-api-key"), (True, "x-cg-pro-api-key")])
async def test_the_key_goes_into_the_header_of_its_plan(
    server: ServiceServer, pro: bool, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PRO_URL == "https://pro-api.coingecko.com/api/v3"
    if pro:
        monkeypatch.setattr("data_channels.aggregates.coingecko.PRO_URL", server.base_url)
    source = CoinGecko(SecretStr(KEY), base_url=server.base_url)
    await source.fetch(["BTC/USDT"], now=NOW)
    await source.close()
    assert server.seen[0].headers[header] == KEY
    assert KEY not in server.seen[0].query


async def test_it_works_without_a_key_and_is_not_asked_about_what_it_does_not_know(server: ServiceServer) -> None:
    source = CoinGecko(base_url=server.base_url)
    assert source.wants == ""
    assert await source.fetch(["NOBODY/USDT"], now=NOW) == ()
    assert (server.seen, source.requests) == ([], 0)
    await source.fetch(["BTC/USDT"], now=NOW)
    await source.close()
    assert not any(name.startswith("x-cg") for name in server.seen[0].headers)


async def test_a_coin_it_leaves_out_has_no_reading_and_one_without_a_price_is_an_error(server: ServiceServer) -> None:
    source = CoinGecko(base_url=server.base_url)
    readings = await source.fetch(["SOL/USDT", "BTC/USDT"], now=NOW)
    assert {entry.symbol for entry in readings} == {"BTC/USDT"}
    with pytest.raises(ChannelUnavailable, match="not one of the coins that were asked for"):
        await source.fetch(["SOL/USDT"], now=NOW)
    server.answers[PRICE_PATH] = {"bitcoin": {"last_updated_at": AT}}
    with pytest.raises(ChannelUnavailable, match=r"coingecko /simple/price: bitcoin\.usd is missing"):
        await source.fetch(["BTC/USDT"], now=NOW)
    await source.close()


# With every field under another name no coin is found, which looks like coins that are not listed.
@pytest.mark.parametrize(
    "fault", [fault for fault in EVERY_FAULT if fault.name != "fields renamed"], ids=lambda fault: fault.name
)
async def test_every_fault(fault: Fault, server: ServiceServer) -> None:
    await stands(fault, server, lambda: CoinGecko(SecretStr(KEY), base_url=server.base_url, timeout=TIMEOUT), ["BTC/USDT"], NOW)


async def test_the_recorded_answer(shared_data: Path, server: ServiceServer) -> None:
    body = recorded(shared_data, "coingecko")[PRICE_PATH]
    server.answers[PRICE_PATH] = body
    source = CoinGecko(base_url=server.base_url)
    readings = {entry.name: entry for entry in await source.fetch(["BTC/USDT"], now=NOW)}
    await source.close()
    assert readings["price"].value == Decimal(76975)
    assert readings["market_cap"].value == Decimal("1542226908349.8406")
    assert readings["price"].observed_at == datetime(2026, 5, 18, 8, 17, 38, tzinfo=UTC)
