"""What every `TimeSeriesStore` must do. A database's tests subclass `TimeSeriesConformance` and supply the `store` fixture."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_channels.market.series import Gap
from data_channels.store.base import BarKey, ReadingKey, Stored, TimeSeriesStore
from data_channels.store.retention import Pruned, Retention
from tests.unit.timeseries_cases import BTC, GREED, HOUR, KEY, T0, at, bar, distinct, newest, reading, some_readings
from trading_core.domain.errors import InvalidInput, MarketDataError
from trading_core.domain.market import Reading, Timeframe

DAY = timedelta(days=1)
FAR = at(1e6)
SHORT = Retention(raw=DAY, hourly=10 * DAY)
# One store serves every example of a property: each has a symbol of its own. Both databases' tests run the same method.
_numbers = itertools.count()
PROPERTY = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])


class TimeSeriesConformance:
    @pytest.fixture
    async def store(self) -> TimeSeriesStore:
        raise NotImplementedError

    # --- bars -------------------------------------------------------------------------------------------------------------

    async def test_bars_come_back_as_they_were_put_and_the_same_again_changes_nothing(self, store: TimeSeriesStore) -> None:
        bars = [bar(0, "40000"), bar(1, "1.000000000000000123"), bar(2, "99999999999999999998")]
        assert await store.put_bars(KEY, bars[::-1]) == Stored(added=3)
        assert await store.put_bars(KEY, [*bars, bars[0]]) == Stored(unchanged=4)
        back = await store.bars_between(KEY, start=T0, end=FAR)
        assert list(back) == bars
        assert [str(each.close) for each in back] == ["40000", "1.000000000000000123", "99999999999999999998"]

    async def test_another_bar_for_the_same_hour_is_refused_by_name_and_nothing_is_kept(self, store: TimeSeriesStore) -> None:
        await store.put_bars(KEY, [bar(0), bar(1)])
        with pytest.raises(MarketDataError, match=r"1h bar of BTC/USDT at 2024-01-31T21:00:00Z .*volume 9.*volume 3\.25"):
            await store.put_bars(KEY, [bar(2), bar(1, volume="9")])
        assert list(await store.bars_between(KEY, start=T0, end=FAR)) == [bar(0), bar(1)]

    async def test_two_bars_for_one_hour_in_one_call_are_refused(self, store: TimeSeriesStore) -> None:
        with pytest.raises(MarketDataError, match="bar of BTC/USDT"):
            await store.put_bars(KEY, [bar(0), bar(0, volume="9")])
        assert await store.bar_spans() == ()

    async def test_series_of_other_venues_lengths_and_symbols_are_others(self, store: TimeSeriesStore) -> None:
        keys = [KEY, BarKey("kraken", BTC, HOUR), BarKey("binance", "ETH/USDT", HOUR), BarKey("binance", BTC, Timeframe("30m"))]
        for number, key in enumerate(keys, start=1):
            await store.put_bars(key, [bar(0, str(number * 10))])
        for number, key in enumerate(keys, start=1):
            assert [each.close for each in await store.bars(key, as_of=FAR, limit=5)] == [number * 10]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            (replace(bar(0), high=Decimal(1)), "do not lie between"),
            (replace(bar(0), volume=Decimal("NaN")), "not finite"),
            (replace(bar(0), opened_at=at(1)), "no 1h bar opens then"),
            (replace(bar(0), volume=Decimal("0.0000000000000000001")), "more than 20 digits before the point or 18 after it"),
            (replace(bar(0), volume=Decimal("1e20")), "more than 20 digits before the point or 18 after it"),
            (bar(2_000_000), "does not lie between 1970 and 2200"),
            (replace(bar(0), opened_at=datetime(2024, 1, 31, 20)), "no time zone"),  # noqa: DTZ001  # that is what is wrong
        ],
    )
    async def test_a_bar_that_cannot_be_or_be_kept_is_refused(self, store: TimeSeriesStore, wrong: object, said: str) -> None:
        with pytest.raises(InvalidInput, match=said):
            await store.put_bars(KEY, [bar(1), wrong])
        assert await store.bar_spans() == ()

    async def test_a_bar_is_known_once_it_has_closed(self, store: TimeSeriesStore) -> None:
        await store.put_bars(KEY, [bar(hour) for hour in range(5)])
        assert await store.bars(KEY, as_of=at(59.99), limit=9) == ()
        assert [each.opened_at for each in await store.bars(KEY, as_of=at(60), limit=9)] == [T0]
        assert [each.opened_at for each in await store.bars(KEY, as_of=at(299), limit=2)] == [at(120), at(180)]
        assert [each.opened_at for each in await store.bars(KEY, as_of=FAR, limit=2)] == [at(180), at(240)]
        between = await store.bars_between(KEY, start=at(60), end=at(180))
        assert [each.opened_at for each in between] == [at(60), at(120)]
        with pytest.raises(InvalidInput, match="asks for nothing"):
            await store.bars(KEY, as_of=FAR, limit=0)
        assert await store.bars(BarKey("nobody", BTC, HOUR), as_of=FAR, limit=9) == ()

    async def test_gaps_are_runs_of_missing_bars(self, store: TimeSeriesStore) -> None:
        await store.put_bars(KEY, [bar(hour) for hour in (0, 1, 4, 5, 7)])
        assert await store.gaps(KEY) == (Gap(at(120), at(240), 2), Gap(at(360), at(420), 1))
        (span,) = await store.bar_spans()
        assert (span.key, span.start, span.end, span.count) == (KEY, T0, at(480), 5)
        assert await store.gaps(BarKey("nobody", BTC, HOUR)) == ()

    # --- readings ---------------------------------------------------------------------------------------------------------

    async def test_readings_come_back_digit_by_digit(self, store: TimeSeriesStore) -> None:
        third = Decimal(1) / 3
        given = reading(5, third, observed=-1000.5, quality=Decimal("0.85"), count=41, spread=Decimal(2) / 7)
        huge = reading(6, "-" + "9" * 40 + "." + "9" * 40)
        assert await store.put([given, huge, reading(7, "1.500"), reading(8, "1E+3")]) == Stored(added=4)
        back = await store.readings(GREED, start=T0, as_of=FAR)
        assert back == (given, huge, reading(7, "1.5"), reading(8, "1000"))
        assert [str(each.value) for each in back[2:]] == ["1.5", "1000"]

    async def test_the_same_again_changes_nothing_and_the_last_one_under_a_key_counts(self, store: TimeSeriesStore) -> None:
        assert await store.put([reading(1, "1"), reading(2, "2"), reading(2, "3")]) == Stored(added=2, unchanged=1)
        assert await store.put([reading(1, "1"), reading(2, "3.0")]) == Stored(unchanged=2)
        assert await store.put([reading(2, "4"), reading(3, "5")]) == Stored(added=1, replaced=1)
        assert [each.value for each in await store.readings(GREED, start=T0, as_of=FAR)] == [1, 4, 5]
        assert await store.put([]) == Stored()

    async def test_a_revision_stands_beside_what_it_revises(self, store: TimeSeriesStore) -> None:
        first, revised = reading(10, "70", observed=0), reading(90, "72", observed=0)
        await store.put([revised, first])
        assert await store.newest(BTC, as_of=at(89)) == (first,)
        assert await store.newest(BTC, as_of=at(90)) == (revised,)

    async def test_the_newest_observation_counts_not_what_was_published_last(self, store: TimeSeriesStore) -> None:
        fresh, late = reading(60, "5", observed=59), reading(61, "4", observed=-600)
        await store.put([fresh, late])
        assert await store.newest(BTC, as_of=at(61)) == (fresh,)
        slow_clock = reading(62, "6", observed=100)  # the source's clock is ahead of ours
        await store.put([slow_clock, reading(70, "7")])
        assert await store.newest(BTC, as_of=at(70)) == (slow_clock,)

    async def test_a_series_that_has_been_silent_for_long_is_not_forgotten(self, store: TimeSeriesStore) -> None:
        days = 24 * 60
        silent = reading(0, "1", key=ReadingKey("fng", BTC, "silent"))
        fresh = reading(30 * days, "2")
        told_late = [
            reading(20 * days, "3", key=ReadingKey("x", BTC, "late")),
            reading(30 * days, "4", observed=1, key=ReadingKey("x", BTC, "late")),
        ]
        await store.put([silent, fresh, *told_late])
        assert await store.newest(BTC, as_of=at(30 * days)) == (fresh, silent, told_late[0])
        assert await store.newest(BTC, as_of=at(19 * days)) == (silent,)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            (reading(0, "1" + "0" * 40), "more than 40 digits"),
            (reading(0, "1E-41"), "more than 40 digits"),
            (reading(0, "Infinity"), "not finite"),
            (reading(0, spread=Decimal("NaN")), "the spread of greed of BTC/USDT from fng is NaN"),
            (reading(0, observed=61), "before it was so"),
            (reading(0, count=1 << 63), "must lie between 0 and"),
            (reading(93e6), "does not lie between 1970 and 2200"),
            (reading(0, key=ReadingKey("", BTC, "greed")), "the source of a reading is ''"),
            (reading(0, key=ReadingKey("fng", BTC, "gr\x00eed")), "the name of a reading is"),
            (replace(reading(0), published_at=datetime(2024, 1, 1)), "no time zone"),  # noqa: DTZ001  # that is what is wrong
        ],
    )
    async def test_a_reading_that_cannot_be_kept_is_refused(self, store: TimeSeriesStore, wrong: Reading, said: str) -> None:
        with pytest.raises(InvalidInput, match=said):
            await store.put([reading(1), wrong])
        assert await store.reading_spans() == ()

    async def test_instants_without_a_zone_are_refused(self, store: TimeSeriesStore) -> None:
        naive = datetime(2024, 1, 1)  # noqa: DTZ001  # that is what is wrong
        with pytest.raises(InvalidInput, match="no time zone"):
            await store.newest(BTC, as_of=naive)
        with pytest.raises(InvalidInput, match="no time zone"):
            await store.prune(SHORT, now=naive)

    @PROPERTY
    @given(
        given_readings=some_readings(),
        minutes=st.lists(st.integers(-10, 13 * 24 * 60), min_size=1, max_size=4),
        cut=st.integers(0, 25),
    )
    async def test_nothing_is_known_before_it_was_published(
        self, store: TimeSeriesStore, given_readings: list[Reading], minutes: list[int], cut: int
    ) -> None:
        symbol = f"P{next(_numbers)}/USDT"
        rows = [replace(each, symbol=symbol) for each in given_readings]
        await store.put(rows[:cut])
        await store.put(rows[cut:])
        await store.put(rows[cut:])
        kept = distinct(rows)
        for instant in map(at, minutes):
            assert {_key(each): each for each in await store.newest(symbol, as_of=instant)} == newest(kept, instant)
            for key in {_key(each) for each in rows}:
                public = sorted((each for each in kept if _key(each) == key and T0 < each.published_at <= instant), key=_order)
                assert list(await store.readings(key, start=T0, as_of=instant)) == public

    # --- transactions -----------------------------------------------------------------------------------------------------

    async def test_a_transaction_is_kept_whole_or_not_at_all(self, store: TimeSeriesStore) -> None:
        async def fail() -> None:
            async with store.writing() as writing:
                await writing.put([reading(0)])
                await writing.put_bars(KEY, [bar(0)])
                await writing.remember("digest", 1)
                raise FileNotFoundError

        with pytest.raises(FileNotFoundError):  # and not an error of the database
            await fail()
        assert (await store.bar_spans(), await store.reading_spans()) == ((), ())
        assert not await store.remembers("digest")
        async with store.writing() as writing:
            await writing.put([reading(0)])
            await writing.put_bars(KEY, [bar(0)])
            assert await writing.differing(KEY, [bar(0), bar(1)]) is None
            assert await writing.differing(KEY, [bar(1), bar(0, volume="9")]) == (bar(0, volume="9"), bar(0))
            await writing.remember("digest", 1)
        assert len(await store.bar_spans()) == len(await store.reading_spans()) == 1
        assert await store.remembers("digest")

    async def test_one_who_is_cancelled_leaves_nothing_behind_and_the_next_goes_on(self, store: TimeSeriesStore) -> None:
        inside = asyncio.Event()

        async def writer() -> None:
            async with store.writing() as writing:
                await writing.put([reading(0)])
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(writer())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await store.newest(BTC, as_of=FAR) == ()
        assert await store.put([reading(0)]) == Stored(added=1)

    async def test_many_writers_and_readers_at_once(self, store: TimeSeriesStore) -> None:
        months = 60 * 24 * 31
        batches = [[reading(months * month + minute) for minute in range(5)] for month in range(24)]
        done = await asyncio.gather(*(store.put(batch) for batch in batches + batches))
        await asyncio.gather(*(store.newest(BTC, as_of=FAR) for _ in range(20)))
        assert sum((each for each in done), Stored()) == Stored(added=120, unchanged=120)
        (span,) = await store.reading_spans()
        assert (span.count, span.rows) == (120, 120)

    # --- retention --------------------------------------------------------------------------------------------------------

    async def test_old_readings_are_summed_up_by_the_hour_and_later_by_the_day(self, store: TimeSeriesStore) -> None:
        await store.put([reading(minute, str(minute)) for minute in range(0, 480, 10)])  # 20:00 to 03:50
        done = await store.prune(SHORT, now=at(240) + DAY)
        assert done == Pruned(folded=24 - 4)
        hours = await store.summaries(GREED, start=T0 - DAY, as_of=at(239))
        assert [(each.last.published_at, each.last.value, each.merged, each.low, each.high, each.total) for each in hours] == [
            (at(60 * hour + 50), 60 * hour + 50, 6, 60 * hour, 60 * hour + 50, 6 * 60 * hour + 150) for hour in range(4)
        ]
        assert hours[0].mean == 25
        assert await store.prune(SHORT, now=at(240) + DAY) == Pruned()
        # 20:00 to 24:00 is the rest of January's last day.
        assert await store.prune(SHORT, now=at(480) + 10 * DAY) == Pruned(folded=4 * 5 + 3)
        days = await store.summaries(GREED, start=T0 - DAY, as_of=at(239))
        assert [(each.merged, each.last, each.total) for each in days] == [(24, reading(230, "230"), sum(range(0, 240, 10)))]
        (span,) = await store.reading_spans()
        assert (span.count, span.rows) == (48, 5)

    async def test_what_was_summed_up_is_not_counted_twice(self, store: TimeSeriesStore) -> None:
        rows = [reading(minute, str(minute)) for minute in range(180)]
        await store.put(rows)
        await store.prune(SHORT, now=at(60) + DAY)
        assert await store.put([*rows, reading(30.5), reading(200)]) == Stored(added=1, unchanged=120, folded=61)
        await store.prune(SHORT, now=at(0) + 12 * DAY)
        assert await store.put(rows) == Stored(folded=180)
        assert [each.merged for each in await store.summaries(GREED, start=T0 - DAY, as_of=FAR)] == [181]

    async def test_what_is_older_than_it_is_kept_for_is_removed(self, store: TimeSeriesStore) -> None:
        months = 60 * 24 * 31
        await store.put([reading(months * month) for month in range(6)])
        await store.put_bars(KEY, [bar(24 * 31 * month) for month in range(6)])
        now = at(months * 5 + 1)
        kept = timedelta(days=31 * 2 + 1)
        done = await store.prune(Retention(raw=kept, hourly=kept, readings=kept, bars=kept), now=now)
        assert done == Pruned(readings=3, bars=3)
        assert [each.start for each in await store.bar_spans()] == [at(months * 3)]
        assert len(await store.readings(GREED, start=T0 - DAY, as_of=FAR)) == 3
        assert await store.put([reading(0)]) == Stored(added=1)  # there is room again where a month went
        assert await store.put_bars(KEY, [bar(0)]) == Stored(added=1)

    @settings(PROPERTY, max_examples=6)
    @given(
        given_readings=some_readings(), hours=st.integers(0, 5 * 24), days=st.integers(0, 6), probe=st.integers(0, 13 * 24 * 60)
    )
    async def test_summing_up_keeps_sums_and_makes_nothing_known_earlier(
        self, store: TimeSeriesStore, given_readings: list[Reading], hours: int, days: int, probe: int
    ) -> None:
        await self._sums_up(store, given_readings, hours, days, probe)

    @pytest.mark.slow
    @settings(PROPERTY, max_examples=60)
    @given(
        given_readings=some_readings(), hours=st.integers(0, 5 * 24), days=st.integers(0, 6), probe=st.integers(0, 13 * 24 * 60)
    )
    async def test_summing_up_many_times_keeps_sums_and_makes_nothing_known_earlier(
        self, store: TimeSeriesStore, given_readings: list[Reading], hours: int, days: int, probe: int
    ) -> None:
        await self._sums_up(store, given_readings, hours, days, probe)

    async def _sums_up(self, store: TimeSeriesStore, given_readings: list[Reading], hours: int, days: int, probe: int) -> None:
        symbol = f"Q{next(_numbers)}/USDT"
        rows = distinct(replace(each, symbol=symbol) for each in given_readings)
        await store.put(rows)
        # One cut falls among the readings, the other at the same place or before.
        raw = timedelta(hours=1)
        await store.prune(Retention(raw=raw, hourly=raw + timedelta(days=days)), now=at(60 * hours) + raw)
        for key in {_key(each) for each in rows}:
            mine = [each for each in rows if _key(each) == key]
            kept = await store.summaries(key, start=T0 - DAY, as_of=FAR)
            assert sum(each.merged for each in kept) == len(mine)
            assert sum(each.total for each in kept) == sum(each.value for each in mine)
            assert min(each.low for each in kept) == min(each.value for each in mine)
            assert max(each.high for each in kept) == max(each.value for each in mine)
            for instant in (at(probe), at(60 * hours)):
                early = await store.summaries(key, start=T0 - DAY, as_of=instant)
                assert sum(each.merged for each in early) <= sum(each.published_at <= instant for each in mine)
        for instant in (at(probe), at(60 * hours)):
            for told in await store.newest(symbol, as_of=instant):
                assert any(_says(each, told) and each.published_at <= instant for each in rows)
        midnight = (T0 + timedelta(minutes=probe)).replace(hour=0, minute=0) - timedelta.resolution
        before = newest(rows, midnight)
        after = {_key(each): each for each in await store.newest(symbol, as_of=midnight)}
        assert before.keys() == after.keys()
        assert all(_says(before[key], after[key]) for key in before)

    async def test_it_says_what_it_is_and_how_large(self, store: TimeSeriesStore) -> None:
        before = await store.size()
        await store.put([reading(minute) for minute in range(20_000)])
        assert await store.size() > before
        assert store.name


def _key(each: Reading) -> ReadingKey:
    return ReadingKey(each.source, each.symbol, each.name)


def _order(each: Reading) -> Sequence[datetime]:
    return each.published_at, each.observed_at


def _says(one: Reading, other: Reading) -> bool:
    """Whether both tell the same value of the same instant."""
    return (one.value, one.observed_at, one.unit) == (other.value, other.observed_at, other.unit)
