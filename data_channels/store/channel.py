"""A channel that answers out of the store, as of any instant: what backtests and replays read in place of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from data_channels.base import Kind
from data_channels.status import age_text
from data_channels.store.base import TimeSeriesStore
from trading_core.domain.clock import utc
from trading_core.domain.market import ChannelReport, Reading, ReadingState


class StoredChannel:
    """A `Channel` over the readings that were kept of the sources of one kind.

    It is live when every source that said anything of the symbol by then has a fresh reading, degraded when some have, stale when
    none has, and off when nothing was known yet. What a source was refused, or failed at, is not kept: its silence shows.

    Args:
        kind: of the sources.
        store: where their readings are.
        stale_after: by source, from which age on its newest reading is stale (`Pace.stale_after`).
    """

    def __init__(self, kind: Kind, store: TimeSeriesStore, stale_after: Mapping[str, timedelta]) -> None:
        self.kind = kind.value
        self.name = f"{kind.value} (stored: {', '.join(stale_after)})"
        self._store, self._stale_after = store, dict(stale_after)

    async def report(self, symbol: str, *, as_of: datetime) -> ChannelReport:
        """What was known about `symbol` at `as_of`.

        Raises:
            InvalidInput: for an `as_of` without a time zone.
            StoreUnavailable: the database failed.
        """
        instant = utc(as_of)
        told: dict[str, list[Reading]] = {}
        for reading in await self._store.newest(symbol, as_of=instant):
            if reading.source in self._stale_after:
                told.setdefault(reading.source, []).append(reading)
        if not told:
            return ChannelReport(self.kind, symbol, ReadingState.OFF, f"Nothing was known of {symbol} then.")
        ages = {source: instant - max(each.published_at for each in readings) for source, readings in told.items()}
        old = [source for source in told if ages[source] > self._stale_after[source]]
        state = ReadingState.LIVE if not old else ReadingState.DEGRADED if len(old) < len(told) else ReadingState.STALE
        reason = ". ".join(f"{source}: its newest reading is {age_text(ages[source])} old" for source in old)
        in_order = tuple(reading for source in self._stale_after for reading in told.get(source, ()))
        return ChannelReport(self.kind, symbol, state, f"{reason}." if reason else "", in_order)
