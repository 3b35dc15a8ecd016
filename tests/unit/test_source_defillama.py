"""DeFiLlama over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from data_channels.aggregates.defillama import CHAINS_PATH, STABLECOINS_PATH, DefiLlama
from tests.channels.faults import Fault
from tests.channels.server import ServiceServer
from tests.unit.source_cases import EVERY_FAULT, TIMEOUT, check, recorded, stands
from trading_core.domain.errors import ChannelUnavailable

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
CHAINS = [
    {
        "gecko_id": "ethereum",
        "tvl": 65_998_652_431.40251,
        "tokenSymbol": "ETH",
        "cmcId": "1027",
        "name": "Ethereum",
        "chainId": 1,
    },
    {"gecko_id": None, "tvl": 4_000_000_000, "tokenSymbol": None, "cmcId": None, "name": "Base", "chainId": 8453},
    {"gecko_id": "bitcoin", "tvl": 7_000_000_000.5, "tokenSymbol": "BTC", "cmcId": "1", "name": "Bitcoin", "chainId": None},
]
STABLECOINS = [
    {"gecko_id": "ethereum", "totalCirculatingUSD": {"peggedUSD": 100.25, "peggedEUR": 0.5}, "name": "Ethereum"},
    {"gecko_id": "tron", "totalCirculatingUSD": {"peggedUSD": 50}, "name": "Tron"},
    {"gecko_id": None, "totalCirculatingUSD": {}, "name": "Empty"},
]


@pytest.fixture(scope="module")
def running() -> Iterator[ServiceServer]:
    with ServiceServer() as server:
        yield server


@pytest.fixture
def server(running: ServiceServer) -> ServiceServer:
    running.reset({CHAINS_PATH: CHAINS, STABLECOINS_PATH: STABLECOINS})
    return running


def made(server: ServiceServer) -> DefiLlama:
    return DefiLlama(base_url=server.base_url, stablecoins_url=server.base_url, timeout=TIMEOUT)


async def test_value_locked_and_stablecoins_of_a_chain_and_of_all(server: ServiceServer) -> None:
    source = made(server)
    symbols = ["ETH/USDT", "BTC/USDT", "TRX/USDT", "DOGE/USDT"]
    readings = await source.fetch(symbols, now=NOW)
    await source.close()
    check(readings, source, symbols, NOW)
    assert {(entry.symbol, entry.name): str(entry.value) for entry in readings} == {
        ("ETH/USDT", "chain_tvl"): "65998652431.40251",
        ("ETH/USDT", "chain_stablecoins"): "100.75",
        ("ETH/USDT", "stablecoin_supply"): "150.75",
        ("BTC/USDT", "chain_tvl"): "7000000000.5",
        ("BTC/USDT", "stablecoin_supply"): "150.75",
        ("TRX/USDT", "chain_stablecoins"): "50",
        ("TRX/USDT", "stablecoin_supply"): "150.75",
    }
    assert {(entry.unit, entry.observed_at, entry.published_at) for entry in readings} == {("USD", NOW, NOW)}
    assert source.requests == 2


async def test_without_a_symbol_it_knows_it_is_not_asked(server: ServiceServer) -> None:
    source = made(server)
    assert await source.fetch(["DOGE/USDT"], now=NOW) == ()
    await source.close()
    assert server.seen == []


@pytest.mark.parametrize("path", [CHAINS_PATH, STABLECOINS_PATH])
async def test_an_empty_list_of_chains_is_not_a_market_without_a_dollar(server: ServiceServer, path: str) -> None:
    server.answers[path] = []
    source = made(server)
    with pytest.raises(ChannelUnavailable, match="a list of chains is empty"):
        await source.fetch(["ETH/USDT"], now=NOW)
    await source.close()


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=lambda fault: fault.name)
async def test_every_fault(fault: Fault, server: ServiceServer) -> None:
    await stands(fault, server, lambda: made(server), ["ETH/USDT"], NOW)


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=lambda fault: fault.name)
async def test_every_fault_of_the_second_request(fault: Fault, server: ServiceServer) -> None:
    await stands(fault, server, lambda: made(server), ["ETH/USDT"], NOW, path=STABLECOINS_PATH)


async def test_the_documented_answer(shared_data: Path, server: ServiceServer) -> None:
    server.answers[CHAINS_PATH] = recorded(shared_data, "defillama")[f"https://api.llama.fi{CHAINS_PATH}"]
    source = made(server)
    readings = {entry.name: entry.value for entry in await source.fetch(["ETH/USDT"], now=NOW)}
    await source.close()
    assert readings["chain_tvl"] == Decimal("65998652431.40251")
