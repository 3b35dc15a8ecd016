"""LunarCrush: recorded and documented answers over real HTTP, and every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from data_channels.sentiment.lunarcrush import LunarCrush
from data_channels.sentiment.scoring import VaderScorer
from tests.channels.faults import OUTAGES, REFUSALS, Fault, slow
from tests.channels.server import ServiceServer
from tests.unit.text_source_cases import BTC, KEY, LUNAR_COIN, LUNAR_POSTS, NOW, Said, lunarcrush, lunarcrush_answers
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable

SCORER = VaderScorer()
D = Decimal
TALK = (Said("one thing", "ann"), Said("quite another thing here", "bob"), Said("and something else again", "cid"))


@pytest.fixture
def server() -> Iterator[ServiceServer]:
    with ServiceServer(lunarcrush_answers(TALK, stars=4)) as server:
        yield server


async def test_indices_and_the_services_own_scores(server: ServiceServer) -> None:
    source = lunarcrush(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=NOW)}
    await source.close()
    assert [(r.name, r.value, r.unit) for r in readings.values()] == [
        ("galaxy_score", D("48.5"), "points"),
        ("alt_rank", D(104), "rank"),
        ("sentiment", D("0.5"), "score"),
        ("mentions", D(3), "authors"),
    ]
    assert readings["galaxy_score"].observed_at == NOW - timedelta(minutes=1)
    assert readings["galaxy_score"].published_at == NOW
    assert readings["sentiment"].spread == 0
    assert {call.headers["authorization"] for call in server.seen} == {f"Bearer {KEY.get_secret_value()}"}


@pytest.mark.parametrize(("stars", "score"), [(1, "-1"), (2.5, "-0.25"), (3, "0"), (5, "1")])
async def test_stars_become_scores(server: ServiceServer, stars: float, score: str) -> None:
    server.answers |= lunarcrush_answers(TALK, stars)
    source = lunarcrush(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=NOW)}
    await source.close()
    assert readings["sentiment"].value == D(score)


@pytest.mark.parametrize("stars", [0, 5.5, -3, 1e9])
async def test_stars_out_of_range_are_a_changed_answer(server: ServiceServer, stars: float) -> None:
    server.answers |= lunarcrush_answers(TALK, stars)
    source = lunarcrush(server.base_url, SCORER)
    with pytest.raises(ChannelUnavailable, match=r"post_sentiment is outside its range"):
        await source.fetch([BTC], now=NOW)
    await source.close()


async def test_a_post_without_stars_is_scored_by_its_words(server: ServiceServer) -> None:
    server.answers |= lunarcrush_answers([Said("bitcoin is a scam, sell")])
    source = lunarcrush(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=NOW)}
    await source.close()
    assert readings["sentiment"].value < D("-0.4")


async def test_a_post_under_two_topics_counts_for_both_and_is_no_copy_of_itself(server: ServiceServer) -> None:
    coin = server.answers[LUNAR_COIN]
    server.answers |= {"/public/coins/eth/v1": coin, "/public/topic/ethereum/posts/v1": server.answers[LUNAR_POSTS]}
    source = lunarcrush(server.base_url, SCORER)
    readings = {(r.symbol, r.name): r.value for r in await source.fetch([BTC, "ETH/USDT"], now=NOW)}
    await source.close()
    assert readings[BTC, "mentions"] == readings["ETH/USDT", "mentions"] == 3
    assert not any(source.opinions.reasons.values())


async def test_no_more_symbols_than_the_plan_allows_a_minute(server: ServiceServer) -> None:
    source = LunarCrush(KEY, SCORER, per_minute=3, base_url=server.base_url)
    readings = await source.fetch(["NOSUCH/USDT", BTC, "ETH/USDT"], now=NOW)
    await source.close()
    assert {r.symbol for r in readings} == {BTC}
    assert source.requests == server.count() == 2


async def test_the_recorded_coin_is_read(server: ServiceServer, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "channels" / "lunarcrush.json").read_text())
    server.answers[LUNAR_COIN] = recorded["examples"]["coins/:coin/v1"]
    source = lunarcrush(server.base_url, SCORER)
    readings = {r.name: r for r in await source.fetch([BTC], now=NOW)}
    await source.close()
    assert (readings["galaxy_score"].value, readings["alt_rank"].value) == (D("48.5"), 104)


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("path", [LUNAR_COIN, LUNAR_POSTS])
async def test_a_refusal_is_final(server: ServiceServer, fault: Fault, path: str) -> None:
    server.spoil(fault, path=path)
    source = lunarcrush(server.base_url, SCORER)
    with pytest.raises(ChannelRefused) as told:
        await source.fetch([BTC], now=NOW)
    await source.close()
    assert KEY.get_secret_value() not in str(told.value)


@pytest.mark.parametrize("fault", [*OUTAGES, slow(1.5)], ids=lambda fault: fault.name)
@pytest.mark.parametrize("path", [LUNAR_COIN, LUNAR_POSTS])
async def test_an_outage_is_asked_once_and_passes(server: ServiceServer, fault: Fault, path: str) -> None:
    server.spoil(fault, path=path, times=1)
    source = lunarcrush(server.base_url, SCORER, timeout=1.0)
    with pytest.raises(ChannelUnavailable) as told:
        await source.fetch([BTC], now=NOW)
    assert server.count(path) == 1
    assert KEY.get_secret_value() not in str(told.value)
    assert await source.fetch([BTC], now=NOW)
    await source.close()


async def test_without_a_key_it_is_off_and_says_which_it_wants() -> None:
    source = LunarCrush(None, SCORER)
    assert source.wants == "lunarcrush-api-key"
    await source.close()
