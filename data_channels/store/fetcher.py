"""Filling a series of bars from a venue, page by page. What is there is not asked for again, so it goes on after a stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from data_channels.market.grid import ceil_to_grid, floor_to_grid
from data_channels.store.base import BarKey, Stored, TimeSeriesStore
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import MarketFeed

_PAGE = 1_000  # bars asked for, and kept in one transaction


@dataclass(frozen=True, slots=True)
class Fetching:
    """How far it is: of the bars that were missing at first, how many were asked for and how many came."""

    key: BarKey
    wanted: int
    asked: int
    stored: Stored


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time without bars, between two places on the grid; its end is not in it."""

    start: datetime
    end: datetime


async def fetch_bars(
    store: TimeSeriesStore,
    feed: MarketFeed,
    key: BarKey,
    *,
    start: datetime,
    end: datetime,
    tell: Callable[[Fetching], None],
) -> Fetching:
    """Ask the venue for the bars between two instants that the store does not have.

    A gap that the venue has, too, stays one and is asked for each time: venues sometimes fill theirs.

    Args:
        feed: of the venue of `key`.
        start: from where on bars open.
        end: by when bars have closed.
        tell: is called after each page, which is kept by then.

    Raises:
        InvalidInput: no bar fits between start and end.
        MarketDataError: the venue cannot answer, or answers with another bar than the one kept. Pages before are kept.
        StoreUnavailable: the database failed. Pages before are kept.
    """
    length = key.timeframe.length
    missing = await missing_stretches(store, key, start=start, end=end)
    wanted = sum((each.end - each.start) // length for each in missing)
    done = Fetching(key, wanted, 0, Stored())
    tell(done)
    for stretch in missing:
        at = stretch.start
        while at < stretch.end:
            page_end = min(at + _PAGE * length, stretch.end)
            bars = await feed.bars_between(key.symbol, key.timeframe, start=at, end=page_end)
            stored = done.stored + await store.put_bars(key, bars)
            done = Fetching(key, wanted, done.asked + (page_end - at) // length, stored)
            tell(done)
            at = page_end
    return done


async def missing_stretches(store: TimeSeriesStore, key: BarKey, *, start: datetime, end: datetime) -> list[Stretch]:
    """Where between two instants the store has no bars, oldest first.

    Raises:
        InvalidInput: no bar fits between them.
    """
    first, last = ceil_to_grid(start, key.timeframe), floor_to_grid(end, key.timeframe)
    if first >= last:
        raise InvalidInput(f"no {key.timeframe} bar fits between {start} and {end}", next_step="Give a longer time")
    span = next((span for span in await store.bar_spans() if span.key == key), None)
    if span is None:
        return [Stretch(first, last)]
    empty = [
        Stretch(first, span.start),
        *(Stretch(gap.start, gap.end) for gap in await store.gaps(key)),
        Stretch(span.end, last),
    ]
    within = (Stretch(max(each.start, first), min(each.end, last)) for each in empty)
    return [each for each in within if each.start < each.end]
