"""Glassnode over real HTTP: whole days only, known when they were published, and the key nowhere to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from data_channels.crosscheck import examined
from data_channels.onchain.glassnode import DAY, METRICS, PUBLISHED_AFTER, Glassnode
from tests.channels.faults import Fault
from tests.channels.server import Call, ServiceServer
from tests.unit.source_cases import EVERY_FAULT, KEY, TIMEOUT, check, recorded, stands
from trading_core.domain.market import Reading

TODAY = datetime(2026, 2, 10, tzinfo=UTC)
NOON = TODAY + timedelta(hours=12)


def days(call: Call) -> object:
    """A point for each day since the one that was asked for, the day that is not over included."""
    since = datetime.fromtimestamp(int(call.params["s"]), UTC).replace(hour=0, minute=0, second=0)
    count = (TODAY - since).days + 1
    return [{"t": int((since + index * DAY).timestamp()), "v": 1000 + (since + index * DAY).day} for index in range(count)]


@pytest.fixture(scope="module")
def running() -> Iterator[ServiceServer]:
    with ServiceServer() as server:
        yield server


@pytest.fixture
def server(running: ServiceServer) -> ServiceServer:
    running.reset({metric.path: days for metric in METRICS})
    return running


def made(server: ServiceServer) -> Glassnode:
    return Glassnode(SecretStr(KEY), base_url=server.base_url, timeout=TIMEOUT)


async def test_the_newest_whole_day_of_each_metric(server: ServiceServer) -> None:
    source = made(server)
    symbols = ["BTC/USDT", "BTC/EUR", "SOL/USDT"]
    readings = await source.fetch(symbols, now=NOON)
    await source.close()
    check(readings, source, symbols, NOON)
    btc = {entry.name: entry for entry in readings if entry.symbol == "BTC/USDT"}
    assert {name: entry.unit for name, entry in btc.items()} == {
        "active_addresses": "count",
        "exchange_inflow": "BTC",
        "exchange_outflow": "BTC",
        "mvrv": "ratio",
    }
    assert {entry.value for entry in readings} == {Decimal(1009)}
    assert {(entry.observed_at, entry.published_at) for entry in readings} == {(TODAY, TODAY + PUBLISHED_AFTER)}
    assert len(readings) == 8
    assert source.requests == 4


async def test_a_day_that_is_got_early_counts_as_known_from_then(server: ServiceServer) -> None:
    source = made(server)
    now = TODAY + timedelta(minutes=10)
    readings = await source.fetch(["BTC/USDT"], now=now)
    await source.close()
    assert {(entry.observed_at, entry.published_at) for entry in readings} == {(TODAY, now)}


async def test_the_key_is_in_the_header_alone(server: ServiceServer) -> None:
    source = made(server)
    await source.fetch(["ETH/USDT"], now=NOON)
    await source.close()
    assert {call.headers["x-api-key"] for call in server.seen} == {KEY}
    assert all(call.params.keys() == {"a", "i", "s", "f"} for call in server.seen)
    assert {(call.params["a"], call.params["i"]) for call in server.seen} == {("ETH", "24h")}


async def test_without_a_key_it_is_off_and_names_it() -> None:
    source = Glassnode(None)
    assert source.wants == "glassnode-api-key"
    await source.close()


async def test_a_metric_without_any_recent_day_has_no_reading(server: ServiceServer) -> None:
    server.answers[METRICS[3].path] = []
    source = made(server)
    readings = await source.fetch(["BTC/USDT"], now=NOON)
    await source.close()
    assert [entry.name for entry in readings] == ["active_addresses", "exchange_inflow", "exchange_outflow"]


@given(st.integers(1, 3 * 24 * 60))
def test_a_daily_reading_is_never_told_as_older_than_it_is(minutes: int) -> None:
    """Between two days the newest one is up to a day and more old, which is no lie."""
    now = TODAY + timedelta(minutes=minutes)
    day_end = TODAY
    told = Reading("glassnode", "BTC/USDT", "mvrv", Decimal(2), "ratio", day_end, min(now, day_end + PUBLISHED_AFTER))
    assert examined(told, now=now, stale_after=Glassnode.pace.stale_after) is None


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=lambda fault: fault.name)
async def test_every_fault(fault: Fault, server: ServiceServer) -> None:
    await stands(fault, server, lambda: made(server), ["BTC/USDT"], NOON)


async def test_the_recorded_points(shared_data: Path, server: ServiceServer) -> None:
    points = recorded(shared_data, "glassnode")["metric_points"]
    server.answers |= {metric.path: points for metric in METRICS}
    source = made(server)
    readings = await source.fetch(["BTC/USDT"], now=datetime(2009, 1, 5, 12, tzinfo=UTC))
    await source.close()
    assert {(entry.value, entry.observed_at) for entry in readings} == {
        (Decimal("2.4755000000000003"), datetime(2009, 1, 5, tzinfo=UTC))
    }
