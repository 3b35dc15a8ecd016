"""X: documented answers over real HTTP, what it costs, and every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_channels.sentiment.damping import PEOPLE, Reason
from data_channels.sentiment.mentions import NAMES
from data_channels.sentiment.scoring import VaderScorer
from data_channels.sentiment.x_api import XApi, query_for
from tests.channels.faults import OUTAGES, REFUSALS, Fault, rate_limited, slow
from tests.channels.server import ServiceServer
from tests.unit.text_source_cases import BTC, KEY, NOW, X_PATH, Said, x_answers, x_api
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable

SCORER = VaderScorer()
TALK = (
    Said("bitcoin looks great, I am bullish", "1"),
    Said("Bitcoin is a scam", "2", timedelta(minutes=5)),
    Said("nice weather in town", "3"),
)


@pytest.fixture
def server() -> Iterator[ServiceServer]:
    with ServiceServer(x_answers(TALK)) as server:
        yield server


async def test_one_search_for_all_symbols(server: ServiceServer) -> None:
    source = x_api(server.base_url, SCORER)
    readings = {(r.symbol, r.name): r for r in await source.fetch([BTC, "ETH/USDT"], now=NOW)}
    await source.close()
    (call,) = server.seen
    assert call.headers["authorization"] == f"Bearer {KEY.get_secret_value()}"
    assert call.params["query"] == "(bitcoin OR bitcoins OR ethereum OR ether) lang:en -is:retweet"
    assert call.params["max_results"] == "50"
    assert readings[BTC, "sentiment"].count == 2
    assert readings["ETH/USDT", "mentions"].value == 0


@pytest.mark.parametrize(("age", "heard"), [(timedelta(days=2), 1), (timedelta(days=300), 2)])
async def test_a_new_account_is_not_heard(server: ServiceServer, age: timedelta, heard: int) -> None:
    answers = x_answers(TALK)
    body = json.loads(json.dumps(answers[X_PATH]))
    (user,) = [user for user in body["includes"]["users"] if user["id"] == "2"]
    user["created_at"] = (NOW - age).isoformat()
    server.answers[X_PATH] = body
    source = x_api(server.base_url, SCORER)
    readings = await source.fetch([BTC], now=NOW)
    await source.close()
    assert readings[0].count == heard
    assert source.opinions.reasons[Reason.YOUNG] == 2 - heard


async def test_documented_answers_are_read(server: ServiceServer, shared_data: Path) -> None:
    documented = json.loads((shared_data / "channels" / "x_recent_search.json").read_text())
    server.answers[X_PATH] = documented["examples"][1]
    source = XApi(KEY, SCORER, base_url=server.base_url, rules=replace(PEOPLE, window=timedelta(days=9)))
    readings = await source.fetch([BTC], now=datetime(2024, 1, 16, tzinfo=UTC))
    assert [(r.name, r.value) for r in readings] == [("mentions", 0)], "it speaks of no asset"
    server.answers[X_PATH] = documented["examples"][0]
    with pytest.raises(ChannelUnavailable, match="author_id is missing"):
        await source.fetch([BTC], now=NOW)
    for error in documented["errors"][:2]:
        server.answers[X_PATH] = error
        with pytest.raises(ChannelUnavailable, match="meta is missing"):
            await source.fetch([BTC], now=NOW)
    await source.close()


async def test_nothing_found_is_a_reading_of_nobody(server: ServiceServer) -> None:
    server.answers[X_PATH] = {"meta": {"result_count": 0}}
    source = x_api(server.base_url, SCORER)
    (mentions,) = await source.fetch([BTC], now=NOW)
    assert (mentions.name, mentions.value, mentions.observed_at) == ("mentions", 0, NOW)
    await source.close()


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: fault.name)
async def test_a_refusal_is_final(server: ServiceServer, fault: Fault) -> None:
    server.spoil(fault)
    source = x_api(server.base_url, SCORER)
    with pytest.raises(ChannelRefused) as told:
        await source.fetch([BTC], now=NOW)
    await source.close()
    assert KEY.get_secret_value() not in str(told.value)
    assert server.count() == source.requests == 1


@pytest.mark.parametrize("fault", [*OUTAGES, slow(1.5)], ids=lambda fault: fault.name)
async def test_an_outage_is_asked_once_and_passes(server: ServiceServer, fault: Fault) -> None:
    server.spoil(fault, times=1)
    source = x_api(server.base_url, SCORER, timeout=1.0)
    with pytest.raises(ChannelUnavailable) as told:
        await source.fetch([BTC], now=NOW)
    assert KEY.get_secret_value() not in str(told.value)
    assert server.count() == 1
    assert await source.fetch([BTC], now=NOW)
    await source.close()


async def test_retry_after_is_handed_on(server: ServiceServer) -> None:
    server.spoil(rate_limited("90"))
    source = x_api(server.base_url, SCORER)
    with pytest.raises(ChannelUnavailable) as told:
        await source.fetch([BTC], now=NOW)
    await source.close()
    assert told.value.retry_after == 90


@pytest.mark.parametrize("at", ["yesterday", "2026-05-01T10:00:00", 1767225600])
async def test_a_time_in_another_form_is_named_and_not_guessed_at(server: ServiceServer, at: object) -> None:
    body = json.loads(json.dumps(x_answers(TALK)[X_PATH]))
    body["data"][0]["created_at"] = at
    server.answers[X_PATH] = body
    source = x_api(server.base_url, SCORER)
    with pytest.raises(ChannelUnavailable, match=r"data\[0\].created_at should be") as told:
        await source.fetch([BTC], now=NOW)
    await source.close()
    assert str(at) not in str(told.value)


async def test_without_a_token_it_is_off_and_says_which_it_wants() -> None:
    source = XApi(None, SCORER)
    assert source.wants == "x-bearer-token"
    await source.close()


@pytest.mark.parametrize(("asked", "sent"), [(1, "10"), (50, "50"), (1000, "100")])
async def test_what_a_round_may_cost_is_bounded(server: ServiceServer, asked: int, sent: str) -> None:
    source = XApi(KEY, SCORER, posts=asked, base_url=server.base_url)
    await source.fetch([BTC], now=NOW)
    await source.close()
    assert server.seen[0].params["max_results"] == sent


def test_the_pace_follows_the_budget() -> None:
    a_day = timedelta(days=1) / XApi(None, SCORER).pace.every * 50
    assert a_day <= 600, "posts a day: each of them is paid for"


def test_a_query_is_never_too_long_and_covers_what_it_says() -> None:
    query, covered = query_for([f"{base}/USDT" for base in (*NAMES, "NOSUCH")])
    assert len(query) <= 512
    assert "NOSUCH/USDT" not in covered
    assert 10 < len(covered) < len(NAMES)
    assert '"bitcoin cash"' in query
    assert query_for(["NOSUCH/USDT"])[1] == []
