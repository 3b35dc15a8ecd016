"""Sentora: off unless somebody says where it is, and strict when it is on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from data_channels.onchain.sentora import Sentora
from tests.channels.faults import Fault
from tests.channels.server import ServiceServer
from tests.unit.source_cases import EVERY_FAULT, KEY, TIMEOUT, check, stands
from trading_core.domain.errors import ChannelUnavailable

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def summary(bullish: int, neutral: int, bearish: int) -> dict[str, object]:
    return {"summary": {"bullish": bullish, "neutral": neutral, "bearish": bearish, "score": 0.1, "thresholds": {}}}


@pytest.fixture(scope="module")
def running() -> Iterator[ServiceServer]:
    with ServiceServer() as server:
        yield server


@pytest.fixture
def server(running: ServiceServer) -> ServiceServer:
    running.reset({"/BTC": summary(3, 4, 1), "/ETH": summary(0, 0, 0)})
    return running


async def test_without_an_address_it_is_off_and_says_what_it_wants() -> None:
    source = Sentora()
    assert source.wants == "sentora-base-url"
    assert await source.fetch(["BTC/USDT"], now=NOW) == ()
    await source.close()


async def test_the_balance_of_signals(server: ServiceServer) -> None:
    source = Sentora(server.base_url, SecretStr(KEY))
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    readings = await source.fetch(symbols, now=NOW)
    await source.close()
    check(readings, source, symbols, NOW)
    [balance] = readings
    assert (balance.symbol, balance.name, balance.value, balance.unit) == ("BTC/USDT", "signal_balance", Decimal("0.25"), "score")
    assert (balance.count, balance.quality) == (8, Decimal("0.5"))
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert source.wants == ""


async def test_a_count_below_zero_is_no_answer(server: ServiceServer) -> None:
    server.answers["/BTC"] = summary(3, -4, 1)
    source = Sentora(server.base_url)
    with pytest.raises(ChannelUnavailable, match=r"summary\.neutral should be a count and is below zero"):
        await source.fetch(["BTC/USDT"], now=NOW)
    await source.close()


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=lambda fault: fault.name)
async def test_every_fault(fault: Fault, server: ServiceServer) -> None:
    await stands(fault, server, lambda: Sentora(server.base_url, SecretStr(KEY), timeout=TIMEOUT), ["BTC/USDT"], NOW)


async def test_the_one_known_shape(shared_data: Path, server: ServiceServer) -> None:
    known = json.loads((shared_data / "channels" / "intotheblock.json").read_text(encoding="utf-8"))["old_shape"]
    server.answers["/BTC"] = known
    source = Sentora(server.base_url)
    # Every count of it is zero: nothing is said.
    assert await source.fetch(["BTC/USDT"], now=NOW) == []
    await source.close()
