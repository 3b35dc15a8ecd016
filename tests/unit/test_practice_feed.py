"""The practice market: it moves with the clock, tells nothing early, and is the same for whoever reads it whenever."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_channels.market.filters import inferred_instrument
from data_channels.market.grid import floor_to_grid
from data_channels.market.practice import FINEST, PracticeFeed
from data_channels.market.practice_path import minutes_of, path_of
from data_channels.market.synthetic import SyntheticFeed
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import InvalidInput, UnknownSymbol, UnknownTimeframe
from trading_core.domain.market import Bar, Timeframe

ANCHOR = datetime(2026, 1, 5, 10, 2, 17, tzinfo=UTC)
FIVE = Timeframe("5m")
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
BTC = "BTC/USDT"
BEFORE = 61
INSTRUMENT = inferred_instrument(BTC, price=Decimal(60_000), decimals=2)


def practice(clock: SimulatedClock, symbols: tuple[str, ...] = SYMBOLS, timeframe: Timeframe = FIVE) -> PracticeFeed:
    return PracticeFeed(7, symbols, timeframe, ANCHOR, before=BEFORE, clock=clock)


def at(**passed: float) -> SimulatedClock:
    return SimulatedClock(ANCHOR + timedelta(**passed))


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    ticks = st.integers(1, 10**7)
    low, high = sorted((draw(ticks), draw(ticks)))
    inside = st.integers(low, high)
    tick, lot = INSTRUMENT.tick_size, INSTRUMENT.lot_size
    volume = draw(st.integers(0, 10**9)) * lot
    return Bar(datetime(2026, 1, 5, tzinfo=UTC), draw(inside) * tick, high * tick, low * tick, draw(inside) * tick, volume)


class TestPath:
    @given(bar=bars(), key=st.text(max_size=8), minutes=st.sampled_from((1, 3, 5, 15, 60)))
    @settings(max_examples=150, deadline=None)
    def test_it_leads_from_open_to_close_within_the_bar_and_touches_high_and_low(self, bar: Bar, key: str, minutes: int) -> None:
        path = path_of(key, bar, INSTRUMENT, 60 * minutes)
        tick = INSTRUMENT.tick_size
        assert len(path) == 60 * minutes + 1
        assert (int(path[0]) * tick, int(path[-1]) * tick) == (bar.open, bar.close)
        assert (int(path.max()) * tick, int(path.min()) * tick) == (bar.high, bar.low)
        assert (path == path_of(key, bar, INSTRUMENT, 60 * minutes)).all()

    @given(bar=bars(), minutes=st.sampled_from((1, 5, 15, 60)))
    @settings(max_examples=100, deadline=None)
    def test_its_minutes_make_up_the_bar(self, bar: Bar, minutes: int) -> None:
        made = minutes_of(path_of("key", bar, INSTRUMENT, 60 * minutes), bar, INSTRUMENT)
        assert [each.opened_at for each in made] == [bar.opened_at + timedelta(minutes=number) for number in range(minutes)]
        assert [each.inconsistency() for each in made] == [None] * minutes
        assert made[0].open == bar.open
        assert made[-1].close == bar.close
        assert max(each.high for each in made) == bar.high
        assert min(each.low for each in made) == bar.low
        assert sum(each.volume for each in made) == bar.volume
        assert all(before.close == after.open for before, after in pairwise(made))
        assert all(each.volume % INSTRUMENT.lot_size == 0 for each in made)


class TestFeed:
    async def test_it_is_the_synthetic_market_laid_on_the_clock(self) -> None:
        start = datetime(2025, 3, 3, tzinfo=UTC)
        length = FIVE.length
        model = SyntheticFeed(7, SYMBOLS, FIVE, start - BEFORE * length, start + 20 * length)
        feed = practice(at(minutes=100))
        shift = floor_to_grid(ANCHOR, FIVE) - start
        for symbol in SYMBOLS:
            told = await feed.bars(symbol, FIVE, as_of=ANCHOR + timedelta(days=1), limit=70)
            known = model.series(symbol).closed(told[-1].opened_at + length - shift, 70)
            assert [(bar.opened_at - shift, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in told] == [
                (bar.opened_at, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in known
            ]

    async def test_the_first_cycle_has_the_bars_it_needs(self) -> None:
        assert len(await practice(at()).bars(BTC, FIVE, as_of=ANCHOR, limit=1_000)) == BEFORE

    async def test_nothing_is_told_before_its_time_whatever_is_asked(self) -> None:
        clock, ahead = at(), ANCHOR + timedelta(days=400)
        feed = practice(clock)
        for timeframe in (FIVE, FINEST):
            for told in (
                await feed.bars(BTC, timeframe, as_of=ahead, limit=500),
                await feed.bars_between(BTC, timeframe, start=ANCHOR - timedelta(days=1), end=ahead),
            ):
                assert told
                assert all(bar.opened_at + timeframe.length <= ANCHOR for bar in told)
        ticker = await feed.ticker(BTC, as_of=ahead)
        assert ticker is not None
        assert ticker == await feed.ticker(BTC, as_of=ANCHOR)
        assert ticker.at <= ANCHOR

    @given(offsets=st.lists(st.floats(-14_000, 90_000, allow_nan=False), min_size=1, max_size=12), later=st.floats(0, 3e6))
    @settings(max_examples=25, deadline=None)
    async def test_the_past_reads_the_same_later_and_after_a_restart(self, offsets: list[float], later: float) -> None:
        clock = at()
        feed, seen = practice(clock), {}
        for offset in sorted(offsets):
            moment = ANCHOR + timedelta(seconds=offset)
            clock.advance_to(max(clock.now(), moment))
            seen[moment] = (
                await feed.ticker(BTC, as_of=moment),
                await feed.bars(BTC, FIVE, as_of=moment, limit=5),
                await feed.bars(BTC, FINEST, as_of=moment, limit=5),
            )
        clock.advance_to(clock.now() + timedelta(seconds=later))
        # A restarted one that lists another symbol besides, and this one again: bars depend on no other symbol.
        for reader in (feed, practice(clock, (*SYMBOLS, "ADA/USDT"))):
            for moment, told in seen.items():
                assert told == (
                    await reader.ticker(BTC, as_of=moment),
                    await reader.bars(BTC, FIVE, as_of=moment, limit=5),
                    await reader.bars(BTC, FINEST, as_of=moment, limit=5),
                )

    async def test_a_ticker_is_of_the_present_second_and_lies_in_its_bar(self) -> None:
        clock = at()
        feed = practice(clock)
        prices = set()
        for second in range(0, 900, 7):
            clock.advance_to(ANCHOR + timedelta(seconds=second + 0.4))
            ticker = await feed.ticker(BTC, as_of=clock.now())
            assert ticker is not None
            assert timedelta(0) <= clock.now() - ticker.at < timedelta(seconds=1)
            assert ticker.bid < ticker.last < ticker.ask
            prices.add(ticker.last)
        assert len(prices) > 100  # it moves
        clock.advance_to(clock.now() + FIVE.length)
        for second in range(0, 900, 7):
            moment = ANCHOR + timedelta(seconds=second + 0.4)
            ticker = await feed.ticker(BTC, as_of=moment)
            (bar,) = await feed.bars(BTC, FIVE, as_of=floor_to_grid(moment, FIVE) + FIVE.length, limit=1)
            assert ticker is not None
            assert bar.low <= ticker.last <= bar.high

    async def test_around_a_close_the_price_is_the_close(self) -> None:
        clock = at(minutes=20)
        feed, edge = practice(clock), floor_to_grid(ANCHOR, FIVE) + 2 * FIVE.length
        (bar,) = await feed.bars(BTC, FIVE, as_of=edge, limit=1)
        on, after = await feed.ticker(BTC, as_of=edge), await feed.ticker(BTC, as_of=edge + timedelta(microseconds=1))
        assert on is not None
        assert after is not None
        assert on.last == after.last == bar.close
        assert on.at < edge == after.at  # the old bar's last price, and the new one's first

    async def test_before_the_first_bar_there_is_no_price(self) -> None:
        feed, first = practice(at()), floor_to_grid(ANCHOR, FIVE) - BEFORE * FIVE.length
        assert await feed.ticker(BTC, as_of=first) is None
        assert await feed.ticker(BTC, as_of=first + timedelta(seconds=1)) is not None
        assert await feed.bars(BTC, FIVE, as_of=first, limit=5) == []

    async def test_memory_holds_a_window_and_older_bars_are_made_again(self) -> None:
        clock = at(days=200)
        feed = practice(clock)
        assert await feed.ticker(BTC, as_of=clock.now()) is not None
        held = feed._held
        assert held is not None
        assert len(held[2].series(BTC).bars) < 2_000 + 289
        old = await feed.bars(BTC, FIVE, as_of=ANCHOR + timedelta(days=3), limit=10)
        assert [bar.opened_at for bar in old] == sorted({bar.opened_at for bar in old})
        assert len(old) == 10
        assert feed._held is held  # nothing that is needed was thrown away for it

    async def test_a_day_of_running_never_ends_the_market(self) -> None:
        clock = at()
        feed = practice(clock)
        last: datetime | None = None
        for hour in range(1, 60):
            clock.advance_to(ANCHOR + timedelta(hours=hour))
            ticker, newest = await feed.ticker(BTC, as_of=clock.now()), await feed.bars(BTC, FIVE, as_of=clock.now(), limit=12)
            assert ticker is not None
            assert last is None or newest[0].opened_at == last + FIVE.length
            last = newest[-1].opened_at

    async def test_every_length_of_a_bar_has_minutes(self) -> None:
        for code in ("1m", "15m", "1h", "1d", "1w"):
            clock = at(hours=3)
            feed = practice(clock, (BTC,), Timeframe(code))
            told = await feed.bars(BTC, FINEST, as_of=clock.now(), limit=30)
            assert [math.isclose((b.opened_at - a.opened_at).total_seconds(), 60) for a, b in pairwise(told)]
            assert len(told) == 30

    async def test_it_says_what_it_cannot_tell(self) -> None:
        feed = practice(at())
        assert feed.generated
        assert "generated" in feed.name
        with pytest.raises(UnknownSymbol, match="XRP/USDT"):
            await feed.ticker("XRP/USDT", as_of=ANCHOR)
        for length in ("15m", "9999w"):
            with pytest.raises(UnknownTimeframe, match=length):
                await feed.bars(BTC, Timeframe(length), as_of=ANCHOR, limit=1_000)
        with pytest.raises(InvalidInput, match="asks for nothing"):
            await feed.bars(BTC, FIVE, as_of=ANCHOR, limit=0)
        with pytest.raises(InvalidInput, match="no price"):
            PracticeFeed(7, SYMBOLS, FIVE, ANCHOR, before=0, clock=at())
