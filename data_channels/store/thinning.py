"""Thinning a store out day by day in the process that has it open: nobody else can open a DuckDB file meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from data_channels.store.base import TimeSeriesStore
from data_channels.store.retention import Retention
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError

_DAY = 86_400.0  # seconds
_log = logging.getLogger("algotrendy.timeseries")


@asynccontextmanager
async def thinned_out(store: TimeSeriesStore, retention: Retention, clock: Clock) -> AsyncIterator[None]:
    """Sum up and remove what is older than it is kept for, now and once a day, until the block ends.

    What fails is logged, and tried again the next day.
    """
    task = asyncio.create_task(_daily(store, retention, clock), name="time series: thinned out")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _daily(store: TimeSeriesStore, retention: Retention, clock: Clock) -> None:
    while True:
        try:
            done = await store.prune(retention, now=clock.now())
            _log.info("time series: %d rows summed up, %d readings and %d bars removed", done.folded, done.readings, done.bars)
        except AlgoTrendyError as error:
            _log.warning("the time series were not thinned out: %s", error)
        except Exception:  # or nothing would be thinned out any more, and nobody would say so
            _log.exception("the time series were not thinned out")
        await clock.sleep(_DAY)
