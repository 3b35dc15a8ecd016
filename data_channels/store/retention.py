"""How long what is kept, and the summing up of old readings.

A reading is first kept as it is, then the readings published in one hour are folded into one row, and later those of a day. A
fold is the newest observation among them, with number, sum, lowest and highest of all of them beside it, and it counts from
when the last of them was published. So a fold tells late what was known earlier within its hour, and never tells anything
early; and whoever asks at the end of the hour is told what he was told before. Sums are exact: folding hours into days gives
what folding the readings themselves gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import IntEnum
from itertools import groupby
from typing import Self

from trading_core.domain.errors import ConfigurationError

MOST_DAYS = 36_500
"""How long anything can be said to be kept: the calendar has an end. What is to be kept longer is kept for ever."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=200)  # far more digits than a sum of what can be kept has (see numbers.py)


class Step(IntEnum):
    """What one row stands for, in seconds."""

    RAW = 0
    HOUR = 3_600
    DAY = 86_400

    def floor(self, instant: datetime) -> datetime:
        """The start of the hour or day that `instant` lies in, UTC."""
        length = timedelta(seconds=self)
        return _EPOCH + (instant - _EPOCH) // length * length


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long what is kept, counted from `published_at` of a reading and from the open of a bar.

    Attributes:
        raw: every reading.
        hourly: one row for each hour.
        readings: anything of a reading; one row for each day from `hourly` on. None is for ever.
        bars: bars; None is for ever.

    Raises:
        ConfigurationError: they are not in ascending order, or not above zero.
    """

    raw: timedelta = timedelta(days=30)
    hourly: timedelta = timedelta(days=365)
    readings: timedelta | None = None
    bars: timedelta | None = None

    @classmethod
    def in_days(cls, raw: int = 30, hourly: int = 365, readings: int | None = None, bars: int | None = None) -> Self:
        """The same in whole days, at most `MOST_DAYS`."""
        return cls(
            timedelta(days=raw),
            timedelta(days=hourly),
            None if readings is None else timedelta(days=readings),
            None if bars is None else timedelta(days=bars),
        )

    def __post_init__(self) -> None:
        last = self.readings if self.readings is not None else timedelta.max
        if not timedelta() < self.raw <= self.hourly <= last or (self.bars is not None and self.bars <= timedelta()):
            raise ConfigurationError(
                f"readings cannot be kept raw for {_days(self.raw)}, hourly for {_days(self.hourly)} and at all for "
                f"{_days(self.readings)}, with bars for {_days(self.bars)}",
                not_done="Nothing was removed",
                next_step="Give days above zero, raw at most hourly, and hourly at most the whole",
            )


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune did.

    Attributes:
        folded: by how many the rows of readings became fewer.
        readings: rows of readings that were removed.
        bars: that were removed.
    """

    folded: int = 0
    readings: int = 0
    bars: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a series of readings: a reading, or a fold. For a reading `total`, `low` and `high` are its value."""

    published_at: datetime
    observed_at: datetime
    value: Decimal
    unit: str
    quality: Decimal
    count: int
    spread: Decimal | None
    step: Step
    merged: int
    total: Decimal
    low: Decimal
    high: Decimal


def fold(rows: Iterable[Row], step: Step) -> Iterator[Row]:
    """Fold rows, oldest first by `published_at` and `observed_at`, into one for each hour or day that has any."""
    for _, group in groupby(rows, key=lambda row: step.floor(row.published_at)):
        together = list(group)
        total = Decimal(0)
        for row in together:
            total = _EXACT.add(total, row.total)
        yield replace(
            max(together, key=lambda row: (row.observed_at, row.published_at)),
            published_at=together[-1].published_at,
            step=step,
            merged=sum(row.merged for row in together),
            total=total,
            low=min(row.low for row in together),
            high=max(row.high for row in together),
        )


def _days(length: timedelta | None) -> str:
    return "ever" if length is None else f"{length / timedelta(days=1):g} days"
