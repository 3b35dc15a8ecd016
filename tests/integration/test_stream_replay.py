"""A recorded tick stream of Binance through real ccxt.pro, with the sockets broken over and over."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from data_channels.market.streaming.feed import StreamFeed
from tests.integration.tick_replay import FILE, QUOTES, SYMBOL, TRADES, Line, Recording, Replay, candles
from tests.waiting import until
from trading_core.domain.clock import SystemClock, from_ms, to_ms
from trading_core.domain.market import Bar, Timeframe

MINUTE = Timeframe("1m")
CUTS = 20


class ReplayClock(SystemClock):
    """The time of what was played last, on which waiting costs nothing."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def now(self) -> datetime:
        return from_ms(self._replay.now_ms)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.002)


@pytest.fixture(scope="module")
def recording(shared_data: Path) -> Recording:
    path = shared_data / FILE
    if not path.exists():
        pytest.skip(f"the recorded tick stream is not here: {path}")
    return Recording.read(path)


@pytest.fixture
def replay(recording: Recording) -> Iterator[Replay]:
    with Replay(recording) as running:
        yield running


def values(bar: Bar) -> tuple[Decimal, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def opened(replay: Replay, chance: random.Random) -> StreamFeed:
    feed = StreamFeed("binance", [SYMBOL], clock=ReplayClock(replay), jitter=chance, base_url=replay.base_url)
    feed.start()
    return feed


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_no_trade_is_lost_or_counted_twice_across_twenty_disconnects(
    replay: Replay, recording: Recording, seed: int
) -> None:
    chance = random.Random(seed)
    # Up to 1,500 lines pass unheard, and REST gives the newest thousand trades: each of these can be filled.
    cuts = {index: chance.randrange(1, 1_500) for index in chance.sample(range(1_000, len(recording.lines), 1_800), CUTS)}
    feed = opened(replay, chance)
    try:
        await replay.play(cuts=cuts, arrived=lambda: feed.metrics.messages, waits=lambda: feed.report()[0].has_gap)
        metrics = feed.metrics
        await until(lambda: metrics.trades + metrics.filled >= len(recording.trades))
        assert metrics.reconnects == CUTS
        assert (metrics.trades + metrics.filled, metrics.lost, metrics.late) == (len(recording.trades), 0, 0)
        expected = candles(recording.trades)
        whole = sorted(expected)[1:-1]  # the first minute and the last were recorded in part
        bars = await feed.bars(SYMBOL, MINUTE, as_of=from_ms(replay.now_ms), limit=len(whole))
        assert {to_ms(bar.opened_at): values(bar) for bar in bars} == {at: expected[at] for at in whole}
        (five,) = await feed.bars(SYMBOL, Timeframe("5m"), as_of=from_ms(replay.now_ms), limit=1)
        assert values(five) == (
            expected[whole[0]][0],
            max(expected[at][1] for at in whole),
            min(expected[at][2] for at in whole),
            expected[whole[-1]][3],
            sum(expected[at][4] for at in whole),
        )
        assert metrics.by_rest == 0, "not one bar was asked for"
        ticker = await feed.ticker(SYMBOL, as_of=from_ms(replay.now_ms))
        assert ticker.last == Decimal(str(recording.trades[-1]["p"]))
    finally:
        await feed.close()


async def test_bars_over_a_gap_longer_than_a_page_of_trades_are_the_venues_own(replay: Replay, recording: Recording) -> None:
    """More than a thousand trades pass unheard, twice: REST's page does not reach over them."""
    feed = opened(replay, random.Random(3))
    try:
        await replay.play(
            cuts={10_000: 6_000, 25_000: 6_000},
            arrived=lambda: feed.metrics.messages,
            waits=lambda: feed.report()[0].has_gap,
        )
        expected = candles(recording.trades)
        whole = sorted(expected)[1:-1]
        now = from_ms(replay.now_ms)
        bars = await feed.bars(SYMBOL, MINUTE, as_of=now, limit=len(whole))
        assert {to_ms(bar.opened_at): values(bar) for bar in bars} == {at: expected[at] for at in whole}
        assert (feed.metrics.lost, feed.metrics.by_rest) == (2, 1)
        assert await feed.bars(SYMBOL, MINUTE, as_of=now, limit=len(whole)) == bars
    finally:
        await feed.close()


TRADE_EVERY, BEFORE, HOURS = 10, 26, 50


def long_feed() -> Recording:
    """A trade and a quote every ten seconds for fifty hours, of a price that wanders."""
    chance, start, lines, cents = random.Random(11), 1_767_225_600_000, [], 5_000_000
    for number in range(HOURS * 3600 // TRADE_EVERY):
        at, cents = start + number * TRADE_EVERY * 1000, cents + chance.randrange(-50, 51)
        price = f"{Decimal(cents) / 100:.8f}"
        trade = {
            "e": "trade",
            "E": at + 1,
            "s": "BTCUSDT",
            "t": number + 1,
            "p": price,
            "q": "0.01000000",
            "T": at,
            "m": True,
            "M": True,
        }
        best = {
            "u": number + 1,
            "s": "BTCUSDT",
            "b": price,
            "B": "1.00000000",
            "a": f"{Decimal(cents + 1) / 100:.8f}",
            "A": "1.00000000",
        }
        lines += [Line(at * 10**6, QUOTES, json.dumps(best), None), Line(at * 10**6, TRADES, json.dumps(trade), trade)]
    return Recording(lines)


@pytest.mark.slow
async def test_a_day_of_feed_leaves_nothing_behind() -> None:
    """The first day fills what is kept to its bounds; after the second, which is cut off every half hour, nothing has grown."""
    recording = long_feed()
    per_hour = len(recording.lines) // HOURS
    cuts = dict.fromkeys(range(per_hour // 2, len(recording.lines), per_hour // 2), 20)
    with Replay(recording) as replay:
        feed, nobody_reads = opened(replay, random.Random(4)), asyncio.Lock()

        async def read() -> None:
            while True:
                now = from_ms(replay.now_ms)
                async with nobody_reads:
                    await feed.ticker(SYMBOL, as_of=now)
                    await feed.bars(SYMBOL, MINUTE, as_of=now, limit=60)
                    await feed.bars(SYMBOL, Timeframe("1h"), as_of=now, limit=2)
                await asyncio.sleep(0.02)

        async def play(first: int, last: int) -> tuple[int, int]:
            await replay.play(
                cuts=cuts,
                arrived=lambda: feed.metrics.messages,
                waits=lambda: feed.report()[0].has_gap,
                lines=range(first * per_hour, last * per_hour),
            )
            async with nobody_reads:
                await until(lambda: not feed.report()[0].has_gap)
                await asyncio.sleep(0.2)  # what has just ended is gone
                gc.collect()
                return len(asyncio.all_tasks()), len(gc.get_objects())

        reading = asyncio.create_task(read())
        try:
            tasks, objects = await play(0, BEFORE)
            tasks_after, objects_after = await play(BEFORE, HOURS)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await feed.close()
        metrics = feed.metrics
        assert metrics.reconnects == len(cuts)
        assert (metrics.trades + metrics.filled, metrics.lost) == (len(recording.trades), 0)
        assert tasks_after == tasks
        # A day is 8,640 trades: anything kept of each would show.
        assert objects_after - objects < 1_000
