"""Where bars may start: the instants at which a venue opens a bar of a given length."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trading_core.domain.clock import utc
from trading_core.domain.market import Timeframe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # venues open weekly bars on Monday, and 1970 began on a Thursday


def anchor(timeframe: Timeframe) -> datetime:
    """An instant at which bars of this length start."""
    return _MONDAY if timeframe.code.endswith("w") else _EPOCH


def floor_to_grid(instant: datetime, timeframe: Timeframe) -> datetime:
    """The start of the bar that `instant` lies in.

    Raises:
        InvalidInput: for an instant without a time zone.
    """
    origin = anchor(timeframe)
    return origin + (utc(instant) - origin) // timeframe.length * timeframe.length


def back(instant: datetime, timeframe: Timeframe, bars: int) -> datetime:
    """So many bars before an instant, though not before 1970, when there was no market: what is asked for may be of any size."""
    return instant - min(bars * timeframe.length, max(instant - _EPOCH, timedelta()))


def ceil_to_grid(instant: datetime, timeframe: Timeframe) -> datetime:
    """The first bar start at or after `instant`.

    Raises:
        InvalidInput: for an instant without a time zone.
    """
    return floor_to_grid(instant + timeframe.length - timedelta.resolution, timeframe)
