"""What backtests and replays read out of the store: a channel and a market feed, as of any instant."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from data_channels.base import Channel, Kind
from data_channels.market.history import HistoryFeed
from data_channels.sink import ReadingSink
from data_channels.store.base import BarKey, ReadingKey
from data_channels.store.channel import StoredChannel
from data_channels.store.duckdb_store import DuckDbStore
from data_channels.store.feed import StoredFeed
from data_channels.store.importer import import_file
from tests.unit.timeseries_cases import BTC, HOUR, KEY, T0, D, at, bar, reading
from trading_core.domain.errors import UnknownSymbol
from trading_core.domain.market import MarketFeed, Reading, ReadingState, Timeframe

STALE = {"fng": timedelta(hours=1), "reddit": timedelta(minutes=10)}
POSTS = ReadingKey("reddit", BTC, "score")
PRICE = ReadingKey("coingecko", BTC, "price")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    async with await DuckDbStore.open(tmp_path / "series.duckdb") as store:
        yield store


async def test_the_state_is_that_of_the_instant_asked_for(store: DuckDbStore) -> None:
    sink: ReadingSink = store
    await sink.put([reading(0, "60"), reading(0, "0.5", key=POSTS), reading(120, "61"), reading(0, "42000", key=PRICE)])
    channel: Channel = StoredChannel(Kind.SENTIMENT, store, STALE)
    told = {minute: await channel.report(BTC, as_of=at(minute)) for minute in (-1, 0, 11, 61, 120)}
    assert {minute: report.state for minute, report in told.items()} == {
        -1: ReadingState.OFF,
        0: ReadingState.LIVE,
        11: ReadingState.DEGRADED,
        61: ReadingState.STALE,
        120: ReadingState.DEGRADED,
    }
    assert told[-1].reason == "Nothing was known of BTC/USDT then."
    assert told[11].reason == "reddit: its newest reading is 11 min old."
    assert [(each.source, each.value) for each in told[61].readings] == [("fng", 60), ("reddit", D("0.5"))]
    assert [each.value for each in told[120].readings] == [61, D("0.5")]
    assert (await channel.report("ETH/USDT", as_of=at(0))).state is ReadingState.OFF


async def test_changing_the_future_changes_no_report(tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = [reading(minute, str(chance.random()), observed=minute - chance.choice([0, 90])) for minute in range(0, 600, 7)]

    def scrambled(rows: list[Reading]) -> list[Reading]:
        future = [replace(row, value=row.value * 10) for row in rows if row.published_at > at(300)]
        chance.shuffle(future)
        return [row for row in rows if row.published_at <= at(300)] + future[::2]

    reports = []
    for number, given in enumerate((rows, scrambled(rows))):
        async with await DuckDbStore.open(tmp_path / f"{number}.duckdb") as store:
            await store.put(given)
            channel = StoredChannel(Kind.SENTIMENT, store, STALE)
            reports.append([await channel.report(BTC, as_of=at(minute)) for minute in range(0, 301, 10)])
    assert reports[0] == reports[1]
    assert {report.state for report in reports[0]} >= {ReadingState.LIVE}


async def test_a_feed_of_stored_bars_tells_what_the_file_tells(store: DuckDbStore, shared_data: Path) -> None:
    path = shared_data / "ohlcv" / "binance_SOLUSDT_1d.csv.gz"
    await import_file(store, path, venue=None, tell=lambda progress: None)
    day = Timeframe("1d")
    stored: MarketFeed = await StoredFeed.load(store, "binance", day)
    history = HistoryFeed.load(path, timeframe=day)
    assert await stored.instruments() == await history.instruments()
    start, end = history.span("SOL/USDT")
    for instant in (start, start + timedelta(hours=30), end - timedelta(days=100), end):
        assert await stored.ticker("SOL/USDT", as_of=instant) == await history.ticker("SOL/USDT", as_of=instant)
        given = await stored.bars("SOL/USDT", day, as_of=instant, limit=50)
        assert list(given) == list(await history.bars("SOL/USDT", day, as_of=instant, limit=50))


async def test_a_feed_covers_what_was_asked_for_and_names_what_is_missing(store: DuckDbStore) -> None:
    await store.put_bars(KEY, [bar(hour) for hour in range(10)])
    await store.put_bars(BarKey("binance", "ETH/USDT", HOUR), [bar(0)])
    feed = await StoredFeed.load(store, "binance", HOUR, symbols=[BTC], start=at(60), end=at(180))
    assert feed.span(BTC) == (at(60), at(180))
    assert set(await (await StoredFeed.load(store, "binance", HOUR)).instruments()) == {BTC, "ETH/USDT"}
    with pytest.raises(UnknownSymbol, match=r"no 1h bars of 'SOL/USDT' from binance.*There are binance BTC/USDT 1h"):
        await StoredFeed.load(store, "binance", HOUR, symbols=[BTC, "SOL/USDT"])
    with pytest.raises(UnknownSymbol, match="no 1h bars of any market from kraken"):
        await StoredFeed.load(store, "kraken", HOUR)
    with pytest.raises(UnknownSymbol, match="no 1h bars of 'BTC/USDT'"):
        await StoredFeed.load(store, "binance", HOUR, symbols=[BTC], start=T0 + timedelta(days=9))
