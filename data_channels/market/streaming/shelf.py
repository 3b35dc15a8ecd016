"""Bars of one length that are known to be whole: a stretch of time without a question left in it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from trading_core.domain.market import Bar

MOST_BARS = 1_000


class Shelf:
    """The bars that close in `(start, end]`. An interval of it without a bar is one that the venue has none for.

    Attributes:
        end: up to where bars are known; None while there are none.
    """

    def __init__(self, length: timedelta) -> None:
        self.end: datetime | None = None
        self._start: datetime | None = None
        self._length = length
        self._bars: list[Bar] = []

    def __len__(self) -> int:
        return len(self._bars)

    def put(self, bars: Sequence[Bar], start: datetime, end: datetime) -> None:
        """All bars that close in `(start, end]`; what is there from before stays where it reaches up to them."""
        kept: list[Bar] = []
        if self._start is not None and self.end is not None and self._start < start <= self.end:
            kept, start = self._bars[: self._after(start)], self._start
        self._bars, self._start, self.end = [*kept, *bars], start, end
        self._trim()

    def add(self, bar: Bar) -> None:
        """The bar that opens where the known ones end."""
        self._start = self._start or bar.opened_at
        self._bars.append(bar)
        self.end = bar.opened_at + self._length
        self._trim()

    def between(self, start: datetime, end: datetime) -> list[Bar] | None:
        """The bars that close in `(start, end]`; None when not all of that time is known."""
        if self._start is None or self.end is None or start < self._start or end > self.end:
            return None
        return self._bars[self._after(start) : self._after(end)]

    def cut(self, instant: datetime) -> None:
        """Forget the bars that close after `instant`: something was told of their time that was not in them."""
        if self._start is not None and self.end is not None and instant < self.end:
            del self._bars[self._after(instant) :]
            self.end = max(instant, self._start)

    def _after(self, instant: datetime) -> int:
        return bisect_right(self._bars, instant, key=lambda bar: bar.opened_at + self._length)

    def _trim(self) -> None:
        if len(self._bars) > MOST_BARS:
            del self._bars[: len(self._bars) - MOST_BARS]
            self._start = self._bars[0].opened_at
