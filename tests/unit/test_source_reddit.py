"""Reddit through the real PRAW, over real HTTP: what it reads, and every way in which it fails."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import praw.config
import pytest
from pydantic import SecretStr

from data_channels.sentiment.damping import PEOPLE, Reason
from data_channels.sentiment.reddit import Reddit
from data_channels.sentiment.scoring import VaderScorer
from tests.channels.faults import OUTAGES, REFUSALS, UNAUTHORIZED, Fault, rate_limited, slow
from tests.channels.server import ServiceServer
from tests.unit.text_source_cases import (
    BTC,
    KEY,
    NOW,
    REDDIT_COMMENTS,
    REDDIT_LOGIN,
    REDDIT_NEW,
    Said,
    listing,
    reddit,
    reddit_answers,
)
from trading_core.domain.errors import ChannelError, ChannelRefused, ChannelUnavailable
from trading_core.domain.market import Reading

ETH = "ETH/USDT"
SCORER = VaderScorer()
TALK = (
    Said("Bitcoin looks great today, I am very bullish", "ann"),
    Said("BTC is a scam and will crash", "bob"),
    Said("I love ethereum, what a wonderful network", "cid"),
)


@pytest.fixture
def server() -> Iterator[ServiceServer]:
    with ServiceServer(reddit_answers(TALK)) as server:
        yield server


@asynccontextmanager
async def opened(server: ServiceServer, patience: float = 15.0) -> AsyncIterator[Reddit]:
    source = reddit(server.base_url, SCORER, timeout=patience)
    try:
        yield source
    finally:
        await source.close()


def named(readings: Sequence[Reading], symbol: str, name: str) -> Reading:
    (found,) = [reading for reading in readings if (reading.symbol, reading.name) == (symbol, name)]
    return found


async def test_posts_and_comments_become_numbers(server: ServiceServer) -> None:
    async with opened(server) as source:
        readings = await source.fetch([BTC, ETH, "XRP/USDT"], now=NOW)
    btc = named(readings, BTC, "sentiment")
    assert (btc.source, btc.unit, btc.count, btc.observed_at, btc.published_at) == ("reddit", "score", 2, NOW, NOW)
    assert btc.spread is not None
    assert btc.spread > Decimal("0.3")
    assert named(readings, ETH, "sentiment").value > Decimal("0.3")
    assert named(readings, BTC, "mentions").value == 2
    assert named(readings, "XRP/USDT", "mentions").value == 0
    assert not [r for r in readings if (r.symbol, r.name) == ("XRP/USDT", "sentiment")]


async def test_a_round_is_one_login_and_two_listings_and_the_next_one_two(server: ServiceServer) -> None:
    async with opened(server) as source:
        await source.fetch([BTC], now=NOW)
        assert [call.path for call in server.seen] == [REDDIT_LOGIN, REDDIT_NEW, REDDIT_COMMENTS]
        await source.fetch([BTC], now=NOW)
        assert (server.count(), source.requests) == (5, 5)
        assert server.seen[1].params["limit"] == "100"
        assert not await source.fetch([], now=NOW)
        assert server.count() == 5


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("path", [REDDIT_LOGIN, REDDIT_NEW])
async def test_a_refusal_is_final_and_asked_once(server: ServiceServer, fault: Fault, path: str) -> None:
    server.spoil(fault, path=path)
    async with opened(server) as source:
        with pytest.raises(ChannelRefused) as told:
            await source.fetch([BTC], now=NOW)
    assert server.count(path) == 1
    assert_no_secret(told.value)


@pytest.mark.parametrize("fault", [*OUTAGES, slow(1.5)], ids=lambda fault: fault.name)
@pytest.mark.parametrize("path", [REDDIT_LOGIN, REDDIT_NEW])
async def test_an_outage_is_asked_once_and_passes(server: ServiceServer, fault: Fault, path: str) -> None:
    server.spoil(fault, path=path)
    async with opened(server, patience=1.0) as source:
        with pytest.raises(ChannelUnavailable) as told:
            await source.fetch([BTC], now=NOW)
        assert server.count(path) == 1, "prawcore must not try again by itself"
        assert_no_secret(told.value)
        server.mend()
        assert named(await source.fetch([BTC], now=NOW), BTC, "mentions").value == 2


def assert_no_secret(error: ChannelError) -> None:
    told: BaseException | None = error
    while told is not None:
        assert KEY.get_secret_value() not in repr(told) + str(told)
        assert "never-to-be-seen" not in repr(told) + str(told)
        told = told.__cause__


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("3.5", 3.5), ("soon", None)])
async def test_retry_after_is_handed_on(server: ServiceServer, header: str, wait: float | None) -> None:
    server.spoil(rate_limited(header), path=REDDIT_NEW)
    async with opened(server) as source:
        with pytest.raises(ChannelUnavailable) as told:
            await source.fetch([BTC], now=NOW)
    assert told.value.retry_after == wait


async def test_without_retry_after_reddits_own_reset_is_the_wait(server: ServiceServer) -> None:
    server.spoil(replace(rate_limited(), headers={"x-ratelimit-reset": "246"}), path=REDDIT_NEW)
    async with opened(server) as source:
        with pytest.raises(ChannelUnavailable) as told:
            await source.fetch([BTC], now=NOW)
    assert told.value.retry_after == 246


async def test_a_near_limit_does_not_put_the_thread_to_sleep(server: ServiceServer) -> None:
    spent = {"x-ratelimit-remaining": "0.0", "x-ratelimit-used": "600", "x-ratelimit-reset": "500"}
    server.spoil(Fault("limit spent", headers=spent))
    async with opened(server) as source:
        async with asyncio.timeout(30):
            await source.fetch([BTC], now=NOW)


async def test_a_token_that_was_withdrawn_is_replaced_in_the_next_round(server: ServiceServer) -> None:
    async with opened(server) as source:
        await source.fetch([BTC], now=NOW)
        server.spoil(UNAUTHORIZED, path=REDDIT_NEW, times=1)
        with pytest.raises(ChannelUnavailable, match="no longer accepts"):
            await source.fetch([BTC], now=NOW)
        assert named(await source.fetch([BTC], now=NOW), BTC, "mentions").value == 2
        assert server.count(REDDIT_LOGIN) == 2


async def test_a_login_that_answers_with_an_error_is_a_refusal(server: ServiceServer) -> None:
    server.answers[REDDIT_LOGIN] = {"error": "invalid_grant", "error_description": "read me: buy everything"}
    async with opened(server) as source:
        with pytest.raises(ChannelRefused) as told:
            await source.fetch([BTC], now=NOW)
    assert "buy everything" not in str(told.value)


@pytest.mark.parametrize(
    ("id_", "secret", "wanted"),
    [(None, None, "reddit-client-id"), (KEY, None, "reddit-client-secret"), (None, KEY, "reddit-client-id"), (KEY, KEY, "")],
)
async def test_it_says_which_secret_it_wants(id_: SecretStr | None, secret: SecretStr | None, wanted: str) -> None:
    source = Reddit(id_, secret, SCORER)
    assert source.wants == wanted
    await source.close()


async def test_neither_the_environment_nor_a_praw_ini_has_a_say(
    server: ServiceServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("praw_client_id", "praw_username", "praw_password", "praw_refresh_token", "praw_site"):
        monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    (tmp_path / "praw.ini").write_text("[DEFAULT]\noauth_url=http://127.0.0.1:9\nuser_agent=somebody else\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(praw.config.Config, "CONFIG", None)  # PRAW reads it once in a process
    async with opened(server) as source:
        await source.fetch([BTC], now=NOW)
    assert server.seen[0].params["grant_type"] == "client_credentials"
    assert "algotrendy" in server.seen[0].headers["user-agent"]


async def test_the_event_loop_goes_on_while_reddit_is_slow(server: ServiceServer) -> None:
    server.spoil(slow(0.3), path=REDDIT_NEW)
    async with opened(server) as source:
        asked = asyncio.create_task(source.fetch([BTC], now=NOW))
        turns = 0
        while not asked.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert await asked
    assert turns > 10


async def test_a_round_given_up_does_not_meet_the_next_one_in_praw(server: ServiceServer) -> None:
    server.spoil(slow(0.4), path=REDDIT_NEW, times=1)
    async with opened(server) as source:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await source.fetch([BTC], now=NOW)
        assert named(await source.fetch([BTC], now=NOW), BTC, "mentions").value == 2
        assert sum(thread.name.startswith("reddit") for thread in threading.enumerate()) == 1


async def test_removed_posts_and_deleted_authors_do_not_upset_it(server: ServiceServer) -> None:
    answers = reddit_answers([replace(TALK[0], text="[removed]"), TALK[1]])
    gone = {"kind": "t1", "data": {"id": "x", "name": "t1_x", "body": "[deleted]", "author": "[deleted]", "created_utc": 1.0}}
    server.answers |= {**answers, REDDIT_COMMENTS: listing([gone])}
    async with opened(server) as source:
        assert named(await source.fetch([BTC], now=NOW), BTC, "mentions").value == 0


async def test_recorded_items_of_crypto_communities_are_read(server: ServiceServer, shared_data: Path) -> None:
    items = json.loads((shared_data / "reddit" / "crypto_items.json").read_text())
    recorded = {
        "new": json.loads((shared_data / "reddit" / "asyncpraw_subredditlistings_new.json").read_text())["body"],
        "comments": json.loads((shared_data / "reddit" / "asyncpraw_subredditlistings_comments.json").read_text())["body"],
    }
    recorded["comments"]["data"]["children"] += [item for item in items if item["kind"] == "t1"]
    recorded["new"]["data"]["children"] += [item for item in items if item["kind"] == "t3"]
    server.answers |= {REDDIT_NEW: recorded["new"], REDDIT_COMMENTS: recorded["comments"]}
    ancient = replace(PEOPLE, window=timedelta(days=9999))
    source = Reddit(
        KEY, KEY, SCORER, communities=("Bitcoin", "ethereum"), rules=ancient, api_url=server.base_url, login_url=server.base_url
    )
    await source.fetch([BTC, ETH], now=datetime(2020, 7, 20, tzinfo=UTC))
    await source.close()
    assert source.opinions.reasons[Reason.BOT] == 3, "the notices of AutoModerator"
    assert server.count(REDDIT_NEW) == 1


async def test_an_answer_that_only_drips_is_given_up() -> None:
    hung_up = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        hung_up.set()

    listening = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    source = Reddit(KEY, KEY, SCORER, api_url=url, login_url=url, timeout=0.3)
    async with listening, asyncio.timeout(30):
        with pytest.raises(ChannelUnavailable, match="took too long"):
            await source.fetch([BTC], now=NOW)
        await source.close()
        await hung_up.wait()
