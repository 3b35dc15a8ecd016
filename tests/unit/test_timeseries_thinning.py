"""A desk's own store, thinned out while it is in use."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from api.channel_access import channel_access
from data_channels.store.open import open_store
from data_channels.store.retention import Pruned, Retention
from data_channels.store.sql import SqlStore
from data_channels.store.thinning import thinned_out
from graph.channels import ChannelAccess
from graph.config import SessionConfig
from graph.system import _open_hub
from tests.unit.desk_cases import QUIET
from tests.unit.feeds import BarFeed
from tests.unit.paper_exchange import instrument
from tests.unit.timeseries_cases import BTC, T0, reading
from tests.waiting import until
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import ConfigurationError, StoreUnavailable

DAY = timedelta(days=1)
WEEK = Retention(raw=7 * DAY)


class Days(SimulatedClock):
    """Who sleeps on it wakes up when the test says so."""

    def __init__(self) -> None:
        super().__init__(T0 + 8 * DAY)
        self.slept, self.wakes = 0, asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        await self.wakes.acquire()
        await super().sleep(seconds)


async def rows(store: SqlStore) -> int:
    (span,) = await store.reading_spans()
    return span.rows


async def test_a_store_is_thinned_out_at_once_and_then_every_day(tmp_path: Path) -> None:
    day, clock = 24 * 60, Days()
    async with await open_store(tmp_path / "series.duckdb") as store:
        await store.put([reading(minutes) for minutes in (0, 1, 2, day, day + 1)])
        async with thinned_out(store, WEEK, clock):
            await until(lambda: clock.slept == 1)
            assert await rows(store) == 3, "the first hour is one row, the next day is younger than a week"
            await store.put([reading(7 * day)])
            clock.wakes.release()
            await until(lambda: clock.slept == 2)
            assert await rows(store) == 3
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


class Failing:
    """A store whose prunes fail in turn."""

    def __init__(self, *ends: Exception) -> None:
        self._ends = iter(ends)
        self.at: list[timedelta] = []

    async def prune(self, retention: Retention, *, now: datetime) -> Pruned:
        self.at.append(now - T0)
        raise next(self._ends)


async def test_what_fails_is_told_and_tried_again_the_next_day(caplog: pytest.LogCaptureFixture) -> None:
    clock, store = Days(), Failing(StoreUnavailable("the disk is full"), RuntimeError("a bug"), StoreUnavailable("still full"))
    async with thinned_out(store, WEEK, clock):
        clock.wakes.release()
        clock.wakes.release()
        await until(lambda: clock.slept == 3)
    assert [since / DAY for since in store.at] == [8, 9, 10]
    for told in ("the disk is full", "a bug", "still full"):
        assert told in caplog.text


async def test_a_desk_thins_out_only_what_it_was_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAW", "HOURLY", "READINGS", "BARS"):
        monkeypatch.delenv(f"ALGOTRENDY_KEEP_{name}_DAYS", raising=False)
    assert (await channel_access()).retention is None
    monkeypatch.setenv("ALGOTRENDY_KEEP_RAW_DAYS", "7")
    assert (await channel_access()).retention == WEEK
    for wrong in ("soon", "0", "-1", "1.5", "99999999999"):
        monkeypatch.setenv("ALGOTRENDY_KEEP_BARS_DAYS", wrong)
        with pytest.raises(ConfigurationError, match="ALGOTRENDY_KEEP_BARS_DAYS"):
            await channel_access()


async def test_a_session_thins_out_the_store_that_it_keeps(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "algotrendy.timeseries")
    path, clock = tmp_path / "series.duckdb", Days()
    async with await open_store(path) as store:
        await store.put([reading(0), reading(1)])
    config = SessionConfig(market="live", venue="binance", symbols=(BTC,), channels=("glassnode",))  # which is off without a key
    for retention, left in ((None, 2), (WEEK, 1)):
        async with AsyncExitStack() as stack:
            feed = BarFeed([instrument(BTC)], QUIET)
            assert await _open_hub(config, ChannelAccess(retention=retention), feed, clock, path, stack) is not None
            await until(lambda told=retention: told is None or "1 rows summed up" in caplog.text)
        async with await open_store(path) as store:
            assert await rows(store) == left
