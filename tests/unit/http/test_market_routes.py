"""Prices, bars, indicators, filters and readings, as the desk's own market tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from data_channels.hub import ChannelHub
from graph.channels import ChannelAccess, channels_of, make_sources
from graph.snapshot import WINDOW
from tests.unit.http.trading_cases import HERE, SYMBOLS, Trading, number, trading
from trading_core.domain.clock import iso
from trading_core.indicators.summary import summarise

pytestmark = pytest.mark.asyncio(loop_scope="module")

BTC = SYMBOLS[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trading]:
    async with trading(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


async def test_the_ticker_is_the_feeds(desk: Trading) -> None:
    ticker = await desk.system.feed.ticker(BTC, as_of=desk.system.clock.now())
    shown = await desk.get("/market/ticker", "viewer", symbol=BTC)
    assert ticker is not None
    assert (number(shown["bid"]), number(shown["ask"]), number(shown["mid"])) == (ticker.bid, ticker.ask, ticker.mid)
    assert (shown["at"], shown["generated"]) == (iso(ticker.at), True)


async def test_bars_are_those_known_then_and_never_later_ones(desk: Trading) -> None:
    now = desk.system.clock.now()
    shown = await desk.get("/market/bars", symbol=BTC, limit=5)
    known = await desk.system.feed.bars(BTC, desk.system.config.bars, as_of=now, limit=5)
    assert [(one["opened_at"], number(one["close"])) for one in shown["bars"]] == [(iso(b.opened_at), b.close) for b in known]
    then = now - timedelta(hours=7)
    past = await desk.get("/market/bars", symbol=BTC, limit=3, as_of=iso(then))
    assert all(one["opened_at"] <= iso(then - timedelta(hours=1)) for one in past["bars"])
    future = await desk.get("/market/bars", symbol=BTC, limit=5, as_of="2090-01-01T00:00:00Z")
    assert future == shown, "what has not happened yet is not told"
    assert await desk.get("/market/bars", symbol=BTC, limit=5, timeframe="1h") == shown


async def test_indicators_are_those_the_agents_read(desk: Trading) -> None:
    length = desk.system.config.bars
    bars = await desk.system.feed.bars(BTC, length, as_of=desk.system.clock.now(), limit=WINDOW)
    found = summarise(bars, length.per_year)
    assert found is not None
    shown = await desk.get("/market/indicators", symbol=BTC)
    assert {**shown["values"], "bars": shown["bars"]} == asdict(found)
    assert shown["last_bar_opened_at"] == iso(bars[-1].opened_at)


async def test_instruments_tell_their_filters(desk: Trading) -> None:
    listed = desk.system.desk.instruments
    shown = await desk.all_of("/market/instruments", 2)
    assert [one["symbol"] for one in shown] == sorted(listed)
    for one in shown:
        known = listed[one["symbol"]]
        assert (number(one["tick_size"]), number(one["lot_size"]), number(one["min_notional"]), number(one["taker_fee"])) == (
            known.tick_size,
            known.lot_size,
            known.min_notional,
            known.taker_fee,
        )
    assert [one["symbol"] for one in await desk.all_of("/market/instruments", 5, symbol=BTC)] == [BTC]
    assert {one["symbol"] for one in await desk.all_of("/market/instruments", 5, traded=True)} == set(SYMBOLS)


@pytest.mark.parametrize("path", ["/market/ticker", "/market/bars", "/market/indicators"])
@pytest.mark.parametrize(
    "query", [{}, {"symbol": "DOGE/USDT"}, {"symbol": "BTC"}, {"symbol": BTC, "what": "1"}, {"symbol": "../../etc/passwd"}]
)
async def test_a_market_that_is_not_there_is_refused(desk: Trading, path: str, query: dict[str, str]) -> None:
    answer = await desk.doors.ask("GET", HERE + path, "trader", params=query)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "query", [{"timeframe": "5x"}, {"timeframe": "9999w"}, {"limit": "0"}, {"limit": "1001"}, {"as_of": "2025-03-03"}]
)
async def test_bars_that_cannot_be_meant_are_refused(desk: Trading, query: dict[str, str]) -> None:
    answer = await desk.doors.ask("GET", HERE + "/market/bars", "trader", params={"symbol": BTC, "limit": "1000", **query})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/market/bars", "/market/indicators"])
async def test_a_length_that_the_market_does_not_have_is_answered_with_those_it_has(desk: Trading, path: str) -> None:
    answer = await desk.doors.ask("GET", HERE + path, "trader", params={"symbol": BTC, "timeframe": "7m"})
    assert answer.status_code == 422, answer.text
    assert {"1h", "7m"} <= set(answer.json()["detail"].replace(",", "").split())


@pytest.mark.parametrize("path", ["/market/bars", "/market/indicators"])
async def test_before_all_time_there_were_no_bars(desk: Trading, path: str) -> None:
    shown = await desk.get(path, symbol=BTC, as_of="0001-01-01T00:00:00Z")
    assert not shown["bars"]


@pytest.mark.parametrize("path", ["/market/ticker", "/market/bars", "/market/indicators", "/market/instruments"])
async def test_without_the_desk_the_market_says_what_to_do(desk: Trading, path: str, caplog: pytest.LogCaptureFixture) -> None:
    query: dict[str, Any] = {} if path.endswith("instruments") else {"symbol": BTC}
    async with desk.elsewhere():
        answer = await desk.doors.ask("GET", HERE + path, "trader", params=query)
    assert answer.status_code == 503
    assert "algotrendy serve" in answer.json()["next_step"]
    assert not [record for record in caplog.records if record.levelname == "WARNING"], "a process without a desk is no fault"


async def test_channels_that_are_off_say_why_and_invent_nothing(desk: Trading) -> None:
    shown = await desk.get("/channels", "viewer")
    assert (shown["told_by"], shown["sources"]) == ("desk", [])
    assert {(one["kind"], one["symbol"]) for one in shown["channels"]} == {
        (kind, symbol) for kind in ("sentiment", "onchain") for symbol in SYMBOLS
    }
    assert all(one["state"] == "off" and one["reason"] and one["readings"] == [] for one in shown["channels"])
    async with desk.elsewhere():
        there = await desk.get("/channels", symbol=BTC)
    assert there["told_by"] == "last run"
    assert {one["symbol"] for one in there["channels"]} == {BTC}


async def test_each_source_tells_how_it_stands(desk: Trading) -> None:
    hub = ChannelHub(
        make_sources(["fear-greed", "glassnode"], ChannelAccess()), SYMBOLS, clock=desk.system.clock, chance=Random(1)
    )
    desks = desk.doors.state.desks
    async with desk.elsewhere():
        desks.add(replace(desk.system, hub=hub, channels=tuple(channels_of(hub))))
        shown = await desk.get("/channels", symbol=BTC)
        desks.remove("paper")
    await hub.stop()
    known = {one.source: one for one in hub.statuses()}
    told = {one["source"]: one for one in shown["sources"]}
    assert told.keys() == known.keys() == {"fear-greed", "glassnode"}
    assert told["glassnode"]["state"] == "off"
    assert "glassnode-api-key" in told["glassnode"]["reason"], "it says which secret it wants, and nothing of one"
    assert (told["fear-greed"]["age"], told["fear-greed"]["asked"], told["fear-greed"]["breaker"]) == (None, 0, "closed")
    assert {one["kind"] for one in shown["channels"]} == {"sentiment", "onchain", "news", "aggregate"}
