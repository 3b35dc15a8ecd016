"""What a series of bars tells at an instant, and that the future never changes it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_channels.market.filters import inferred_instrument
from data_channels.market.history import HistoryFeed
from data_channels.market.series import BarSeries, Gap, SeriesFeed
from data_channels.market.synthetic import SyntheticFeed
from trading_core.domain.errors import InvalidInput, MarketDataUnavailable, UnknownSymbol
from trading_core.domain.market import Bar, MarketFeed, Ticker, Timeframe

HOUR = Timeframe("1h")
ONE = timedelta(hours=1)
TRADE = timedelta(microseconds=1)  # how long before its end the last trade of a bar is stamped
T0 = datetime(2024, 1, 1, tzinfo=UTC)
BTC = inferred_instrument("BTC/USDT", price=Decimal(100), decimals=2)


def bar(hour: int, open_: str, close: str) -> Bar:
    prices = Decimal(open_), Decimal(close)
    return Bar(T0 + hour * ONE, prices[0], max(prices) + 1, min(prices) - 1, prices[1], Decimal(5))


BARS = [bar(0, "100", "101"), bar(1, "101.5", "102"), bar(2, "103", "104"), bar(6, "110", "111")]


def feed(bars: Sequence[Bar] = BARS) -> SeriesFeed:
    return SeriesFeed("test", HOUR, {"BTC/USDT": BarSeries(BTC, HOUR, bars)}, generated=False)


async def price(at: timedelta) -> tuple[Decimal, timedelta] | None:
    ticker = await feed().ticker("BTC/USDT", as_of=T0 + at)
    return (ticker.last, ticker.at - T0) if ticker else None


async def test_only_closed_bars_are_returned_newest_last() -> None:
    market: MarketFeed = feed()
    almost = T0 + 2 * ONE - timedelta(microseconds=1)
    assert await market.bars("BTC/USDT", HOUR, as_of=almost, limit=9) == BARS[:1]
    assert await market.bars("BTC/USDT", HOUR, as_of=T0 + 2 * ONE, limit=9) == BARS[:2]
    assert await market.bars("BTC/USDT", HOUR, as_of=T0 + 99 * ONE, limit=2) == BARS[2:]
    assert await market.bars("BTC/USDT", HOUR, as_of=T0, limit=9) == []


async def test_between_takes_bars_that_closed_after_start_up_to_end() -> None:
    market = feed()
    found = await market.bars_between("BTC/USDT", HOUR, start=T0 + ONE, end=T0 + 3 * ONE)
    assert found == BARS[1:3]
    assert await market.bars_between("BTC/USDT", HOUR, start=T0 + 3 * ONE, end=T0 + ONE) == []


async def test_the_price_is_the_open_of_the_bar_in_progress_or_the_last_close_with_its_time() -> None:
    assert await price(timedelta(0)) is None
    assert await price(-ONE) is None
    assert await price(timedelta(microseconds=1)) == (Decimal(100), timedelta(0))
    assert await price(ONE) == (Decimal(101), ONE - TRADE), "the open of the next bar is not known at its start"
    assert await price(ONE * 1.5) == (Decimal("101.5"), ONE)


async def test_a_price_from_before_a_gap_keeps_its_time() -> None:
    for hours in (3, 3.5, 5, 6):
        assert await price(ONE * hours) == (Decimal(104), 3 * ONE - TRADE)
    assert await price(ONE * 6.5) == (Decimal(110), 6 * ONE)
    assert await price(ONE * 700) == (Decimal(111), 7 * ONE - TRADE)


def test_gaps_and_span_are_told() -> None:
    assert feed().gaps("BTC/USDT") == [Gap(T0 + 3 * ONE, T0 + 6 * ONE, 3)]
    assert feed().span("BTC/USDT") == (T0, T0 + 7 * ONE)


@given(st.decimals("0.01", "99999", places=2))
def test_bid_and_ask_lie_on_ticks_around_the_price_and_never_tighter_than_the_spread(last: Decimal) -> None:
    series = BarSeries(BTC, HOUR, [replace(bar(0, "100", "100"), close=last)])
    ticker = series.ticker(T0 + ONE)
    assert ticker is not None
    assert ticker.bid % BTC.tick_size == ticker.ask % BTC.tick_size == 0
    assert ticker.bid <= last * Decimal("0.9999") < last * Decimal("1.0001") <= ticker.ask
    assert ticker.ask - ticker.bid < last * Decimal("0.0002") + 2 * BTC.tick_size


async def test_refusals_name_what_there_is() -> None:
    market = feed()
    with pytest.raises(UnknownSymbol, match=r"'ETH/USDT'.*It lists BTC/USDT"):
        await market.ticker("ETH/USDT", as_of=T0)
    with pytest.raises(MarketDataUnavailable, match="has 1h bars of BTC/USDT, and 1d was asked for"):
        await market.bars("BTC/USDT", Timeframe("1d"), as_of=T0, limit=1)
    with pytest.raises(InvalidInput, match="limit of 0"):
        await market.bars("BTC/USDT", HOUR, as_of=T0, limit=0)
    with pytest.raises(InvalidInput, match="no time zone"):
        await market.ticker("BTC/USDT", as_of=T0.replace(tzinfo=None))
    with pytest.raises(InvalidInput, match="not one bar"):
        BarSeries(BTC, HOUR, [])


# The scramble: whatever is not yet known at an instant becomes garbage, and every read at that instant must stay the same.

PERIOD = (datetime(2021, 5, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC))
Answers = tuple[Sequence[Bar], Sequence[Bar], Ticker | None]


@cache
def real_series(folder: Path, symbol: str) -> BarSeries:
    whole = HistoryFeed.load(folder, timeframe=HOUR, symbols=[symbol])._series[symbol]
    return BarSeries(whole.instrument, HOUR, whole.between(*PERIOD))


@cache
def made_up_series(symbol: str) -> BarSeries:
    return SyntheticFeed(3, [symbol], HOUR, *PERIOD)._series[symbol]


async def answers(series: BarSeries, as_of: datetime, limit: int) -> Answers:
    symbol = series.instrument.symbol
    market = SeriesFeed("scrambled", HOUR, {symbol: series}, generated=False)
    return (
        tuple(await market.bars(symbol, HOUR, as_of=as_of, limit=limit)),
        tuple(await market.bars_between(symbol, HOUR, start=as_of - limit * ONE, end=as_of)),
        await market.ticker(symbol, as_of=as_of),
    )


def scrambled(bars: Sequence[Bar], as_of: datetime, seed: int) -> list[Bar]:
    """Garbage for every bar not closed at `as_of`; the one in progress keeps its open, and some later ones vanish."""
    chance = random.Random(seed)
    kept = []
    for original in bars:
        if original.opened_at + ONE <= as_of:
            kept.append(original)
            continue
        noise = [Decimal(chance.randrange(-(10**9), 10**9)) for _ in range(5)]
        in_progress = original.opened_at < as_of
        if in_progress or chance.random() < 0.8:
            kept.append(Bar(original.opened_at, original.open if in_progress else noise[0], *noise[1:]))
    return kept


async def check_the_future_changes_nothing(series: BarSeries, seconds: int, limit: int, seed: int) -> None:
    as_of = series.span[0] + timedelta(seconds=seconds)
    other = BarSeries(series.instrument, HOUR, scrambled(series.bars, as_of, seed))
    assert await answers(other, as_of, limit) == await answers(series, as_of, limit)


on_or_off_the_hour = st.one_of(st.integers(1, 700).map(lambda hours: hours * 3600), st.integers(3600, 700 * 3600))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["BTC/USDT", "ETH/USDT"]), on_or_off_the_hour, st.integers(1, 300), st.integers())
async def test_the_future_of_generated_prices_changes_nothing(symbol: str, seconds: int, limit: int, seed: int) -> None:
    await check_the_future_changes_nothing(made_up_series(symbol), seconds, limit, seed)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["BTC/USDT", "ETH/USDT"]), on_or_off_the_hour, st.integers(1, 300), st.integers())
async def test_the_future_of_real_prices_changes_nothing(
    shared_data: Path, symbol: str, seconds: int, limit: int, seed: int
) -> None:
    await check_the_future_changes_nothing(real_series(shared_data / "ohlcv", symbol), seconds, limit, seed)
