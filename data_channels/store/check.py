"""Looking over the bars that are kept: what cannot be, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from data_channels.market.grid import floor_to_grid
from data_channels.market.series import Gap
from data_channels.store.base import BarKey, Span, TimeSeriesStore
from trading_core.domain.clock import iso

_WINDOW = 10_000  # bars in memory at once
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class BarCheck:
    """What was found in one series of bars.

    Attributes:
        gaps: runs of missing bars, oldest first. Venues have outages: they are no damage.
        damage: the first few bars that cannot be, and why.
        damaged: how many there are.
    """

    span: Span[BarKey]
    gaps: tuple[Gap, ...]
    damage: tuple[str, ...]
    damaged: int

    @property
    def missing(self) -> int:
        return sum(gap.missing for gap in self.gaps)

    @property
    def longest(self) -> Gap | None:
        """The longest gap, the first of several."""
        return max(self.gaps, key=lambda gap: gap.missing, default=None)


async def check_bars(store: TimeSeriesStore, span: Span[BarKey], *, now: datetime) -> BarCheck:
    """Look at every bar of a series: it must agree with itself, open where such bars do, be closed, and be there once."""
    key, length = span.key, span.key.timeframe.length
    told: list[str] = []
    damaged, before = 0, None
    at = span.start - timedelta.resolution
    while at < span.end:
        for bar in await store.bars_between(key, start=at, end=at + _WINDOW * length):
            offence = bar.inconsistency()
            if offence is None and floor_to_grid(bar.opened_at, key.timeframe) != bar.opened_at:
                offence = f"no {key.timeframe} bar opens then"
            elif offence is None and bar.opened_at == before:
                offence = "it is there twice"
            elif offence is None and bar.opened_at + length > now:
                offence = "it has not closed yet"
            if offence is not None:
                damaged += 1
                told += [f"{iso(bar.opened_at)}: {offence}"] if len(told) < _MOST_TOLD else []
            before = bar.opened_at
        at += _WINDOW * length
    return BarCheck(span, await store.gaps(key), tuple(told), damaged)
